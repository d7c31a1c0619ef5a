"""The store of our kinds' objects: whatever feeds it, the newest wins, and what is gone stays gone."""

import json

import pytest
from pydantic import ValidationError

from tandem.domain.observed import Key
from tandem.runtime.objects import ObjectStore, describe
from tests.unit.runtime.builders import key, profile_spec, raw, run_spec


class Told:
    """A store, and what it told."""

    def __init__(self) -> None:
        self.changed: list[Key] = []
        self.gone: list[str] = []
        self.store = ObjectStore(self.changed.append, self.gone.append)

    def put(self, version: int, **more: object) -> None:
        self.store.put("TrainingRun", raw("TrainingRun", "hello", version, run_spec(), **more))

    def remove(self, version: int, uid: str = "hello-uid") -> None:
        self.store.remove("TrainingRun", "team", "hello", uid, version)

    @property
    def version(self) -> int | None:
        known = self.store.get(key())
        return known.resource_version if known else None


@pytest.fixture
def told() -> Told:
    """An empty store."""
    return Told()


def test_the_stand_in_for_no_status_is_none(told: Told) -> None:
    """The API server shows it for an object without status, whose first status must not wait."""
    told.put(7, status={"observedGeneration": -1})
    assert told.store.get(key()).status == {}  # type: ignore[union-attr]
    told.put(8, status={"observedGeneration": 1})
    assert told.store.get(key()).status == {"observedGeneration": 1}  # type: ignore[union-attr]


def test_an_older_event_does_not_undo_a_newer_reply(told: Told) -> None:
    """The reply to an own write overtakes the watch."""
    told.put(7)
    told.put(5)
    assert told.version == 7
    assert told.changed == [key()]


def test_the_same_version_again_wakes_nobody(told: Told) -> None:
    told.put(7)
    told.put(7)
    assert told.changed == [key()]


def test_a_deleted_object_is_not_brought_back_by_what_was_under_way(told: Told) -> None:
    """A late reply or event is older than the deletion; whoever depends on the object is told once."""
    told.put(7)
    told.remove(9)
    told.put(8)
    assert told.version is None
    assert told.gone == ["hello-uid"]
    assert told.changed == [key(), key()]


def test_a_deletion_of_an_earlier_object_of_the_name_is_ignored(told: Told) -> None:
    told.put(7, uid="new-uid")
    told.remove(5, uid="old-uid")
    assert told.version == 7
    assert told.gone == []


def test_a_recreated_object_replaces_the_old_one_even_when_its_event_comes_first(told: Told) -> None:
    """Events of two objects of one name are not ordered; what the old one held must be given back all the same."""
    told.put(7, uid="old-uid")
    told.put(9, uid="new-uid")
    told.remove(8, uid="old-uid")
    assert told.version == 9
    assert told.gone == ["old-uid"]


def test_deletions_are_remembered_without_end_of_memory(told: Told) -> None:
    for number in range(1100):
        told.put(2 * number, uid=f"uid-{number}")
        told.remove(2 * number + 1, uid=f"uid-{number}")
    told.put(2 * 1099, uid="uid-1099")
    assert told.version is None
    assert len(told.store) == 0


def test_objects_are_counted_by_kind_and_none_is_told_as_zero(told: Told) -> None:
    """A gauge that vanishes when the last object goes would keep its alerts silent."""
    told.put(7)
    told.store.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 3, profile_spec()))
    assert told.store.counts() == {
        "TrainingRun": 1,
        "InferenceService": 0,
        "AcceleratorProfile": 1,
        "PlacementPolicy": 0,
    }
    told.remove(9)
    assert told.store.counts() == {
        "TrainingRun": 0,
        "InferenceService": 0,
        "AcceleratorProfile": 1,
        "PlacementPolicy": 0,
    }


def test_profiles_are_kept_as_models_and_follow_their_objects(told: Told) -> None:
    store = told.store
    store.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 3, profile_spec()))
    assert store.profiles["gpu"].spec.allocation.extended_resource.name == "example.com/gpu"
    store.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 4, profile_spec(ranksPerDevice=2)))
    assert store.profiles["gpu"].spec.ranks_per_device == 2
    store.remove("AcceleratorProfile", "", "gpu", "gpu-uid", 5)
    assert store.profiles == {}


def test_a_profile_that_cannot_be_read_is_no_profile(told: Told) -> None:
    """Nobody may run on what it said before; the others stay."""
    store = told.store
    store.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 3, profile_spec()))
    store.put("AcceleratorProfile", raw("AcceleratorProfile", "other", 4, profile_spec()))
    store.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 5, {"nodeSelector": {"gpu": "yes"}}))
    assert list(store.profiles) == ["other"]


def test_a_policy_that_cannot_be_read_does_not_count_and_says_why(told: Told) -> None:
    store, key = told.store, Key("PlacementPolicy", "", "p")
    store.put("PlacementPolicy", raw("PlacementPolicy", "p", 3, {"priority": 7, "forbid": [{"accelerator": "gpu"}]}))
    assert store.policies["p"].spec.priority == 7
    assert store.problem(key) is None
    store.put("PlacementPolicy", raw("PlacementPolicy", "p", 4, {"priority": "high"}))
    assert store.policies == {}
    assert str(store.problem(key)).startswith("priority: ")
    store.put("PlacementPolicy", raw("PlacementPolicy", "p", 5, {"priority": 8}))
    assert store.policies["p"].spec.priority == 8
    assert store.problem(key) is None
    store.put("PlacementPolicy", raw("PlacementPolicy", "p", 6, {"priority": "high"}))
    store.remove("PlacementPolicy", "", "p", "p-uid", 7)
    assert (store.policies, store.problem(key)) == ({}, None)


def test_what_is_wrong_with_a_spec_is_said_with_its_field(told: Told) -> None:
    told.store.put("TrainingRun", raw("TrainingRun", "hello", 3, {**run_spec(), "pods": "many"}))
    stored = told.store.get(key())
    assert stored is not None
    with pytest.raises(ValidationError) as caught:
        stored.training_run()
    assert describe(caught.value).startswith("spec.pods: ")


def test_an_object_that_is_being_deleted_is_known_as_such(told: Told) -> None:
    told.put(7, metadata={"deletionTimestamp": "2026-11-23T10:00:00Z"})
    stored = told.store.get(key())
    assert stored is not None
    assert stored.deleting
    assert json.loads(json.dumps(dict(stored.spec))) == run_spec()
