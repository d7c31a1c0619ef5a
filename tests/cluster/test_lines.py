"""Which raw lines of a pod watch need no decoding."""

import json

import pytest

from tandem.cluster.lines import Head, PodSkip, head
from tests.cluster.fake_api import line, with_version
from tests.cluster.objects import own_pod, pod, service_pod

# As a 1.37 API server wrote it, cut after the metadata.
REAL = (
    b'{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-5c5d4b","generateName":"web-",'
    b'"namespace":"shop","uid":"6b4ab7bb-6a2f-4f43-9d4d-3a2a7f4a9f53","resourceVersion":"1036","generation":1}}}'
)


def test_the_head_of_a_line_names_its_object() -> None:
    assert head(REAL) == Head("shop", "web-5c5d4b", 1036)


@pytest.mark.parametrize(
    "other",
    [
        line("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "12"}}),
        line("ERROR", {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410}),
        line("ADDED", {"metadata": {"name": "a"}, "kind": "Pod"}),
        json.dumps({"type": "ADDED", "object": pod()}).encode(),
        b"",
        b"nonsense",
    ],
    ids=["bookmark", "error", "other order", "other spacing", "empty", "nonsense"],
)
def test_a_line_of_another_shape_has_to_be_decoded(other: bytes) -> None:
    assert head(other) is None


def test_pods_of_others_without_known_devices_can_be_skipped() -> None:
    skip = PodSkip()
    skip.learn({"nvidia.com/gpu"})
    assert skip(_line(pod(devices=0)))
    assert skip(_line(pod(resource="example.com/fpga")))
    assert not skip(_line(pod(resource="nvidia.com/gpu")))


def test_pods_of_ours_are_never_skipped() -> None:
    assert not PodSkip()(_line(own_pod()))
    assert not PodSkip()(_line(service_pod()))


def test_our_pod_is_known_by_its_owner_when_its_labels_were_stripped() -> None:
    stripped = own_pod()
    del stripped["metadata"]["labels"]
    assert not PodSkip()(_line(stripped))


def test_a_new_resource_asks_for_a_list() -> None:
    skip = PodSkip()
    assert skip.learn({"nvidia.com/gpu"})
    assert not skip.learn({"nvidia.com/gpu"})
    assert skip.learn({"nvidia.com/gpu", "huawei.com/Ascend910"})
    assert not skip.learn({"huawei.com/Ascend910"})
    assert skip(_line(pod(resource="nvidia.com/gpu")))


def _line(item: dict[str, object]) -> bytes:
    metadata = item["metadata"]
    assert isinstance(metadata, dict)
    return line("ADDED", {**item, "metadata": with_version(metadata, 8)})
