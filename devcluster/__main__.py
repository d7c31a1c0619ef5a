"""python -m devcluster: the development cluster's commands."""

import argparse
import sys
from collections.abc import Sequence

from devcluster import cluster, engine, load, paths
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
    return top


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
