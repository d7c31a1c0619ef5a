"""Which nodes count: those that the scheduler would take, and whose devices are whole ones."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.scheduling import Toleration
from tandem.domain.observed import Requirement, Wait
from tandem.domain.placement.fit import eligible
from tandem.domain.placement.nodes import admits, carries
from tests.unit.domain.builders import GPU, node, option, profile, taint

DIVIDED = profile(
    excludeNodes={
        "labels": [{"key": "sharing/strategy", "values": ["time-*", "mps"]}, {"key": "vendor/split-*"}],
        "annotations": ["layer.io/node-*"],
        "resources": [f"{GPU}.shared"],
    }
)
LABELS = {"accel": "nvidia-h20"}


@pytest.mark.parametrize(
    ("fields", "whole"),
    [
        ({}, True),
        ({"labels": {**LABELS, "sharing/strategy": "none"}}, True),
        ({"labels": {**LABELS, "sharing/strategy": "time-slicing"}}, False),
        ({"labels": {**LABELS, "sharing/strategy": "mps"}}, False),
        ({"labels": {**LABELS, "vendor/split-4": ""}}, False),
        ({"annotations": frozenset({"layer.io/handshake"})}, True),
        ({"annotations": frozenset({"layer.io/node-gpu-register"})}, False),
        ({"capacity": {GPU: 8, f"{GPU}.shared": 0}}, True),
        ({"capacity": {GPU: 8, f"{GPU}.shared": 80}}, False),
    ],
    ids=repr,
)
def test_a_node_with_a_sign_of_a_sharing_layer_does_not_count(fields: dict[str, Any], whole: bool) -> None:
    record = node(**fields)
    assert eligible(record, option(DIVIDED)) is whole
    assert carries(record, DIVIDED)
    assert eligible(record, option())


WATCHED = profile(health={"nodeConditions": [{"type": "DevicesIll"}, {"type": "LinkUp", "status": "False"}]})


@pytest.mark.parametrize(
    ("conditions", "well"),
    [
        ((), True),
        ((("DevicesIll", "False"), ("LinkUp", "True"), ("Other", "True")), True),
        ((("DevicesIll", "Unknown"),), True),
        ((("DevicesIll", "True"),), False),
        ((("LinkUp", "False"),), False),
    ],
    ids=repr,
)
def test_a_node_whose_conditions_say_that_its_devices_are_ill_does_not_count(
    conditions: tuple[tuple[str, str], ...], well: bool
) -> None:
    record = node(conditions=frozenset(conditions))
    assert eligible(record, option(WATCHED)) is well
    assert eligible(record, option())
    assert option(WATCHED).shape != option().shape


def test_options_that_leave_other_nodes_out_are_of_another_shape() -> None:
    assert option(DIVIDED).shape != option().shape
    assert option(DIVIDED).shape == replace(option(DIVIDED), pods=3).shape
    labels_only = profile(excludeNodes={"labels": [{"key": "a"}]})
    assert option(labels_only).shape not in (option().shape, option(DIVIDED).shape)


def terms(*requirements: Requirement) -> Wait:
    return Wait(0, terms=(requirements,))


@pytest.mark.parametrize(
    ("wait", "admitted"),
    [
        (Wait(0), True),
        (Wait(0, node_selector=(("accel", "nvidia-h20"),)), True),
        (Wait(0, node_selector=(("accel", "nvidia-h20"), ("pool", "a"))), False),
        (terms(), False),
        (terms(Requirement("accel", "In", ("other", "nvidia-h20"))), True),
        (terms(Requirement("accel", "In", ("other",))), False),
        (terms(Requirement("pool", "NotIn", ("a",))), True),
        (terms(Requirement("accel", "NotIn", ("nvidia-h20",))), False),
        (terms(Requirement("accel", "Exists", ())), True),
        (terms(Requirement("pool", "Exists", ())), False),
        (terms(Requirement("pool", "DoesNotExist", ())), True),
        (terms(Requirement("accel", "Exists", ()), Requirement("pool", "Exists", ())), False),
        (terms(Requirement("memory", "Gt", ("79",))), True),
        (terms(Requirement("memory", "Gt", ("80",))), False),
        (terms(Requirement("memory", "Lt", ("81",))), True),
        (terms(Requirement("memory", "Gt", ("many",))), False),
        (terms(Requirement("memory", "Gt", ())), False),
        (terms(Requirement("pool", "Lt", ("1",))), False),
        (terms(Requirement("metadata.name", "In", ("gpu-0",), True)), True),
        (terms(Requirement("metadata.name", "In", ("gpu-1",), True)), False),
        (terms(Requirement("accel", "Resembles", ("nvidia",))), True),
        (Wait(0, terms=((Requirement("pool", "Exists", ()),), (Requirement("accel", "Exists", ()),))), True),
    ],
    ids=repr,
)
def test_pods_of_others_go_where_their_selectors_and_affinity_let_them(wait: Wait, admitted: bool) -> None:
    assert admits(node(labels={**LABELS, "memory": "80"}), wait) is admitted


def test_pods_of_others_keep_off_nodes_that_take_nobody_or_that_they_do_not_tolerate() -> None:
    tolerant = Wait(0, tolerations=(Toleration.model_construct(key="gpu", operator="Exists"),))
    tainted = node(taints=(taint("gpu"),))
    assert not admits(tainted, Wait(0))
    assert admits(tainted, tolerant)
    assert not admits(replace(tainted, cordoned=True), tolerant)
    assert not admits(replace(tainted, ready=False), tolerant)
