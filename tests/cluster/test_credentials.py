"""Where credentials come from, and what happens when the server no longer takes them."""

import asyncio
from pathlib import Path

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from tandem.cluster import credentials
from tandem.cluster.client import ApiError, Client, Credentials, CredentialsError, core_path
from tests.cluster.fake_api import FakeApi

PODS = core_path("pods", "default")


async def test_a_rotated_token_is_read_again_and_the_request_repeated(api: FakeApi, client: Client) -> None:
    api.secured = True
    await client.request("GET", PODS)
    api.token = "second"
    answer = await client.request("POST", PODS, body={"a": 1})
    assert answer["body"] == {"a": 1}
    assert client.credentials().token == "second"
    assert api.reloads == 1


async def test_a_watch_is_opened_again_with_a_rotated_token(api: FakeApi, client: Client) -> None:
    api.secured = True
    api.token = "second"
    stream = client.stream(PODS, query={"watch": "true", "resourceVersion": "0"}, silence=2)
    reading = asyncio.create_task(anext(stream))
    watch = await api.watch_number(1)
    await watch.raw(b"one\n")
    assert await reading == b"one"
    await stream.aclose()


async def test_many_requests_refused_at_once_read_the_credentials_once(api: FakeApi, client: Client) -> None:
    api.secured, api.token = True, "second"
    await asyncio.gather(*(client.request("POST", PODS, body={}) for _ in range(10)))
    assert api.reloads == 1


async def test_credentials_that_stay_refused_are_an_error(api: FakeApi) -> None:
    old = api.credentials()

    async def the_same() -> Credentials:
        return old

    async with api.client(reload=the_same) as client:
        api.secured, api.token = True, "second"
        with pytest.raises(ApiError) as caught:
            await client.request("POST", PODS, body={})
    assert (caught.value.status, caught.value.transient, caught.value.refused) == (401, True, False)
    assert api.count("write") == 2


async def test_credentials_that_cannot_be_read_again_are_said_so(api: FakeApi) -> None:
    async def gone() -> Credentials:
        raise CredentialsError("the file is gone")

    async with api.client(reload=gone) as client:
        api.secured, api.token = True, "second"
        with pytest.raises(ApiError, match="the file is gone"):
            await client.request("POST", PODS, body={})


async def test_a_kubeconfig_is_read_with_its_context(tmp_path: Path) -> None:
    loaded = await credentials.load(_kubeconfig(tmp_path), "other")
    assert (loaded.server, loaded.scheme, loaded.token) == ("https://other:6443", "Bearer", "s3cret")
    assert loaded.insecure
    assert loaded.headers() == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(loaded)


async def test_the_environment_names_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"/nowhere/config:{_kubeconfig(tmp_path)}")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert (await credentials.load()).server == "http://one:8080"


async def test_a_service_account_wins_unless_a_kubeconfig_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("in-cluster\n")
    ca.write_text("a certificate")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setattr(credentials, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert (await credentials.load()).headers() == {"Authorization": "Bearer in-cluster"}
    assert (await credentials.load()).server == "https://10.0.0.1:443"
    token.write_text("rotated")
    assert (await credentials.load()).token == "rotated"
    assert (await credentials.load(_kubeconfig(tmp_path))).server == "http://one:8080"


async def test_no_way_to_a_cluster_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match="--kubeconfig or KUBECONFIG"):
        await Client.connect(kubeconfig=str(tmp_path / "missing"))


async def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="nowhere"):
        await credentials.load(_kubeconfig(tmp_path), "nowhere")


def _kubeconfig(folder: Path) -> str:
    path = folder / "config"
    config = {
        "clusters": [
            {"name": "one", "cluster": {"server": "http://one:8080/"}},
            {"name": "other", "cluster": {"server": "https://other:6443", "insecure-skip-tls-verify": True}},
        ],
        "users": [{"name": "me", "user": {"token": "s3cret"}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "one", "user": "me"}},
            {"name": "other", "context": {"cluster": "other", "user": "me"}},
        ],
        "current-context": "one",
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)
