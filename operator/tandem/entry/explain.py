"""`tandem explain KIND/NAME`: what was decided about a run or a service, what would be decided now, and why."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from tandem.api.conditions import ConditionType
from tandem.cluster.client import ApiError, Client, CredentialsError
from tandem.cluster.metrics import Metrics
from tandem.domain import clock
from tandem.domain.observed import Key
from tandem.entry import arguments, chances
from tandem.runtime import logs
from tandem.runtime.app import Operator
from tandem.runtime.forecast import Forecast, Turn, UnknownObjectError, explain, fill
from tandem.runtime.objects import StoredObject
from tandem.runtime.resync import CrdsMissingError
from tandem.runtime.settings import Settings

TOLD, UNKNOWN = 0, 2
KINDS = {
    **dict.fromkeys(("trun", "trainingrun", "trainingruns"), "TrainingRun"),
    **dict.fromkeys(("infsvc", "inferenceservice", "inferenceservices"), "InferenceService"),
}
EPILOG = "Exit code: 0 told, 2 there is no such object, or the cluster cannot be read."


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    told = "say what was decided about a run or a service, what would be decided now, and why; writes nothing"
    parser = commands.add_parser("explain", help=told, description=f"{told[0].upper()}{told[1:]}.", epilog=EPILOG)
    parser.add_argument("object", type=_object, metavar="KIND/NAME", help="trun/NAME or infsvc/NAME")
    parser.add_argument("-n", "--namespace", default="default", help="of the object (default: %(default)s)")
    arguments.cluster(parser)
    arguments.output(parser)


def execute(parsed: argparse.Namespace) -> int:
    """Look, and tell. Returns the exit code."""
    logs.configure("auto", "error")
    try:
        stored, found = asyncio.run(_look(parsed))
    except (UnknownObjectError, CredentialsError, CrdsMissingError, ApiError, OSError) as error:
        sys.stderr.write(f"cannot explain: {error}\n")
        return UNKNOWN
    told = json.dumps(_details(stored, found), indent=2) if parsed.output == "json" else _text(stored, found)
    sys.stdout.write(told + "\n")
    return TOLD


def _object(text: str) -> tuple[str, str]:
    word, _, name = text.partition("/")
    kind = KINDS.get(word.lower())
    if kind is None or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not trun/NAME or infsvc/NAME")
    return kind, name


async def _look(parsed: argparse.Namespace) -> tuple[StoredObject, Forecast]:
    metrics = Metrics()
    kind, name = parsed.object
    async with await Client.connect(kubeconfig=parsed.kubeconfig, context=parsed.context, metrics=metrics) as client:
        operator = Operator(Settings(), client, metrics)
        await fill(operator)
        return await explain(operator, Key(kind, parsed.namespace, name))


def _text(stored: StoredObject, found: Forecast) -> str:
    was, now = _headline(stored.status), _headline(found.status)
    lines = [f"{stored.key.kind} {stored.key.namespace}/{stored.key.name}: {was}"]
    reason = (stored.status.get("placement") or {}).get("reason")
    if reason:
        lines.append(f"  decided: {reason}")
    lines.append(f"  now: {'the same' if now == was else now}")
    if found.turn is not None:
        lines.append(f"  queue: {_turn(found.turn)}")
    return "\n".join([*lines, *(f"  {line}" for line in chances.table(found))])


def _headline(status: Mapping[str, Any]) -> str:
    """Reason and message of Ready."""
    ready: Mapping[str, Any] = next(
        (item for item in status.get("conditions") or () if item["type"] == ConditionType.READY), {}
    )
    return f"{ready['reason']}: {ready.get('message', '')}" if ready else "not looked at by the operator yet"


def _turn(turn: Turn) -> str:
    since = f", waiting since {clock.stamp(turn.waits_since)}" if turn.waits_since else ""
    return f"place {turn.place} of {turn.of}, priority {turn.priority}{since}"


def _details(stored: StoredObject, found: Forecast) -> Mapping[str, Any]:
    turn = found.turn
    return {
        "kind": stored.key.kind,
        "namespace": stored.key.namespace,
        "name": stored.key.name,
        "decided": _side(stored.status),
        "now": _side(found.status),
        "queue": {
            "place": turn.place,
            "of": turn.of,
            "priority": turn.priority,
            "waitsSince": clock.stamp(turn.waits_since) if turn.waits_since else None,
        }
        if turn
        else None,
        "candidates": chances.rows(found),
    }


def _side(status: Mapping[str, Any]) -> Mapping[str, Any]:
    ready = next((item for item in status.get("conditions") or () if item["type"] == ConditionType.READY), None)
    return {
        "ready": {"reason": ready["reason"], "message": ready.get("message", "")} if ready else None,
        "placement": status.get("placement"),
        "variants": status.get("variants"),
    }
