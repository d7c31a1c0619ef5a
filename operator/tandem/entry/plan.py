"""`tandem plan -f FILE`: where runs and services would go if they were applied now."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tandem.api.conditions import ConditionType
from tandem.cluster.client import ApiError, Client, CredentialsError
from tandem.cluster.metrics import Metrics
from tandem.domain.prerequisites.finding import some
from tandem.domain.words import times
from tandem.entry import arguments, chances
from tandem.runtime import logs
from tandem.runtime.app import Operator
from tandem.runtime.forecast import Forecast, fill, forecast
from tandem.runtime.objects import WORKLOADS
from tandem.runtime.resync import CrdsMissingError
from tandem.runtime.settings import Settings

PLACED, NOT_PLACED, UNKNOWN = range(3)
EPILOG = (
    "Exit code: 0 everything would be placed, 1 something would not, 2 the file or the cluster cannot be read. "
    "The schema is not checked: that is `kubectl apply --dry-run=server`."
)


class ManifestError(Exception):
    """The file holds something that cannot be planned."""


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    told = "say where runs and services would go if they were applied now, and why not elsewhere; writes nothing"
    parser = commands.add_parser("plan", help=told, description=f"{told[0].upper()}{told[1:]}.", epilog=EPILOG)
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="manifests; - is standard input")
    parser.add_argument("-n", "--namespace", default="default", help="of objects that name none (default: %(default)s)")
    arguments.cluster(parser)
    arguments.output(parser)


def execute(parsed: argparse.Namespace) -> int:
    """Look, and tell. Returns the exit code."""
    logs.configure("auto", "error")
    try:
        found = asyncio.run(_look(parsed, _manifests(parsed.filename)))
    except (ManifestError, CredentialsError, CrdsMissingError, ApiError, OSError) as error:
        sys.stderr.write(f"cannot plan: {error}\n")
        return UNKNOWN
    if parsed.output == "json":
        sys.stdout.write(json.dumps([_row(item) for item in found], indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_text(item) for item in found))
    return PLACED if all(item.placed for item in found) else NOT_PLACED


def _manifests(name: str) -> Sequence[Mapping[str, Any]]:
    """The runs and services of a file, in its order. Raises ManifestError, OSError."""
    text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    try:
        found = [item for item in yaml.safe_load_all(text) if item is not None]
    except yaml.YAMLError as error:
        raise ManifestError(f"{name} is not YAML: {error}") from error
    for item in found:
        kind = item.get("kind") if isinstance(item, dict) else None
        if kind not in WORKLOADS:
            raise ManifestError(
                f"{name} holds a {kind or 'document without kind'}; only {' and '.join(WORKLOADS)} are planned"
            )
        if not isinstance(item.get("metadata"), dict) or not item["metadata"].get("name"):
            raise ManifestError(f"a {kind} in {name} has no metadata.name")
    if not found:
        raise ManifestError(f"{name} is empty")
    return found


async def _look(parsed: argparse.Namespace, manifests: Sequence[Mapping[str, Any]]) -> Sequence[Forecast]:
    metrics = Metrics()
    async with await Client.connect(kubeconfig=parsed.kubeconfig, context=parsed.context, metrics=metrics) as client:
        operator = Operator(Settings(), client, metrics)
        await fill(operator)
        # One after the other: each takes its devices from the next.
        return [
            await forecast(operator, item["kind"], item["metadata"].get("namespace") or parsed.namespace, item)
            for item in manifests
        ]


def _text(item: Forecast) -> str:
    ready = item.condition(ConditionType.READY)
    placement = item.status.get("placement") or {}
    again = " (exists; judged as if edited)" if item.exists else ""
    lines = [f"{item.key.kind} {item.key.namespace}/{item.key.name}{again}: {_verdict(item)}"]
    if item.placed and placement.get("reason"):
        lines.append(f"  {placement['reason']}")
    lines += [
        f"  {share['name']} on {share.get('accelerator')}: {times(share['replicas'], 'replica')}"
        for share in item.status.get("variants") or ()
        if share["replicas"]
    ]
    lines += [f"  {line}" for line in chances.table(item)]
    lines.append(f"  STATUS would be {ready.get('reason', '')}: {ready.get('message', '')}")
    made = [f"{child.body['kind']} {child.name}" for child in item.plan.create]
    if made:
        lines.append(f"  would make {some(made)}")
    return "\n".join(lines) + "\n"


def _verdict(item: Forecast) -> str:
    if not item.placed:
        return "would not be placed"
    return f"would be placed on {(item.status.get('placement') or {}).get('chosen') or 'nothing: it asks for nothing'}"


def _row(item: Forecast) -> Mapping[str, Any]:
    ready = item.condition(ConditionType.READY)
    return {
        "kind": item.key.kind,
        "namespace": item.key.namespace,
        "name": item.key.name,
        "exists": item.exists,
        "placed": item.placed,
        "ready": {"reason": ready.get("reason"), "message": ready.get("message")},
        "placement": item.status.get("placement"),
        "variants": item.status.get("variants"),
        "candidates": chances.rows(item),
        "creates": [{"kind": child.body["kind"], "name": child.name} for child in item.plan.create],
    }
