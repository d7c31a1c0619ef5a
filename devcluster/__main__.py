"""python -m devcluster: the development cluster's commands."""

import argparse
import sys
from collections.abc import Sequence

from devcluster import cluster, engine, faults, load, paths
from devcluster.shell import DevclusterError


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments; each sets `call`, a function of the parsed arguments."""
    top = argparse.ArgumentParser(
        prog="python -m devcluster", description="A kind cluster with fake NVIDIA and Ascend devices."
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    up = commands.add_parser("up", help="have the whole cluster; builds what is missing, touches nothing that is there")
    up.set_defaults(call=lambda _: cluster.up())
    down = commands.add_parser("down", help="take away all that up made; images and programs stay in the cache")
    down.set_defaults(call=lambda _: cluster.down())
    status = commands.add_parser("status", help="nodes, their devices, and what is not well")
    status.set_defaults(call=lambda _: print(cluster.status()))
    loading = commands.add_parser("load", help="put local images into every node")
    loading.add_argument("image", nargs="+")
    loading.set_defaults(call=lambda given: load.load(*given.image))
    kubeconfig = commands.add_parser("kubeconfig", help="print the path of the cluster's kubeconfig")
    kubeconfig.set_defaults(call=lambda _: print(paths.kubeconfig()))
    only_engine = commands.add_parser("engine", help="have a Docker engine, and print how to reach it")
    only_engine.set_defaults(call=lambda _: _engine())
    _add_faults(commands.add_parser("fault", help="break something on purpose, or heal it"))
    return top


def _add_faults(fault: argparse.ArgumentParser) -> None:
    """Each fault names a node and one of two actions; both are functions of devcluster.faults."""
    kinds = fault.add_subparsers(metavar="FAULT", required=True)

    devices = kinds.add_parser("devices", help="mark devices of a node unhealthy, or heal them all")
    devices.add_argument("node")
    action = devices.add_mutually_exclusive_group(required=True)
    action.add_argument("--unhealthy", nargs="+", metavar="ID|INDEX")
    action.add_argument("--heal", action="store_true")
    devices.set_defaults(
        call=lambda given: (
            faults.devices_healthy(given.node) if given.heal else faults.devices_unhealthy(given.node, given.unhealthy)
        )
    )

    for name, text, (broken, breaks), (whole, heals) in TOGGLES:
        toggle = kinds.add_parser(name, help=text)
        toggle.add_argument("node")
        action = toggle.add_mutually_exclusive_group(required=True)
        action.add_argument(f"--{broken}", dest="action", action="store_const", const=breaks)
        action.add_argument(f"--{whole}", dest="action", action="store_const", const=heals)
        toggle.set_defaults(call=lambda given: given.action(given.node))

    apiserver = kinds.add_parser("apiserver", help="kill the API server and wait until the next one is ready")
    apiserver.add_argument("--restart", action="store_true", required=True)
    apiserver.set_defaults(call=lambda _: faults.apiserver_restarted())
    kinds.add_parser("heal", help="put everything back on every node").set_defaults(call=lambda _: faults.heal())


TOGGLES = (
    (
        "allocate",
        "make every Allocate on a node fail",
        ("fail", faults.allocate_fails),
        ("heal", faults.allocate_works),
    ),
    (
        "plugin",
        "take a node's device plugin away",
        ("remove", faults.plugin_removed),
        ("restore", faults.plugin_restored),
    ),
    ("kubelet", "stop a node's kubelet", ("stop", faults.kubelet_stopped), ("start", faults.kubelet_started)),
    ("network", "cut a node's network", ("cut", faults.network_cut), ("restore", faults.network_restored)),
)


def _engine() -> None:
    engine.ensure()
    for name, value in engine.docker_env().items():
        print(f"export {name}={value}")


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it is done, 1 with a message when it cannot be."""
    given = parser().parse_args(args)
    try:
        given.call(given)
    except DevclusterError as error:
        print(f"devcluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
