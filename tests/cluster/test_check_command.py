"""`tandem check` as a program, against an API server that answers as told."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tandem.api.crd import all_crds
from tandem.domain.prerequisites.rights import GANGS, Account, needed
from tandem.entry.cli import main
from tests.cluster.fake_api import FakeApi, status

Object = dict[str, Any]
ADMIN = "kubernetes-admin"
OPERATOR = "system:serviceaccount:tandem-system:tandem"
PROFILE: Object = {
    "metadata": {"name": "make-a"},
    "spec": {
        "nodeSelector": {"make": "a"},
        "allocation": {"type": "ExtendedResource", "extendedResource": {"name": "example.com/a"}},
    },
}


def definition(wish: Object) -> Object:
    return {**wish, "status": {"conditions": [{"type": "Established", "status": "True"}]}}


def node(name: str, make: str) -> Object:
    offered = {"cpu": "8", f"example.com/{make}": "8"}
    conditions = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name, "labels": {"make": make}},
        "spec": {},
        "status": {"capacity": offered, "allocatable": offered, "conditions": conditions},
    }


class Cluster:
    """What the API server has, and what the caller may see."""

    def __init__(self) -> None:
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.caller = ADMIN
        self.lacks: set[str] = set()
        """verb resource pairs that the operator may not do, as "create pods"."""
        self.forbidden: tuple[str, ...] = ()
        """Beginnings of paths that the caller may not use."""
        self.objects: dict[str, Object] = {
            "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.2"},
            "/apis": {
                "groups": [{"versions": [{"groupVersion": "apps/v1"}, {"groupVersion": "scheduling.k8s.io/v1beta1"}]}]
            },
            "/api/v1/nodes": {"metadata": {}, "items": [node("a-0", "a"), node("a-1", "a")]},
            "/api/v1/namespaces/tandem-system": {
                "metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
            },
            "/api/v1/namespaces/tandem-system/serviceaccounts/tandem": {"metadata": {"name": "tandem"}},
            "/apis/tandem.dev/v1alpha1/acceleratorprofiles": {"metadata": {}, "items": [PROFILE]},
            **{f"{crds}/{wish['metadata']['name']}": definition(wish) for wish in all_crds()},
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """As the API server would."""
        path = request.path
        if path.startswith(self.forbidden or "\0"):
            return web.json_response(status(403, "Forbidden", f"{path} is forbidden"), status=403)
        if request.method == "POST":
            return web.json_response(
                {"status": self._review(path.rpartition("/")[2], await request.json())}, status=201
            )
        found = self.objects.get(path)
        return web.json_response(found) if found else web.json_response(status(404, "NotFound"), status=404)

    def _review(self, kind: str, body: Object) -> Object:
        if kind == "selfsubjectreviews":
            return {"userInfo": {"username": self.caller}}
        spec = body["spec"]
        user = self.caller if kind == "selfsubjectaccessreviews" else spec["user"]
        assert user.startswith("system:serviceaccount:")
        wish = spec["resourceAttributes"]
        resource = f"{wish['resource']}/{wish['subresource']}".rstrip("/")
        return {"allowed": user == OPERATOR and f"{wish['verb']} {resource}" not in self.lacks}


@pytest.fixture
def cluster(api: FakeApi) -> Cluster:
    made = Cluster()
    api.answer_all(made.answer)
    return made


Check = Callable[..., Any]


@pytest.fixture
def check(api: FakeApi, tmp_path: Path) -> Check:
    """Runs the command; its exit code."""
    kubeconfig = api.kubeconfig(tmp_path)

    async def run(*options: str) -> int:
        return await asyncio.to_thread(main, ["check", f"--kubeconfig={kubeconfig}", *options])

    return run


async def test_a_good_cluster(cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert await check() == 0
    told = capsys.readouterr().out
    assert "OK    kubernetes  v1.37.2\n" in told
    assert "OK    rights      tandem-system/tandem may do all that the operator does\n" in told
    assert "OK    profile     make-a: 2 nodes with 16 healthy devices (example.com/a)\n" in told
    assert told.endswith("0 failures, 0 warnings\n")
    assert "\033" not in told, "colours are for terminals"


async def test_failures_and_their_mend(cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    del cluster.objects["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/trainingruns.tandem.dev"]
    cluster.lacks = {"create pods", "patch trainingruns/status"}
    assert await check() == 1
    told = capsys.readouterr().out
    assert "FAIL  crds        trainingruns.tandem.dev is not installed\n" in told
    assert "                  -> tandem crds | kubectl apply --server-side --force-conflicts -f -\n" in told
    assert "FAIL  rights      tandem-system/tandem may not create pods\n" in told
    assert "FAIL  rights      tandem-system/tandem may not patch trainingruns/status.tandem.dev\n" in told
    assert told.endswith("3 failures, 0 warnings\n")


async def test_json_for_pipelines(cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.objects["/api/v1/nodes"]["items"].append(node("b-0", "b"))
    cluster.objects["/version"]["minor"] = "32"
    assert await check("--output=json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["failures"], told["warnings"]) == (1, 1)
    assert {
        "level": "WARN",
        "subject": "nodes",
        "message": "example.com/b of b-0 is in no profile",
        "mend": "write a profile: docs/profiles.md",
    } in told["findings"]


async def test_a_profile_that_is_not_understood(
    cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"metadata": {"name": "broken"}, "spec": {"nodeSelector": {"make": "b"}}}
    cluster.objects["/apis/tandem.dev/v1alpha1/acceleratorprofiles"]["items"].append(broken)
    assert await check() == 1
    assert "FAIL  profile     broken cannot be read and is ignored: allocation: " in capsys.readouterr().out


async def test_without_our_kinds_there_are_no_profiles(
    cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.objects = {path: item for path, item in cluster.objects.items() if "tandem.dev" not in path}
    assert await check() == 1
    told = capsys.readouterr().out
    assert told.count("is not installed\n") == len(all_crds())
    assert "WARN  profile     there is no AcceleratorProfile" in told


async def test_the_operator_asks_for_itself(api: FakeApi, cluster: Cluster, check: Check) -> None:
    """It may not create SubjectAccessReviews, nor read accounts."""
    cluster.caller = OPERATOR
    cluster.forbidden = ("/apis/authorization.k8s.io/v1/subjectaccessreviews", "/api/v1/namespaces")
    cluster.lacks = {"list nodes"}
    assert await check() == 1
    asked = [seen for seen in api.seen if seen.path.endswith("/selfsubjectaccessreviews")]
    assert len(asked) == len(needed(Account("tandem-system", "tandem"))) + len(GANGS)


async def test_what_the_caller_may_not_read_is_a_warning(
    cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbidden = (
        "/api/v1/nodes",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        "/apis/apiextensions.k8s.io",
        "/apis/tandem.dev/v1alpha1/acceleratorprofiles",
    )
    assert await check() == 0
    told = capsys.readouterr().out
    assert "WARN  crds        not checked: cannot read CustomResourceDefinitions: " in told
    assert "WARN  rights      not checked: cannot read what tandem-system/tandem is allowed: " in told
    assert "WARN  profile     not checked: cannot read AcceleratorProfiles: " in told
    assert told.endswith("0 failures, 3 warnings\n")


async def test_another_operator_may_be_named(
    cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await check("--operator=elsewhere/other") == 0
    told = capsys.readouterr().out
    assert "WARN  namespace   elsewhere does not exist\n" in told
    assert "WARN  rights      no ServiceAccount elsewhere/other: the operator is not installed there" in told


async def test_an_account_of_wrong_form_is_wrong_usage(
    cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("tandem", "/tandem", "a/b/c"):
        with pytest.raises(SystemExit) as ended:
            await check(f"--operator={wrong}")
        assert ended.value.code == 2
        assert "is not NAMESPACE/NAME" in capsys.readouterr().err


async def test_a_cluster_that_cannot_be_reached(api: FakeApi, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor one that breaks off half way: half a check is none."""
    cluster = Cluster()

    async def breaks_off(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v1/nodes":
            return web.json_response(status(401, "Unauthorized"), status=401)
        return await cluster.answer(request)

    api.answer_all(breaks_off)
    assert await check() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("cannot reach the cluster: Unauthorized (401)")
    assert await asyncio.to_thread(main, ["check", "--kubeconfig=/nowhere/config"]) == 2
    assert "no kubeconfig at /nowhere/config" in capsys.readouterr().err


async def test_colours_are_for_terminals_that_want_them(
    cluster: Cluster, check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert await check() == 0
    assert "\033[32mOK  \033[0m  kubernetes  v1.37.2\n" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert await check() == 0
    assert "\033" not in capsys.readouterr().out
