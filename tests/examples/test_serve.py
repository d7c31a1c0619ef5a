"""The sample server, in a container of the sample image, on a checkpoint that the sample training wrote."""

import json
import shutil
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devcluster import engine
from devcluster.shell import wait_for
from tests.examples.conftest import Lab

pytestmark = pytest.mark.cluster

STEPS = 100


@dataclass
class Client:
    """A server's container and its address."""

    lab: Lab
    pod: str
    host: str
    port: int

    def ask(self, route: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer; GET without a body, POST with one."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}{route}", body, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def complete(self, **question: object) -> dict[str, Any]:
        status, answer = self.ask("/v1/completions", json.dumps(question).encode())
        assert status == 200, answer
        return answer

    def is_up(self) -> bool:
        try:
            return self.ask("/health") == (200, {"status": "ok"})
        except OSError:
            return False

    def has_model(self) -> bool:
        try:
            return self.ask("/v1/models")[0] == 200
        except OSError as error:
            raise AssertionError(f"{error}\n{self.lab.logs(self.pod)}") from error


def start_server(lab: Lab, models: Path) -> Client:
    options = ("--publish", "127.0.0.1::8000", "--volume", f"{models}:/models:ro")
    env = {"TANDEM_MODEL_PATH": "/models", "ASCEND_VISIBLE_DEVICES": "5"}
    pod = lab.start("python3", "serve.py", env=env, mounts={}, options=options)
    host, port = engine.docker("port", pod, "8000/tcp").split()[0].rsplit(":", 1)
    client = Client(lab, pod, host, int(port))
    wait_for("the server listens", client.is_up, seconds=20)
    return client


@pytest.fixture(scope="module")
def checkpoints(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    folder.chmod(0o777)
    env = {
        "TANDEM_CHECKPOINT_DIR": "/checkpoints",
        "STEPS": str(STEPS),
        "CHECKPOINT_EVERY": "50",
        "TERMINATION_LOG": "/tmp/log",
    }
    assert lab.exit_code(lab.start("python3", "train.py", env=env, mounts={folder: "/checkpoints"}), within=60) == 0
    return folder


@pytest.fixture(scope="module")
def client(lab: Lab, checkpoints: Path) -> Client:
    client = start_server(lab, checkpoints)
    wait_for("the model is loaded", client.has_model, seconds=20)
    return client


def test_models_tell_what_is_served(client: Client, checkpoints: Path) -> None:
    digest = json.loads((checkpoints / f"step-{STEPS}/meta.json").read_text())["digest"]
    model = {"id": "tandem-sample", "object": "model", "owned_by": "tandem", "step": STEPS, "digest": digest}
    assert client.ask("/v1/models") == (200, {"object": "list", "data": [model]})


def test_a_completion_comes_from_what_was_trained(client: Client) -> None:
    answer = client.complete(prompt="The captain ", max_tokens=40, temperature=0)
    text = answer["choices"][0]["text"]
    assert len(text.encode()) == 40
    corpus = (Path(__file__).parents[2] / "examples/workload/corpus.txt").read_text()
    assert len(set(text.split()[:-1]) & set(corpus.split())) >= 3, text  # words, where an untrained model writes noise
    assert answer["usage"] == {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52}
    assert answer["model"] == "tandem-sample"


def test_temperature_zero_and_a_seed_are_repeatable(client: Client) -> None:
    def text(**sampling: object) -> str:
        return str(client.complete(prompt="Once", **sampling)["choices"][0]["text"])

    assert text(temperature=0) == text(temperature=0)
    assert text(temperature=1, seed=7) == text(temperature=1, seed=7) != text(temperature=1, seed=8)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", '"prompt"'),
        (b'{"prompt": 3}', '"prompt"'),
        (b'{"prompt": "a", "max_tokens": 0}', '"max_tokens"'),
        (b'{"prompt": "a", "max_tokens": true}', '"max_tokens"'),
        (b'{"prompt": "a", "temperature": -1}', '"temperature"'),
        (b'{"prompt": "a", "temperature": NaN}', '"temperature"'),
        (b'{"prompt": "a", "seed": "x"}', '"seed"'),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client: Client, body: bytes, said: str) -> None:
    status, answer = client.ask("/v1/completions", body)
    assert status == 400
    assert said in answer["error"]["message"]


def test_unknown_routes_and_long_bodies_are_refused(client: Client) -> None:
    assert client.ask("/v1/nothing")[0] == 404
    assert client.ask("/v1/completions")[0] == 404
    assert client.ask("/v1/completions", b" " * 70_000)[0] == 413


def test_without_a_checkpoint_the_model_routes_wait(lab: Lab, checkpoints: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    client = start_server(lab, models)
    assert client.ask("/v1/models")[0] == 503
    assert client.ask("/v1/completions", b'{"prompt": "a"}')[0] == 503

    half = models / "step-900"
    half.mkdir()
    (half / "model.pt").write_bytes((checkpoints / f"step-{STEPS}/model.pt").read_bytes()[:1000])
    shutil.copy(checkpoints / f"step-{STEPS}/meta.json", half)
    shutil.copytree(checkpoints / "step-50", models / "step-50")
    wait_for("the model is loaded", client.has_model, seconds=20)
    assert client.ask("/v1/models")[1]["data"][0]["step"] == 50


def test_sigterm_lets_a_request_in_flight_finish(lab: Lab, checkpoints: Path) -> None:
    client = start_server(lab, checkpoints)
    wait_for("the model is loaded", client.has_model, seconds=20)
    question = b'{"prompt": "A tandem", "max_tokens": 20}'
    with socket.create_connection((client.host, client.port), timeout=20) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(question))
        assert client.is_up()  # a later connection was served, so this one has been accepted
        engine.docker("kill", "--signal", "TERM", client.pod)
        wait_for("the server takes no more", lambda: not client.is_up(), seconds=10)
        connection.sendall(question)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.0 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"]["completion_tokens"] == 20
    assert lab.exit_code(client.pod, within=10) == 0
