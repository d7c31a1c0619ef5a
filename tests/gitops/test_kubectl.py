"""What scripts and people do with kubectl besides looking: wait, scale, delete."""

from collections.abc import Callable

import pytest

from devcluster import kube
from devcluster.shell import DevclusterError
from tests.support.programs import STEERED
from tests.support.scene import Scene
from tests.support.serving import serve

pytestmark = pytest.mark.cluster

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(scene: Scene) -> Kubectl:
    """Standard output of kubectl in the scene; a command that does not end well raises DevclusterError."""
    return lambda *words: kube.kubectl("--namespace", scene.name, *words, timeout=100)


def test_wait_for_a_run_from_its_creation_to_its_end(scene: Scene, workers: list[str], kubectl: Kubectl) -> None:
    """Started at once after the creation, when there is no condition yet."""
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), command=["sh", "-c", "exit 0"])

    said = kubectl("wait", "trun/train", "--for=condition=Succeeded", "--timeout=90s")

    assert said == "trainingrun.tandem.dev/train condition met\n"
    assert kubectl("wait", "trun/train", "--for=jsonpath={.status.pods.summary}=1/1") == said


def test_wait_for_a_run_that_fails(scene: Scene, kubectl: Kubectl) -> None:
    """A script waits for Stalled beside Succeeded, or it would wait until its time is over."""
    scene.run("train", accelerator="no-such-profile")

    kubectl("wait", "trun/train", "--for=condition=Stalled", "--timeout=60s")

    kubectl("wait", "trun/train", "--for=condition=Ready=false")
    with pytest.raises(DevclusterError, match="timed out waiting for the condition on trainingruns/train"):
        kubectl("wait", "trun/train", "--for=condition=Succeeded", "--timeout=1s")


def test_wait_for_a_service_and_scale_it(scene: Scene, workers: list[str], kubectl: Kubectl) -> None:
    scene.devices(workers[:1], 3)
    serve(scene, "chat", accelerator=scene.profile())

    assert "condition met" in kubectl("wait", "infsvc/chat", "--for=condition=Ready", "--timeout=90s")
    assert kubectl("scale", "infsvc/chat", "--replicas=3") == "inferenceservice.tandem.dev/chat scaled\n"
    kubectl("wait", "infsvc/chat", "--for=jsonpath={.status.summary}=3/3", "--timeout=90s")

    with pytest.raises(DevclusterError, match="Expected replicas to be 1, was 3"):
        kubectl("scale", "infsvc/chat", "--current-replicas=1", "--replicas=2")
    kubectl("scale", "infsvc", "--all", "--replicas=0")
    kubectl("wait", "infsvc/chat", "--for=jsonpath={.status.replicas}=0", "--timeout=90s")
    assert kubectl("get", "infsvc/chat", "--output=jsonpath={.status.conditions[?(@.type=='Ready')].reason}") == (
        "ScaledToZero"
    )


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_delete_ends_with_the_object_and_its_pods_go(
    scene: Scene, workers: list[str], kubectl: Kubectl, cascade: str
) -> None:
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), command=STEERED)
    scene.reason("trun", "train", "Running")

    kubectl("delete", "trun/train", f"--cascade={cascade}", "--timeout=90s")

    with pytest.raises(DevclusterError, match='"train" not found'):
        kubectl("get", "trun/train")
    if cascade == "foreground":
        assert scene.pods() == []
    scene.until(lambda: not scene.pods(), "the pods to go")
