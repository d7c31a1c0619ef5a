"""Arguments that several commands take, each in the same words."""

import argparse


def cluster(parser: argparse.ArgumentParser) -> None:
    """Which cluster is looked at."""
    parser.add_argument("--kubeconfig", help="kubeconfig file; unset: the pod's service account, or KUBECONFIG")
    parser.add_argument("--context", help="context of the kubeconfig; unset: the current one")


def output(parser: argparse.ArgumentParser) -> None:
    """How candidates are shown."""
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="json: all details")
