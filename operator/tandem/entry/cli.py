"""The command line: `tandem run`, `tandem check`, `tandem plan`, `tandem explain`, `tandem crds`."""

import argparse
import asyncio
import sys
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import structlog
from pydantic_settings import CliSettingsSource

from tandem.cluster.backoff import Backoff
from tandem.cluster.client import ApiError, Client, CredentialsError
from tandem.cluster.lease import Lease, LeaseLostError
from tandem.cluster.metrics import Metrics
from tandem.entry import check, explain, handlers, plan
from tandem.runtime import logs
from tandem.runtime.app import EndedError, Operator
from tandem.runtime.resync import CrdsMissingError
from tandem.runtime.settings import Settings

log = structlog.get_logger(__name__)
DESCRIPTION = "Tandem: one resource for clusters with more than one make of AI accelerator."
EPILOG = "Every option of `run` is an environment variable too: --bind-seconds is TANDEM_BIND_SECONDS."


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tandem", description=DESCRIPTION, epilog=EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator", epilog=EPILOG)
    source: CliSettingsSource[argparse.ArgumentParser] = CliSettingsSource(
        Settings, root_parser=run, cli_kebab_case=True, cli_hide_none_type=True
    )
    commands.add_parser("crds", help="print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`")
    check.register(commands)
    plan.register(commands)
    explain.register(commands)
    parsed = parser.parse_args(arguments)
    if parsed.command == "check":
        return check.execute(parsed)
    if parsed.command == "plan":
        return plan.execute(parsed)
    if parsed.command == "explain":
        return explain.execute(parsed)
    if parsed.command == "crds":
        return _print_crds()
    given = {name: value for name, value in vars(parsed).items() if name != "command"}
    return _run(Settings(_cli_settings_source=source(parsed_args=given)))


def _print_crds() -> int:
    from tandem.api.crd import all_crds, to_yaml  # noqa: PLC0415 - the operator itself does not need the generator

    sys.stdout.write("---\n".join(to_yaml(definition) for definition in all_crds()))
    return 0


def _run(settings: Settings) -> int:
    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(_operate(settings))
    except LeaseLostError as error:
        log.error("lost the leadership, ending so that a fresh standby takes this place", problem=str(error))
        return 1
    except (CredentialsError, CrdsMissingError, ApiError, EndedError, OSError) as error:
        log.error("cannot run", problem=str(error))
        return 1
    log.info("stopped")
    return 0


async def _operate(settings: Settings) -> None:
    metrics = Metrics()
    connect = partial(
        Client.connect,
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        replica=settings.replica_name,
        metrics=metrics,
    )
    async with AsyncExitStack() as stack:
        lease = None
        if settings.lease_namespace is not None:
            times = settings.lease_times()
            # A client of its own, so that no renewal queues behind other requests.
            patience = Backoff(base=times.retry / 8, cap=times.retry)
            leasing = await stack.enter_async_context(await connect(request_timeout=times.retry, backoff=patience))
            # A container that is restarted keeps its pod's name, and is another holder all the same.
            holder = f"{settings.replica_name}_{uuid.uuid4()}"
            lease = Lease(leasing, settings.lease_namespace, settings.lease_name, holder, times)
        fence = lease.time_left if lease is not None else None
        client = await stack.enter_async_context(await connect(request_timeout=settings.request_timeout, fence=fence))
        await Operator(settings, client, metrics, lease).run(handlers.watch)
