"""The snapshot that is kept up to date is the one that counting everything anew would give."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod, Wait
from tandem.domain.placement.fit import base_room, room, snapshot
from tandem.domain.placement.ledger import Ledger
from tests.unit.domain.builders import GPU, NPU, NPUS, foreign, node, option, pod

Pod = OwnPod | ForeignPod

NODES = st.none() | st.builds(
    lambda name, devices, cordoned: node(name, devices, cordoned=cordoned),
    st.just(""),
    st.integers(0, 8),
    st.booleans(),
)
PODS = st.none() | st.builds(
    lambda where, devices, terminal, own, wait: (
        pod(node=where, devices=devices, phase="Failed" if terminal else "Running")
        if own
        else replace(foreign(where, 1, terminal=terminal), devices=devices, wait=None if where else wait)
    ),
    st.sampled_from([None, "n0", "n1", "n2"]),
    st.dictionaries(st.sampled_from([GPU, NPU]), st.integers(0, 8)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, Wait(0), Wait(7, node_selector=(("accel", "nvidia-h20"),))]),
)
CHANGES = st.lists(
    st.tuples(st.just("node"), st.sampled_from(["n0", "n1", "n2"]), NODES)
    | st.tuples(st.just("pod"), st.sampled_from(["a", "b", "c", "d"]), PODS),
    max_size=20,
)


@given(CHANGES, st.sets(st.integers(0, 20)))
def test_it_equals_the_snapshot_counted_anew_after_every_change(
    changes: list[tuple[str, str, NodeRecord | Pod | None]], unseen: set[int]
) -> None:
    """Also where nobody looks after some changes: what was found out before is brought up to date for several."""
    ledger, nodes, pods = Ledger(), {}, {}
    for number, (kind, name, new) in enumerate(changes):
        if kind == "node":
            record = replace(new, name=name) if isinstance(new, NodeRecord) else None
            ledger.node_changed(nodes.pop(name, None), record)
            nodes |= {name: record} if record else {}
        else:
            ledger.pod_changed(pods.pop(name, None), new)  # type: ignore[arg-type]
            pods |= {name: new} if new else {}
        if number in unseen:
            continue
        kept, counted = ledger.snapshot(), snapshot(nodes.values(), pods.values())
        assert kept == counted
        for wanted in (option(devices=2), option(NPUS, devices=1)):
            assert base_room(kept, wanted) == room(counted, counted.used, wanted)


def test_a_snapshot_does_not_change_afterwards() -> None:
    ledger = Ledger()
    ledger.node_changed(None, node("gpu-0"))
    before = ledger.snapshot(pods_known=False)
    ledger.pod_changed(None, foreign("gpu-0", 3))
    ledger.node_changed(None, node("gpu-1"))
    assert before == snapshot([node("gpu-0")], [], pods_known=False)


def test_room_that_was_found_once_follows_the_pods() -> None:
    ledger, holder = Ledger(), foreign("gpu-0", 3)
    ledger.node_changed(None, node("gpu-0"))
    wanted = option(devices=2)
    assert base_room(ledger.snapshot(), wanted).pods == 4
    ledger.pod_changed(None, holder)
    found = base_room(ledger.snapshot(), wanted)
    assert found.pods == 2
    assert found == base_room(snapshot([node("gpu-0")], [holder]), wanted)


def test_pods_of_others_that_wait_for_a_node_are_counted_and_forgotten() -> None:
    ledger, waiting = Ledger(), foreign(None, 2, wait=Wait(7))
    ledger.pod_changed(None, waiting)
    assert ledger.snapshot() == snapshot([], [waiting])
    assert sum(ledger.snapshot().waiting.values()) == 1
    ledger.pod_changed(waiting, None)
    assert ledger.snapshot().waiting == {}
