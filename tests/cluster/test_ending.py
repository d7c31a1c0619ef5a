"""How a pod's containers ended or why they wait, and what the program said at its end."""

import json
from typing import Any

import pytest

from tandem.cluster import trim
from tandem.domain.observed import OwnPod, Report
from tests.cluster.objects import container, own_pod, terminated, waiting

REPORT = {"tandem": {"step": 1200, "checkpoint": {"path": "step-1200", "digest": "sha256:ab"}}}


def own(**status: Any) -> OwnPod:
    record = trim.pod(own_pod(**status))
    assert isinstance(record, OwnPod)
    return record


def said(message: str, code: int = 0) -> OwnPod:
    return own(phase="Succeeded", containerStatuses=[container(terminated(code, message))])


@pytest.mark.parametrize(
    ("message", "report", "rest"),
    [
        (json.dumps(REPORT), Report(1200, "step-1200", "sha256:ab"), ""),
        (json.dumps(REPORT) + "\n\n", Report(1200, "step-1200", "sha256:ab"), ""),
        (
            "loss 0.1\nall done\n  " + json.dumps(REPORT) + "  \n",
            Report(1200, "step-1200", "sha256:ab"),
            "loss 0.1 | all done",
        ),
        ('{"tandem": {"step": 0}}', Report(0, None, None), ""),
        ('{"tandem": {"step": 5, "checkpoint": {"path": "p"}}}', Report(5, "p", None), ""),
        ('{"tandem": {"step": 5, "later": 1}, "other": 2}', Report(5, None, None), ""),
    ],
    ids=["alone", "with line ends", "after text", "no checkpoint", "no digest", "unknown fields"],
)
def test_the_last_line_is_a_report(message: str, report: Report, rest: str) -> None:
    record = said(message)
    assert (record.report, record.message) == (report, rest)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "all done",
        "{",
        "[1]",
        '"tandem"',
        "{}",
        '{"tandem": 5}',
        '{"tandem": {}}',
        '{"tandem": {"step": "5"}}',
        '{"tandem": {"step": 5.0}}',
        '{"tandem": {"step": true}}',
        '{"tandem": {"step": -1}}',
        '{"tandem": {"step": 5, "checkpoint": null}}',
        '{"tandem": {"step": 5, "checkpoint": "p"}}',
        '{"tandem": {"step": 5, "checkpoint": {}}}',
        '{"tandem": {"step": 5, "checkpoint": {"path": ""}}}',
        '{"tandem": {"step": 5, "checkpoint": {"path": 1, "digest": "d"}}}',
        '{"tandem": {"step": 5, "checkpoint": {"path": "p", "digest": 1}}}',
        '{"a":' * 300 + "1" + "}" * 300,
    ],
)
def test_anything_else_is_the_programs_own_text(line: str) -> None:
    record = said("text\n" + line)
    assert record.report is None
    assert record.message.startswith("text" if len(line) < 150 else "…")
    assert record.message.endswith(line.strip()[-40:])


def test_a_report_is_only_read_from_the_last_line() -> None:
    assert said(json.dumps(REPORT) + "\nbye").report is None


def test_a_report_longer_than_two_kilobytes_is_text() -> None:
    long = json.dumps({"tandem": {"step": 1, "checkpoint": {"path": "p" * 2000, "digest": "d"}}})
    assert len(long) > 2048
    assert said(long).report is None
    fits = json.dumps({"tandem": {"step": 1, "checkpoint": {"path": "p" * 1900, "digest": "d"}}})
    assert said(fits).report == Report(1, "p" * 1900, "d")


def test_of_a_long_message_the_end_is_kept() -> None:
    """It may be the end of a log: the name of an error stands in the last line of its traceback."""
    record = said(
        "Traceback (most recent call last):\n" + '  File "x.py"\n' * 99 + "ValueError: no such model\n", code=1
    )
    assert len(record.message) == 160
    assert record.message.startswith("…")
    assert record.message.endswith('File "x.py" | ValueError: no such model')


def test_the_pods_own_reason_goes_before_that_of_its_container() -> None:
    record = own(
        phase="Failed",
        reason="Evicted",
        message="The node was low on resource: memory.",
        containerStatuses=[container(terminated(137, json.dumps(REPORT)))],
    )
    assert (record.reason, record.message, record.exit_code) == (
        "Evicted",
        "The node was low on resource: memory.",
        137,
    )
    assert record.report == Report(1200, "step-1200", "sha256:ab")


def test_a_pod_that_the_kubelet_refused_has_a_reason_and_no_exit_code() -> None:
    record = own(phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed")
    assert (record.reason, record.message, record.exit_code) == ("UnexpectedAdmissionError", "Allocate failed", None)


def test_only_the_main_containers_end_counts() -> None:
    record = own(containerStatuses=[container(terminated(1), name="logger"), container(terminated(0))])
    assert record.exit_code == 0


def test_an_init_container_that_failed_is_the_end_of_a_pod_that_never_ran() -> None:
    record = own(
        phase="Failed",
        initContainerStatuses=[
            container(terminated(0), name="first"),
            container(terminated(3, "no model"), name="second"),
        ],
        containerStatuses=[container(waiting("PodInitializing"))],
    )
    assert (record.exit_code, record.reason, record.message) == (3, "Error", "no model")


def test_a_sidecar_killed_at_the_end_says_nothing() -> None:
    killed = container(terminated(137), name="tandem-sidecar")
    assert own(initContainerStatuses=[killed], containerStatuses=[container(terminated(0))]).exit_code == 0
    assert own(initContainerStatuses=[killed], containerStatuses=[container({"running": {}})]).exit_code is None


def test_a_crash_loop_shows_how_it_ended_last() -> None:
    record = own(
        containerStatuses=[
            container(waiting("CrashLoopBackOff", "back-off 5m0s"), lastState=terminated(1, "no such model"))
        ]
    )
    assert (record.waiting_reason, record.waiting_message) == ("CrashLoopBackOff", "back-off 5m0s")
    assert (record.exit_code, record.message) == (1, "no such model")


def test_a_container_that_runs_again_is_not_ended() -> None:
    assert own(containerStatuses=[container({"running": {}}, lastState=terminated(1))]).exit_code is None


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", ""])
def test_a_container_that_starts_is_in_no_trouble(reason: str) -> None:
    assert own(containerStatuses=[container(waiting(reason))]).waiting_reason == ""


def test_the_first_trouble_on_the_way_to_main_is_told() -> None:
    record = own(
        initContainerStatuses=[container(waiting("ImagePullBackOff", "no such image"), name="init")],
        containerStatuses=[container(waiting("PodInitializing"))],
    )
    assert (record.waiting_reason, record.waiting_message) == ("ImagePullBackOff", "no such image")
    record = own(
        initContainerStatuses=[container(terminated(0), name="init")],
        containerStatuses=[container(waiting("ErrImagePull", "m" * 300))],
    )
    assert record.waiting_reason == "ErrImagePull"
    assert len(record.waiting_message) == 256
