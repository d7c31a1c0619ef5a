"""`tandem check`: what the cluster lacks, in lines for people or as JSON for pipelines."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from tandem.api.crd import all_crds
from tandem.cluster.client import ApiError, Client, CredentialsError
from tandem.domain.prerequisites import check
from tandem.domain.prerequisites.finding import Finding, Level
from tandem.domain.prerequisites.rights import Account
from tandem.domain.words import times
from tandem.entry import arguments
from tandem.runtime.inspection import inspect

FINE, FAILURES, UNREACHABLE = range(3)
DEFAULT_OPERATOR = "tandem-system/tandem"
EPILOG = "Exit code: 0 nothing failed (there may be warnings), 1 something failed, 2 the cluster cannot be reached."
_COLOURS = {Level.OK: "32", Level.INFO: "36", Level.WARN: "33", Level.FAIL: "31"}


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    told = "say what the cluster lacks for Tandem, and what looks odd; reads only, with your rights"
    parser = commands.add_parser("check", help=told, description=f"{told[0].upper()}{told[1:]}.", epilog=EPILOG)
    arguments.cluster(parser)
    parser.add_argument(
        "--operator",
        default=DEFAULT_OPERATOR,
        type=_account,
        metavar="NAMESPACE/NAME",
        help="the operator's ServiceAccount, whose rights are looked at (default: %(default)s)",
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json: one object with all findings")


def execute(parsed: argparse.Namespace) -> int:
    """Look, and tell. Returns the exit code."""
    try:
        found = asyncio.run(_look(parsed))
    except (CredentialsError, ApiError, OSError) as error:
        sys.stderr.write(f"cannot reach the cluster: {error}\n")
        return UNREACHABLE
    if parsed.output == "json":
        sys.stdout.write(_json(found))
    else:
        _tell(found, sys.stdout)
    return FAILURES if _count(found, Level.FAIL) else FINE


async def _look(parsed: argparse.Namespace) -> Sequence[Finding]:
    wanted = all_crds()
    async with await Client.connect(kubeconfig=parsed.kubeconfig, context=parsed.context) as client:
        seen = await inspect(client, parsed.operator, [one["metadata"]["name"] for one in wanted])
    return check.findings(seen, wanted)


def _account(text: str) -> Account:
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return Account(namespace, name)


def _tell(found: Sequence[Finding], out: TextIO) -> None:
    coloured = out.isatty() and not os.environ.get("NO_COLOR")
    for finding in found:
        level = f"{finding.level:<4}"
        if coloured:
            level = f"\033[{_COLOURS[finding.level]}m{level}\033[0m"
        out.write(f"{level}  {finding.subject:<10}  {finding.message}\n")
        if finding.mend:
            out.write(f"{'':<18}-> {finding.mend}\n")
    out.write(f"{times(_count(found, Level.FAIL), 'failure')}, {times(_count(found, Level.WARN), 'warning')}\n")


def _json(found: Sequence[Finding]) -> str:
    rows = [
        {"level": one.level.value, "subject": one.subject, "message": one.message, "mend": one.mend} for one in found
    ]
    told = {"failures": _count(found, Level.FAIL), "warnings": _count(found, Level.WARN), "findings": rows}
    return json.dumps(told, indent=2) + "\n"


def _count(found: Sequence[Finding], level: Level) -> int:
    return sum(finding.level is level for finding in found)
