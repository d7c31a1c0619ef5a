"""Writes `tests/gitops/recorded/`: every stage of a run and of a service, from the devcluster: python -m tests.gitops.record [STAGE ...]

Needs the devcluster, and no other tests on it. Runs an operator of its own from the working tree.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devcluster import kube, paths
from devcluster.shell import say
from tests.gitops import recorded
from tests.gitops.stages import STAGES, STEADY, Stage
from tests.support.api import Api
from tests.support.operator import HostOperator, make_room
from tests.support.scene import Scene

AT_A_TIME = 4


class Recorder:
    """Scenes on the cluster, one for each stage, and what is written of them."""

    def __init__(self, operator: HostOperator) -> None:
        self._operator = operator
        self._api = Api(paths.kubeconfig())
        self._workers = sorted(
            node["metadata"]["name"]
            for node in kube.items("nodes", "--selector=!node-role.kubernetes.io/control-plane")
        )

    def record(self, stages: Sequence[Stage]) -> None:
        """Record the stages that the operator sees, then, with the operator away, those that it does not."""
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(self._seen, [stage for stage in stages if stage.before is None]))
        scenes = {stage.name: self._scene(stage) for stage in stages if stage.before is not None}
        try:
            for stage in stages:
                if stage.before is not None:
                    stage.before(scenes[stage.name], self._workers)
            self._operator.stop()
            for stage in stages:
                if stage.before is not None:
                    self._write(stage, scenes[stage.name])
        finally:
            for scene in scenes.values():
                scene.close()

    def _seen(self, stage: Stage) -> None:
        scene = self._scene(stage)
        try:
            self._write(stage, scene)
        finally:
            scene.close()

    def _scene(self, stage: Stage) -> Scene:
        return Scene(self._api, f"rec-{os.getpid() % 10000}-{stage.name}", self._operator.tail)

    def _write(self, stage: Stage, scene: Scene) -> None:
        found = stage.make(scene, self._workers)
        recorded.save(stage.name, recorded.scrub(found, scene.name))
        if stage.name in STEADY:
            text = recorded.shown(found, scene.name)
            recorded.text_file(stage.name).write_text(text, encoding="utf-8")
        say(f"recorded {stage.name}")


def main(names: Sequence[str]) -> None:
    """Record the stages of these names; all where there are none, and then nothing else stays in the folder."""
    recorded.FOLDER.mkdir(exist_ok=True)
    if not names:
        for file in recorded.FOLDER.iterdir():
            file.unlink()
    make_room()
    with tempfile.TemporaryDirectory(prefix="tandem-record-") as folder:
        operator = HostOperator(paths.kubeconfig(), Path(folder) / "operator.log")
        operator.start()
        try:
            Recorder(operator).record([STAGES[name] for name in names or STAGES])
        finally:
            operator.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
