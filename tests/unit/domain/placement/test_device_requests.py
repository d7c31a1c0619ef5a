"""Effective device requests of a pod, against a model that walks through its life second by second."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.domain.placement.requests_of_pods import effective_devices, is_extended
from tests.unit.domain.builders import GPU, NPU


def container(amounts: dict[str, int], *, sidecar: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {"resources": {"limits": {name: str(amount) for name, amount in amounts.items()}}}
    return body | ({"restartPolicy": "Always"} if sidecar else {})


AMOUNTS = st.dictionaries(st.sampled_from([GPU, NPU]), st.integers(1, 8), max_size=2)
INITS = st.lists(st.tuples(AMOUNTS, st.booleans()), max_size=5)


def by_walking(inits: list[tuple[dict[str, int], bool]], mains: list[dict[str, int]]) -> dict[str, int]:
    """The most that runs at any moment: each init step beside the sidecars before it, then all that stays."""
    moments: list[list[dict[str, int]]] = []
    running: list[dict[str, int]] = []
    for amounts, sidecar in inits:
        moments.append([*running, amounts])
        if sidecar:
            running.append(amounts)
    moments.append([*running, *mains])
    names = {name for moment in moments for amounts in moment for name in amounts}
    return {name: max(sum(amounts.get(name, 0) for amounts in moment) for moment in moments) for name in names}


@given(INITS, st.lists(AMOUNTS, min_size=1, max_size=3))
def test_a_pod_holds_the_most_that_runs_at_any_moment(
    inits: list[tuple[dict[str, int], bool]], mains: list[dict[str, int]]
) -> None:
    spec = {
        "initContainers": [container(amounts, sidecar=sidecar) for amounts, sidecar in inits],
        "containers": [container(amounts) for amounts in mains],
    }
    assert effective_devices(spec) == by_walking(inits, mains)


def test_a_request_goes_before_the_limit_that_it_was_defaulted_from() -> None:
    assert effective_devices({"containers": [{"resources": {"limits": {GPU: "4"}, "requests": {GPU: 4}}}]}) == {GPU: 4}


@pytest.mark.parametrize("spec", [{}, {"containers": None}, {"containers": [{}]}, {"containers": [{"resources": {}}]}])
def test_a_pod_without_requests_holds_nothing(spec: dict[str, Any]) -> None:
    assert effective_devices(spec) == {}


def test_cpu_and_memory_are_no_devices() -> None:
    amounts = {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "1Gi", "hugepages-2Mi": "1Gi", GPU: "1"}
    assert effective_devices({"containers": [{"resources": {"requests": amounts}}]}) == {GPU: 1}


@pytest.mark.parametrize(
    ("name", "extended"),
    [(GPU, True), (NPU, True), ("cpu", False), ("kubernetes.io/batch", False), ("requests.kubernetes.io/x", False)],
)
def test_extended_resources_have_a_domain_that_is_not_kubernetes_own(name: str, extended: bool) -> None:
    assert is_extended(name) is extended
