"""What the fake device plugin makes of its configuration and of faults."""

from typing import Any

import pytest

from devcluster import cluster
from devcluster.plugin.devices import DeviceSet, Faults, of_node

NVIDIA = {"nvidia.com/gpu.present": "true", "kubernetes.io/hostname": "w"}
ASCEND = {"accelerator": "huawei-Ascend910"}


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    """The configuration as it is installed."""
    return cluster.device_entries()


def test_nvidia_ids_are_stable_uuids_that_differ_between_nodes(entries: list[dict[str, Any]]) -> None:
    (first,) = of_node(entries, "w1", NVIDIA)
    (again,) = of_node(entries, "w1", NVIDIA)
    (other,) = of_node(entries, "w2", NVIDIA)
    assert first.resource == "nvidia.com/gpu"
    assert first.ids == again.ids
    assert len({*first.ids, *other.ids}) == 16
    assert all(name.startswith("GPU-") and len(name) == 40 for name in first.ids)
    assert first.environment([first.ids[3], first.ids[0]]) == {
        "NVIDIA_VISIBLE_DEVICES": f"{first.ids[0]},{first.ids[3]}"
    }


def test_ascend_devices_are_named_and_told_by_index(entries: list[dict[str, Any]]) -> None:
    (devices,) = of_node(entries, "w", ASCEND)
    assert devices.ids == tuple(f"Ascend910-{index}" for index in range(8))
    assert devices.environment(["Ascend910-5", "Ascend910-2"]) == {"ASCEND_VISIBLE_DEVICES": "2,5"}


def test_a_node_without_the_labels_has_no_devices(entries: list[dict[str, Any]]) -> None:
    assert of_node(entries, "w", {"nvidia.com/gpu.present": "false"}) == []


def test_faults_name_devices_by_id_or_index() -> None:
    devices = DeviceSet("x/y", ("d-0", "d-1", "d-2"), {})
    health = devices.health(Faults.parse({"unhealthy": ["d-0", 2]}))
    assert health == {"d-0": "Unhealthy", "d-1": "Healthy", "d-2": "Unhealthy"}
    assert set(devices.health(Faults.parse({})).values()) == {"Healthy"}
