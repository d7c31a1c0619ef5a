"""Seeded bugs of our own operator: each must be caught by a fault plan, or the plans are not worth their time.

    python -m tests.faults.mutants            all of them; prints which plan killed which
    python -m tests.faults.mutants NAME...    these

A mutant is data: a file below operator/tandem, what stands there exactly once, what is put in its place, and the plans that are
tried until one is violated. What the story should come to is learnt from the sound operator.

Two bugs are none of the plans' business, or only of some:

- "a failed write is not tried again" shows only where the server asked for a pause (429). After any other answer the same pass plans
  and writes once more, and the echo of its own intent brings the object back.
- "own pods told by namespace, not by owner" is no mutant here. For a run `RunView.pods` asks again for the owner's uid and the exact
  name. What is left are the placer's count of bound pods and a service's words about its pods, which no story's end depends
  on: `tests/unit/runtime/test_observer.py` catches it.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.lane import Lane
from tests.faults.plans import parse
from tests.support.controlplane import ROOT


@dataclass(frozen=True)
class Mutant:
    """One bug."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    """(file, what stands there once, what is put in its place)"""
    plans: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killer: str = ""
    """Id of the first plan that was violated; empty where the mutant lives."""
    violation: str = ""


CLIENT, APPLIER, INFORMER = "cluster/client.py", "cluster/applier.py", "cluster/informer.py"
LEASE = "cluster/lease.py"
QUEUE, RECONCILER, APP = "runtime/workqueue.py", "runtime/reconciler.py", "runtime/app.py"

MUTANTS = (
    Mutant(
        "status without resourceVersion",
        ((APPLIER, '                "resourceVersion": str(target.resource_version),\n', ""),),
        ("training",),
    ),
    Mutant(
        "delete without the uid it is meant for",
        ((APPLIER, 'preconditions: dict[str, str] = {"uid": gone.uid}', "preconditions: dict[str, str] = {}"),),
        ("training",),
    ),
    Mutant(
        "attempts counted up blindly",
        (
            ("domain/training/attempt.py", "def begin(", "_COUNT: dict[str, int] = {}\n\n\ndef begin("),
            (
                "domain/training/attempt.py",
                "    number = view.newest_attempt + 1\n",
                "    number = _COUNT[view.run.uid] = max(view.newest_attempt, _COUNT.get(view.run.uid, 0)) + 1\n",
            ),
        ),
        ("training/409/patch.trainingruns.status.run.a1-Starting#1",),
    ),
    Mutant(
        "intent written after what it speaks of",
        (
            (
                APPLIER,
                "if plan.intent and not await self._write_status(target, plan):",
                "if False and not await self._write_status(target, plan):",
            ),
            (APPLIER, "if write_status and not plan.intent and", "if write_status and"),
        ),
        ("training/crash-before/patch.trainingruns.status.run.a1-UserFailure#1",),
    ),
    Mutant(
        "a refused intent taken for written",
        (
            (
                APPLIER,
                "            if error.conflict or error.not_found:\n                return False\n",
                "            return True\n",
            ),
        ),
        (
            "training/409/patch.trainingruns.status.run.a1-UserFailure#1",
            "training/500/patch.trainingruns.status.run.a1-UserFailure#1",
        ),
    ),
    Mutant(
        "AlreadyExists taken for a refusal",
        (
            (
                APPLIER,
                "                return await self._already_exists(target, child)\n",
                "                return Problem(ProblemKind.REFUSED, child.name, error.message)\n",
            ),
        ),
        ("training/exists/create.pods.run-a1-0#1",),
    ),
    Mutant(
        "children made for an object that is gone",
        (
            (
                APPLIER,
                "            if error.conflict or error.not_found:\n                return False\n",
                "            if error.not_found:\n                return True\n"
                "            if error.conflict:\n                return False\n",
            ),
        ),
        ("training/gone/patch.trainingruns.status.run.a1-Starting#1",),
    ),
    Mutant(
        "Retry-After not heard by the client",
        ((CLIENT, "self._backoff.delay(failures, error.retry_after)", "self._backoff.delay(failures, None)"),),
        ("training/429/create.services.run-tr#1",),
    ),
    Mutant(
        "Retry-After not heard by the queue",
        ((QUEUE, "        if at_least > 0:\n", "        if at_least > 1e9:\n"),),
        ("training/429/create.pods.run-a1-0#1", "training/429/delete.pods.run-a2-0#1"),
    ),
    Mutant(
        "no list after 410",
        (
            (INFORMER, "            if failure.status != 429:\n", "            if failure.status == 0:\n"),
            (
                INFORMER,
                "        if error.gone or (error.status >= 400 and",
                "        if False and (error.status >= 400 and",
            ),
        ),
        ("training/410/pods.ADDED#1",),
    ),
    Mutant(
        "silence of a watch not noticed",
        ((CLIENT, "sock_read=silence", "sock_read=None"),),
        ("training/silent/pods.ADDED#1", "training/silent/pods.MODIFIED#1"),
    ),
    Mutant(
        "reservations forgotten at a restart",
        (
            (
                APP,
                "            self.placer.restore(stored.key, stored.uid, attempt, grants, hold)\n",
                "            del grants, hold\n",
            ),
        ),
        ("contending/crash-after/create.pods.first-a1-0#1", "contending/crash-after/create.pods.first-a1-1#1"),
    ),
    Mutant(
        "grants not reserved",
        (
            (
                "runtime/placer.py",
                "            self._hold(ask.uid, [*before, *new])\n",
                "            self._hold(ask.uid, before)\n",
            ),
        ),
        ("contending", "contending/crash-before/create.pods.first-a1-0#1"),
    ),
    Mutant(
        "random names",
        (
            ("domain/naming.py", "import hashlib\n", "import hashlib\nimport random\n"),
            (
                "domain/naming.py",
                'return f"{run}-a{attempt}-{rank}"',
                'return f"{run}-a{attempt}-{rank}-{random.randrange(16**5):05x}"',
            ),
        ),
        ("contending", "training/crash-after/create.pods.run-a1-0#1"),
    ),
    Mutant(
        "a failed write is not tried again",
        (
            (
                RECONCILER,
                "        raise RetryError(problems[0].message, max",
                "        return\n        raise RetryError(problems[0].message, max",
            ),
        ),
        ("training/429/create.services.run-tr#1",),
    ),
    Mutant(
        "a Lease that ran out not noticed",
        (
            (LEASE, "return self._clock() < self._sent + self._times.renew", "return self._sent > 0"),
            (LEASE, "return self._sent + self._times.duration - self._clock() if", "return self._times.duration if"),
        ),
        ("training/lease-silent/create.pods.run-a1-0#1",),
    ),
    Mutant(
        "another's Lease taken back",
        ((LEASE, 'if other not in ("", self.holder):', "if not other:"),),
        ("training/lease-taken/create.pods.run-a1-0#1",),
    ),
    Mutant(
        "no pause between tries",
        ((QUEUE, "        pause = max(at_least, min(", "        pause = 0 * max(at_least, min("),),
        ("training/poison/create.services.run-tr#1",),
    ),
    Mutant(
        "the first cause forgotten in a crash",
        (
            (
                "domain/training/ending.py",
                "    return report(view, after, why, intent=True, release=True, requeue_after=requeue_after)\n",
                "    return report(view, after, why, intent=False, release=True, requeue_after=requeue_after)\n",
            ),
        ),
        ("training/crash-before/patch.trainingruns.status.run.a1-UserFailure#1",),
    ),
    Mutant(
        "transition times that always move",
        (
            (
                "api/conditions.py",
                "if previous is None or previous.status != condition.status:",
                "if previous is None or previous.status != condition.status or True:",
            ),
        ),
        ("training",),
    ),
    Mutant(
        "the spec in the log",
        ((RECONCILER, '            "decided",\n', '            "decided",\n            spec=stored.spec,\n'),),
        ("training",),
    ),
)


def plant(mutant: Mutant, folder: Path) -> Path:
    """A copy of operator/ with the bug in it. Raises AssertionError where the bug does not fit any more."""
    target = folder / "operator"
    shutil.copytree(ROOT / "operator", target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in mutant.changes:
        file = target / "tandem" / name
        text = file.read_text()
        assert text.count(before) == 1, f"{mutant.name}: {name} has {text.count(before)} times {before!r}"
        file.write_text(text.replace(before, after))
    return target


async def hunt(mutants: Sequence[Mutant], lane: Lane) -> list[Verdict]:
    """Try every mutant on a lane whose stories are learnt with the sound operator."""
    for story in dict.fromkeys(parse(text).story for mutant in mutants for text in mutant.plans):
        await lane.reference(story)
    verdicts = []
    for mutant in mutants:
        with tempfile.TemporaryDirectory(prefix="tandem-mutant-") as folder:
            lane.use(plant(mutant, Path(folder)))
            verdicts.append(await _try(mutant, lane))
            lane.use(ROOT / "operator")
    return verdicts


async def _try(mutant: Mutant, lane: Lane) -> Verdict:
    for text in mutant.plans:
        result = await lane.run(parse(text))
        if result.violations:
            verdict = Verdict(mutant, text, result.violations[0].splitlines()[0])
            print(f"killed  {mutant.name}: {text}: {verdict.violation[:160]}", flush=True)
            return verdict
    print(f"LIVES   {mutant.name}", flush=True)
    return Verdict(mutant)


async def _main(names: Sequence[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    async with Lane() as lane:
        verdicts = await hunt(chosen, lane)
    alive = [verdict.mutant.name for verdict in verdicts if not verdict.killer]
    print(f"{len(verdicts)} mutants, {len(verdicts) - len(alive)} killed" + "".join(f"\n    lives: {n}" for n in alive))
    return 1 if alive or not chosen else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description="Seeded bugs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(mutant.name for mutant in MUTANTS))
    sys.exit(asyncio.run(_main(parser.parse_args().names)))
