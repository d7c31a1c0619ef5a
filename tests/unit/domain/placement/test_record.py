"""A decision can be made again from its record alone."""

import json
from dataclasses import replace

import pytest

from tandem.api.scheduling import Toleration
from tandem.domain.observed import Key, NodeRecord
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.place import Reservation, place
from tandem.domain.placement.record import _decoded, _encoded, record, replay
from tandem.domain.placement.request import Ask, Grant
from tests.unit.domain.builders import NOW, NPUS, candidate, foreign, later, node, option, taint

TOLERANT = option(tolerations=(Toleration(key="dedicated", operator="Exists"),))


def queue() -> list[Ask]:
    """A gang that fits, one that does not, one that is held back, and replicas with a part of them placed."""

    def ask(uid: str, age: float, *names: str, **more: object) -> Ask:
        candidates = tuple(candidate(name, TOLERANT, option(NPUS, pods=3)) for name in names)
        fields = {"kind": "TrainingRun", "namespace": "team", "name": uid, "attempt": 1, **more}
        return Ask(uid=uid, since=later(-age), candidates=candidates, **fields)  # type: ignore[arg-type]

    large = replace(ask("large", 90, "main"), candidates=(candidate("main", option(NPUS, pods=2)),))
    return [
        ask("fits", 100, "main", "other"),
        replace(large, waits_since=later(-1000), starves_after=900.0),
        replace(ask("held", 80, "main"), candidates=(candidate("main", option(NPUS)),), patience=60),
        ask("chat", 70, "main", kind="InferenceService", replicas=2, standing=(Grant("main", option(), 1),)),
    ]


def state() -> Snapshot:
    nodes: list[NodeRecord] = [
        node("gpu-0", taints=(taint("dedicated", "team"),)),
        node("npu-0", 8, NPUS),
        node("npu-1", 8, NPUS, not_ready_since=NOW),
    ]
    return snapshot(nodes, [foreign("npu-1", 1, "huawei.com/Ascend910")])


def test_a_replayed_decision_is_the_decision() -> None:
    owner = Key("TrainingRun", "team", "other")
    reservations = [Reservation("other", 1, option(NPUS, devices=1), 1, owner)]
    decided = place(queue(), state(), reservations, NOW)
    assert replay(record(queue(), state(), reservations, NOW)) == decided
    assert {uid for uid, decision in decided.items() if decision.grants} == {"fits"}


def test_a_record_is_one_line_of_json_and_holds_every_argument() -> None:
    text = record(queue(), state(), (), NOW)
    assert "\n" not in text
    assert _decoded(json.loads(text)) == (tuple(queue()), state(), (), NOW)


@pytest.mark.parametrize("value", [frozenset({"a", "b"}), {("a", 1): (None, True, 1.5)}, ("x", ())])
def test_values_come_back_as_they_were(value: object) -> None:
    assert _decoded(json.loads(json.dumps(_encoded(value)))) == value


@pytest.mark.parametrize(
    "name", ["os:system", "tandem.domain.clock:stamp", "tandem.domain.clock:gone", "tandem.api.reasons:Reason"]
)
def test_what_is_no_record_of_this_program_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no record of this program"):
        replay(json.dumps(["record", name, {}]))
