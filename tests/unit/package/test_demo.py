"""What the demo says while it waits, and when something goes wrong."""

from typing import Any

import pytest

from devcluster import kube
from devcluster.shell import DevclusterError
from examples import demo

PLACED = {
    "status": {
        "conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": "2 pods run"}],
        "placement": {"chosen": "nvidia-h20"},
        "pods": {"summary": "2/2"},
        "checkpoint": {"step": 40},
    }
}


def stalled(reason: str, message: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return {"status": {"conditions": [ready, {**ready, "type": "Stalled", "status": "True"}]}}


def answers(monkeypatch: pytest.MonkeyPatch, *objects: dict[str, Any]) -> None:
    """Let the API server answer with these in turn; the last stays."""
    left = list(objects)
    monkeypatch.setattr(kube, "get", lambda *_: left.pop(0) if len(left) > 1 else left[0])


def test_progress_in_words() -> None:
    assert demo.progress(PLACED) == "nvidia-h20, 2/2, step 40"
    assert demo.progress({}) == ""


def test_each_change_is_said_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answers(monkeypatch, {}, {}, PLACED)
    assert demo.follow("trun", "hello", "Running", 5) == PLACED
    said = [line.split(": ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert said == ["accepted", "Running nvidia-h20, 2/2, step 40"]


def test_a_stalled_object_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, stalled("UnknownAccelerator", "no AcceleratorProfile x"))
    with pytest.raises(demo.StoryError, match="trun hello is stalled: no AcceleratorProfile x"):
        demo.follow("trun", "hello", "Succeeded", 5)


def test_a_wait_that_is_over_names_the_object() -> None:
    with pytest.raises(demo.StoryError) as failure, demo.followed("infsvc", "chat"):
        raise DevclusterError("not so within 1 s: infsvc chat is Available")
    assert (failure.value.kind, failure.value.name) == ("infsvc", "chat")


def test_a_failure_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, stalled("ImagePull", "no such image"))
    monkeypatch.setattr(kube, "kubectl", lambda *_: "LAST SEEN\n" + "\n".join(f"event {n}" for n in range(20)))
    text = demo.explain(demo.StoryError("it is stalled", "infsvc", "chat"))
    for part in (
        "it is stalled",
        "Ready=False ImagePull: no such image",
        "LAST SEEN",
        "event 19",
        "kubectl describe infsvc chat",
    ):
        assert part in text
    assert "event 3" not in text
