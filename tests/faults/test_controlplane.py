"""The control plane that fault plans and measurements stand on."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster.shell import wait_for
from tests.support import controlplane
from tests.support.api import Api, Object
from tests.support.controlplane import COLLECTORS, WORKLOADS, ControlPlane

pytestmark = pytest.mark.controlplane
POD = {"containers": [{"name": "main", "image": "example.com/image:1"}]}
LABELS = {"app": "a"}


def test_it_serves_our_kinds_collects_garbage_and_leaves_nothing() -> None:
    with ControlPlane(controllers=(*COLLECTORS, *WORKLOADS)) as plane:
        api, folder, pids = plane.api(), plane.folder, [plane.pid(n) for n in ("etcd", "kube-controller-manager")]
        served = api.get("/apis/tandem.dev/v1alpha1")["resources"]
        assert {"TrainingRun", "InferenceService", "AcceleratorProfile"} <= {item["kind"] for item in served}
        api.create("/api/v1/namespaces", {"metadata": {"name": "scene"}})
        api.create("/apis/apps/v1/namespaces/scene/deployments", _deployment())
        _until("the Deployment's pods to be made", lambda: len(_pods(api)) == 2)
        api.delete("/apis/apps/v1/namespaces/scene/deployments/a")
        _until("they to be collected", lambda: not _pods(api))
    assert not folder.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_an_api_server_that_was_killed_comes_back_with_what_it_knew() -> None:
    with ControlPlane(controllers=()) as plane:
        api = plane.api()
        before = api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
        plane.end("kube-apiserver")
        plane.launch("kube-apiserver")
        assert api.get("/api/v1/namespaces/kept")["metadata"]["uid"] == before["metadata"]["uid"]


def test_whoever_kills_the_tests_kills_their_control_plane(tmp_path: Path) -> None:
    """No run that was broken off leaves an etcd behind."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        plane = ControlPlane(controllers=())
        plane.start()
        os.write(write, f"{plane.pid('etcd')} {plane.pid('kube-apiserver')} {plane.folder}".encode())
        time.sleep(60)
        os._exit(1)
    pids_and_folder = os.read(read, 1000).decode().split()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _until("its programs to end", lambda: not any(_alive(int(pid)) for pid in pids_and_folder[:2]))
    shutil.rmtree(pids_and_folder[2])


@pytest.mark.parametrize("held", [True, False])
def test_data_that_was_left_behind_is_swept_and_nobody_elses(tmp_path: Path, held: bool) -> None:
    folder = tmp_path / f"{controlplane.PREFIX}x"
    folder.mkdir()
    with (folder / controlplane.LOCK).open("w") as lock:
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(folder, (0, 0))
        controlplane._sweep(tmp_path)
    assert folder.exists() is held


def _deployment() -> Object:
    template = {"metadata": {"labels": LABELS}, "spec": POD}
    return {
        "metadata": {"name": "a"},
        "spec": {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template},
    }


def _pods(api: Api) -> list[Object]:
    found: list[Object] = api.get("/api/v1/namespaces/scene/pods")["items"]
    return found


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _until(what: str, condition: Callable[[], bool]) -> None:
    wait_for(what, condition, 30.0, interval=0.05)
