"""Nodes against profiles."""

from collections.abc import Sequence

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.domain.observed import NodeRecord
from tandem.domain.prerequisites.devices import findings
from tandem.domain.prerequisites.finding import Finding, Level, Unread
from tests.unit.domain.builders import GPU, GPUS, NPU, NPUS, node, profile

CPU_NODE = node("cpu-0", labels={}, allocatable={}, capacity={})


def told(nodes: Sequence[NodeRecord], *profiles: AcceleratorProfile) -> list[Finding]:
    return findings(nodes, {item.name: item for item in profiles}, {})


def levels(found: Sequence[Finding]) -> list[Level]:
    return [item.level for item in found]


def test_profiles_with_their_nodes_are_fine() -> None:
    found = told([node("gpu-0"), node("gpu-1", allocatable={GPU: 7}), node("npu-0", 16, NPUS), CPU_NODE], GPUS, NPUS)
    assert levels(found) == [Level.OK, Level.OK]
    assert [item.message for item in found] == [
        f"ascend-910b: 1 node with 16 healthy devices ({NPU})",
        f"nvidia-h20: 2 nodes with 15 healthy devices ({GPU})",
    ]


def test_a_profile_without_nodes_is_told_but_no_trouble() -> None:
    """All shipped profiles may well be installed where only one make is."""
    found = told([node("gpu-0")], GPUS, NPUS, profile("other", "example.com/other"))
    assert levels(found) == [Level.OK, Level.INFO]
    assert found[1].message == "no node carries the labels of: ascend-910b, other"


def test_no_profile_at_all_is_a_warning() -> None:
    found = told([CPU_NODE])
    assert levels(found) == [Level.WARN]
    assert "nothing can be placed" in found[0].message


def test_nodes_of_a_profile_that_offer_none_of_its_resource() -> None:
    bare = [node(f"gpu-{number}", capacity={}, allocatable={}) for number in range(5)]
    (found,) = told(bare, GPUS)
    assert found.level is Level.WARN
    assert found.message == f"nvidia-h20: gpu-0, gpu-1, gpu-2 and 2 more of its 5 nodes offer no {GPU}"
    assert "device plugin" in found.mend


def test_what_they_offer_instead_is_named() -> None:
    sliced = node("gpu-0", capacity={"nvidia.com/mig-1g.10gb": 56, GPU: 0}, allocatable={})
    found = told([sliced, node("gpu-1")], GPUS)
    assert (
        found[0].message
        == f"nvidia-h20: gpu-0 of its 2 nodes offer no {GPU}; offered are {GPU}, nvidia.com/mig-1g.10gb"
    )
    assert levels(found) == [Level.WARN, Level.WARN]
    assert found[1].message == "nvidia.com/mig-1g.10gb of gpu-0 is in no profile"


def test_a_device_plugin_without_profile() -> None:
    found = told([node("gpu-0"), node("npu-0", 8, NPUS), node("npu-1", 8, NPUS)], GPUS)
    assert levels(found) == [Level.OK, Level.WARN]
    assert found[1].message == f"{NPU} of npu-0, npu-1 are in no profile"
    assert "docs/profiles.md" in found[1].mend


def test_a_resource_that_is_offered_no_more_is_no_device() -> None:
    assert levels(told([node("gpu-0"), node("npu-0", 0, NPUS)], GPUS)) == [Level.OK]


def test_a_profile_that_misses_by_a_label_is_named_with_what_the_node_has() -> None:
    other = node("gpu-0", labels={"accel": "nvidia-h20-3e"})
    found = told([other], GPUS)
    assert levels(found) == [Level.INFO, Level.WARN]
    assert found[1].message.endswith("nvidia-h20 wants accel=nvidia-h20, gpu-0 has accel=nvidia-h20-3e")
    bare = told([node("gpu-0", labels={})], GPUS)
    assert bare[1].message.endswith("nvidia-h20 wants accel=nvidia-h20")


def test_a_profile_of_another_architecture_does_not_cover_a_node() -> None:
    arm = profile("arm", GPU, architecture="arm64")
    found = told([node("gpu-0", accelerator=arm)], arm)
    assert levels(found) == [Level.INFO, Level.WARN]
    assert found[1].message.endswith("arm wants architecture arm64")


def test_other_resources_beside_devices_with_a_profile_are_no_trouble() -> None:
    found = told([node("gpu-0", capacity={GPU: 8, "rdma/hca": 8})], GPUS)
    assert levels(found) == [Level.OK, Level.INFO]
    assert found[1].message.endswith("by none itself: rdma/hca")


def test_two_profiles_for_the_same_devices() -> None:
    twin = profile("twin", GPU, nodeSelector=GPUS.spec.node_selector)
    found = told([node("gpu-1"), node("gpu-0")], GPUS, twin)
    assert levels(found) == [Level.OK, Level.OK, Level.WARN]
    assert found[2].message == f"nvidia-h20 and twin both match gpu-0, gpu-1: their {GPU} count twice"


def test_two_profiles_for_two_resources_of_a_node_are_fine() -> None:
    slices = profile("slices", "nvidia.com/mig-1g.10gb", nodeSelector=GPUS.spec.node_selector)
    both = {GPU: 4, "nvidia.com/mig-1g.10gb": 28}
    assert levels(told([node("gpu-0", capacity=both, allocatable=both)], GPUS, slices)) == [Level.OK, Level.OK]


def test_a_profile_that_cannot_be_read_fails() -> None:
    found = findings([node("gpu-0")], {"nvidia-h20": GPUS}, {"broken": "allocation: field required"})
    assert levels(found) == [Level.FAIL, Level.OK]
    assert found[0].message == "broken cannot be read and is ignored: allocation: field required"


def test_what_cannot_be_read_is_a_warning() -> None:
    unread = Unread("forbidden")
    (profiles,) = findings([node("gpu-0")], unread, {})
    assert profiles.message == "not checked: cannot read AcceleratorProfiles: forbidden"
    (nodes,) = findings(unread, {"nvidia-h20": GPUS}, {})
    assert nodes.message == "not checked: cannot read nodes: forbidden"
    assert {profiles.level, nodes.level} == {Level.WARN}
