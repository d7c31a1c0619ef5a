"""The chart's alerts: each fires on what it is for and on nothing less, speaks of metrics that exist, and has its page."""

import re
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from devcluster import gobuild
from tandem.api.reasons import Reason
from tandem.cluster.metrics import Metrics
from tests.unit.package.conftest import ROOT, Render

OPERATOR = 'job="tandem-metrics",namespace="tandem-system"'
SHOWN = ("--set", "prometheusRule.enabled=true,prometheusRule.force=true")
LINE = 'tandem_informer_lag_seconds{OPERATOR,informer="pods"}'
READS = 'tandem_api_requests_total{OPERATOR,verb="list",resource="pods",code="%s"}'
ENDS = 'tandem_reconciles_total{OPERATOR,kind="TrainingRun",outcome="%s"}'
TOOK = 'tandem_reconcile_seconds_bucket{OPERATOR,kind="TrainingRun",le="%s"}'
LOST = 'tandem_attempts_total{OPERATOR,class="%s"}'
DEVICES = 'tandem_devices{OPERATOR,profile="a",state="%s"}'

Rules = list[dict[str, Any]]
Series = dict[str, str]
"""Series -> samples, one a minute, in promtool's notation."""


@dataclass(frozen=True)
class Case:
    """When an alert fires, when something like it does not, both seen after `minutes`."""

    fires: Series
    quiet: Series
    minutes: int = 40
    about: str = ""
    """Labels of the alert, besides its severity."""


CASES = {
    "TandemDown": Case({"up{OPERATOR}": "1x10 0x30"}, {"up{OPERATOR}": "1x36 0x4"}),
    "TandemNoLeader": Case(
        {'tandem_lease_held{OPERATOR,pod="a"}': "1x30 0x10", 'tandem_lease_held{OPERATOR,pod="b"}': "0x40"},
        {'tandem_lease_held{OPERATOR,pod="a"}': "1x30 0x10", 'tandem_lease_held{OPERATOR,pod="b"}': "0x31 1x9"},
    ),
    "TandemQueueStuck": Case(
        {"tandem_queue_oldest_seconds{OPERATOR}": "0x20 61x20"},
        # Somebody else's operator may be as slow as it likes.
        {"tandem_queue_oldest_seconds{OPERATOR}": "60x40", 'tandem_queue_oldest_seconds{job="other"}': "600x40"},
    ),
    "TandemReconcilesFail": Case(
        {ENDS % "ok": "0+70x40", ENDS % "error": "0+20x40", ENDS % "bug": "0+10x40"},
        {ENDS % "ok": "0+80x40", ENDS % "error": "0+19x40", ENDS % "retry": "0+90x40"},
        about='kind="TrainingRun"',
    ),
    "TandemBug": Case({ENDS % "bug": "1x39 2"}, {ENDS % "bug": "1x40"}, about='kind="TrainingRun"'),
    "TandemReconcilesSlow": Case(
        {TOOK % "5.0": "0+98x40", TOOK % "10.0": "0+100x40", TOOK % "+Inf": "0+100x40"},
        {TOOK % "5.0": "0+100x40", TOOK % "10.0": "0+100x40", TOOK % "+Inf": "0+100x40"},
        about='kind="TrainingRun"',
    ),
    "TandemForbidden": Case(
        {READS % "403": "0+1x40"},
        # What a namespace's quota refuses is no fault of the role.
        {
            READS % "200": "0+1x40",
            'tandem_api_requests_total{OPERATOR,verb="create",resource="pods",code="403"}': "0+1x40",
        },
        about='verb="list",resource="pods"',
    ),
    "TandemApiFails": Case(
        {READS % "200": "0+88x40", READS % "503": "0+6x40", READS % "Unreachable": "0+6x40"},
        {READS % "200": "0+80x40", READS % "500": "0+9x40", READS % "409": "0+6x40", READS % "Cancelled": "0+5x40"},
    ),
    "TandemWatchSilent": Case({LINE: "0x30 301x10"}, {LINE: "300x40"}, about='informer="pods"'),
    "TandemInfraFailures": Case(
        {LOST % "InfraFailure": "0x20 6x20"}, {LOST % "InfraFailure": "0x20 5x20", LOST % "UserFailure": "0x20 90x20"}
    ),
    "TandemNotBound": Case({LOST % "NotBound": "0x20 6x20"}, {LOST % "NotBound": "0x20 5x20"}),
    "TandemDevicesGone": Case(
        {DEVICES % "free": "0x90", DEVICES % "allocated": "8x60 0x30"},
        # All of them are taken; and a profile that never had any.
        {
            DEVICES % "free": "8x60 0x30",
            DEVICES % "allocated": "0x60 8x30",
            'tandem_devices{OPERATOR,profile="b"}': "0x90",
        },
        minutes=80,
        about='profile="a"',
    ),
}


@pytest.fixture(scope="module")
def rules(render: Render) -> Rules:
    """The alerts as the chart renders them."""
    (found,) = [item for item in render(*SHOWN) if item["kind"] == "PrometheusRule"]
    (group,) = found["spec"]["groups"]
    alerts: Rules = group["rules"]
    return alerts


@pytest.fixture(scope="module")
def promtool(rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run promtool beside rules.yaml; what it says, once it ends well."""
    program = gobuild.ensure(gobuild.PROMETHEUS) / "promtool"
    folder = tmp_path_factory.mktemp("alerts")
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "tandem", "rules": rules}]}))

    def run(*words: str, tests: list[dict[str, Any]] | None = None) -> None:
        if tests is not None:
            document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
            (folder / "tests.yaml").write_text(yaml.safe_dump(document))
        done = subprocess.run([program, *words], cwd=folder, text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def ours(text: str) -> str:
    return text.replace("OPERATOR", OPERATOR)


def severity(rules: Rules, alert: str) -> str:
    (found,) = [rule["labels"]["severity"] for rule in rules if rule["alert"] == alert]
    return str(found)


def seen(series: Series, minutes: int, alert: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A test of promtool: the instances of an alert that fire at some minute."""
    query = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    return {
        "interval": "1m",
        "input_series": [{"series": ours(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": f"{minutes}m", "exp_samples": samples}],
    }


def test_promtool_finds_nothing_wrong(promtool: Any) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")


@pytest.mark.parametrize("alert", sorted(CASES))
def test_an_alert_fires_when_it_should_and_only_then(alert: str, promtool: Any, rules: Rules) -> None:
    case = CASES[alert]
    labels = f'alertname="{alert}",alertstate="firing",severity="{severity(rules, alert)}"'
    about = f",{case.about}" if case.about else ""
    fired = [{"labels": f"ALERTS{{{labels}{about}}}", "value": 1}]
    tests = [seen(case.fires, case.minutes, alert, fired), seen(case.quiet, case.minutes, alert, [])]
    promtool("test", "rules", "tests.yaml", tests=tests)


def test_an_operator_that_was_never_there_is_down_too(promtool: Any, rules: Rules) -> None:
    labels = 'alertname="TandemDown",alertstate="firing",severity="critical"'
    fired = [{"labels": f"ALERTS{{{labels}}}", "value": 1}]
    promtool("test", "rules", "tests.yaml", tests=[seen({"up": "1x10"}, 10, "TandemDown", fired)])


def test_summaries_are_sentences_with_their_numbers(promtool: Any, rules: Rules) -> None:
    (rule,) = [rule for rule in rules if rule["alert"] == "TandemReconcilesFail"]
    told = {**rule["annotations"], "summary": "30% of the reconciles of TrainingRun fail."}
    alert = {"exp_labels": {"severity": "warning", "kind": "TrainingRun"}, "exp_annotations": told}
    case = CASES["TandemReconcilesFail"]
    test = {
        **seen(case.fires, 40, "TandemReconcilesFail", []),
        "promql_expr_test": [],
        "alert_rule_test": [{"eval_time": "40m", "alertname": "TandemReconcilesFail", "exp_alerts": [alert]}],
    }
    promtool("test", "rules", "tests.yaml", tests=[test])


def test_every_alert_has_its_case(rules: Rules) -> None:
    assert {rule["alert"] for rule in rules} == CASES.keys()


def test_every_alert_has_its_section(rules: Rules) -> None:
    page = (ROOT / "docs/alerts.md").read_text()
    sections = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert sections == [rule["alert"] for rule in rules]
    for rule in rules:
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}
        told = page.split(f"## {rule['alert']}\n")[1].strip()
        assert told.startswith(f"{rule['labels']['severity'].capitalize()}. ")


def test_alerts_speak_of_metrics_and_labels_that_exist(rules: Rules) -> None:
    """A misspelt one would never fire, and nobody would know."""
    metrics = [found for found in vars(Metrics()).values() if isinstance(found, MetricWrapperBase)]
    labels = {name: set(found._labelnames) for found in metrics for name in names(found)}
    for rule in rules:
        selected = re.findall(r"(tandem_\w+)\{([^}]*)\}", rule["expr"])
        assert selected or rule["alert"] == "TandemDown"
        for metric, chosen in selected:
            assert metric in labels, rule["alert"]
            assert set(re.findall(r"(\w+)=~?\"", chosen)) <= labels[metric] | {"job", "namespace"}, rule["alert"]
    reasons = re.findall(r'class="(\w+)"', " ".join(rule["expr"] for rule in rules))
    assert set(reasons) <= {reason.value for reason in Reason}


def names(metric: MetricWrapperBase) -> list[str]:
    """Of the series that a metric is scraped as."""
    name = str(metric._name)
    return {"counter": [f"{name}_total"], "histogram": [f"{name}_bucket"]}.get(metric._type, [name])


def test_the_alerts_are_for_this_release_alone(rules: Rules) -> None:
    for rule in rules:
        assert rule["expr"].count("{") == rule["expr"].count(OPERATOR), rule["alert"]


def test_the_runbooks_may_lie_elsewhere(render: Render) -> None:
    (found,) = [
        item for item in render(*SHOWN, "--set", "prometheusRule.runbooks=https://x/a") if "Rule" in item["kind"]
    ]
    (group,) = found["spec"]["groups"]
    assert {rule["annotations"]["runbook_url"].split("#")[0] for rule in group["rules"]} == {"https://x/a"}
