"""Programs for pods of tests: they run until told how to end, so that no test depends on a pause."""

STEERED = [
    "sh",
    "-c",
    "trap 'exit 0' TERM; trap 'echo no such file; exit 7' USR1;"
    """ trap 'echo "lost a peer" > /dev/termination-log; exit 7' USR2; sleep 3600 & wait""",
]
"""Runs until a signal: TERM ends it well, USR1 and USR2 with exit code 7, USR2 with a message."""

RESUMABLE = [
    "sh",
    "-c",
    'if [ "$TANDEM_RESUME" = 1 ]; then [ -d "$TANDEM_CHECKPOINT_DIR" ]; exit; fi;'
    """ echo 'out of luck' > /dev/termination-log;"""
    """ echo '{"tandem": {"step": 1200, "checkpoint": {"path": "step-1200", "digest": "sha256:ab"}}}'"""
    " >> /dev/termination-log; exit 3",
]
"""Reports a checkpoint and fails; ends well when it is told to go on from one."""


def fails_on_rank(rank: int, code: int, attempts: int) -> list[str]:
    """Rank `rank` fails with `code` in the first `attempts` attempts; in later ones every rank ends well.

    The other ranks wait for a signal meanwhile, as those of a real gang hang in a collective.
    """
    script = (
        "trap 'exit 0' TERM;"
        f" [ $TANDEM_ATTEMPT -gt {attempts} ] && exit 0;"
        f" [ $TANDEM_POD_RANK = {rank} ] && {{ echo 'bad luck' > /dev/termination-log; exit {code}; }};"
        " sleep 3600 & wait"
    )
    return ["sh", "-c", script]
