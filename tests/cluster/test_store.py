"""Two hands write a store: history in order, and answers to own writes ahead of it. The newer record always wins."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, Key


@dataclass(frozen=True)
class Record:
    """A record with all that a store looks at."""

    resource_version: int
    text: str = ""
    owner_uid: str | None = None
    owner: Key | None = None


A = ("default", "a")
B = ("default", "b")


@pytest.fixture
def store() -> Store[Record]:
    """A store that is complete up to version 10."""
    filled: Store[Record] = Store()
    filled.feed(A, Record(5), 5)
    filled.advance(10)
    return filled


def test_a_record_is_found_by_namespace_and_name(store: Store[Record]) -> None:
    assert store.get("default", "a") == Record(5)
    assert store.get("default", "b") is None
    assert store.get("nowhere", "a") is None
    assert len(store) == 1
    assert list(store.values()) == [Record(5)]
    assert list(store.names()) == [A]
    assert list(store.in_namespace("default")) == ["a"]
    assert list(store.in_namespace("nowhere")) == []


def test_a_change_is_told_with_before_and_after(store: Store[Record]) -> None:
    assert store.feed(A, Record(11), 11) == (Record(5), Record(11))
    assert store.feed(B, Record(12), 12) == (None, Record(12))
    assert store.feed(A, None, 13) == (Record(11), None)
    assert list(store.names()) == [B]


def test_an_equal_record_is_no_change(store: Store[Record]) -> None:
    assert store.feed(A, Record(5), 5) is None
    assert store.feed(B, None, 11) is None


def test_an_older_record_is_ignored(store: Store[Record]) -> None:
    store.apply(A, Record(15), 15)
    assert store.feed(A, Record(12), 12) is None
    assert store.apply(A, Record(14), 14) is None
    assert store.get(*A) == Record(15)


def test_the_feeds_copy_of_an_own_write_is_no_change(store: Store[Record]) -> None:
    assert store.apply(B, Record(15), 15) == (None, Record(15))
    assert store.feed(B, Record(15), 15) is None


def test_an_object_made_new_by_a_wider_interest_is_taken_however_old(store: Store[Record]) -> None:
    assert store.feed(B, Record(3), 3) == (None, Record(3))


def test_a_late_answer_does_not_bring_back_what_the_feed_saw_deleted(store: Store[Record]) -> None:
    store.advance(20)
    store.feed(A, None, 20)
    assert store.apply(A, Record(6), 6) is None
    assert store.apply(B, Record(19), 19) is None
    assert len(store) == 0


def test_the_feed_does_not_bring_back_what_an_own_write_deleted_ahead_of_it(store: Store[Record]) -> None:
    assert store.apply(A, None, 15) == (Record(5), None)
    store.advance(13)
    assert store.feed(A, Record(13), 13) is None
    assert store.apply(A, Record(14), 14) is None
    assert store.get(*A) is None


def test_a_successor_of_the_same_name_is_taken(store: Store[Record]) -> None:
    store.apply(A, None, 15)
    assert store.apply(A, Record(16), 16) == (None, Record(16))
    store.advance(15)
    assert store.feed(A, None, 15) is None
    assert store.get(*A) == Record(16)


def test_memory_of_deletions_ends_where_the_feed_has_passed(store: Store[Record]) -> None:
    for version in range(11, 2011):
        store.apply(("default", str(version)), None, version)
    assert len(store._deleted) == 2000
    store.advance(2010)
    assert not store._deleted


def test_the_version_never_goes_back_but_by_a_rewind(store: Store[Record]) -> None:
    store.advance(9)
    assert store.resource_version == 10
    store.rewind(4)
    assert store.resource_version == 4


def test_after_a_rewind_older_is_the_truth(store: Store[Record]) -> None:
    store.apply(A, None, 15)
    assert store.feed(A, Record(2), 2, rewound=True) == (None, Record(2))
    store.feed(B, Record(12), 12)
    assert store.feed(B, Record(3), 3, rewound=True) == (Record(12), Record(3))


def test_owners_find_their_records(store: Store[Record]) -> None:
    mine = Record(11, owner_uid="uid-1", owner=Key("TrainingRun", "default", "hello"))
    store.feed(A, mine, 11)
    store.feed(B, replace(mine, resource_version=12), 12)
    assert store.by_owner("uid-1") == (mine, replace(mine, resource_version=12))
    assert store.by_owner("uid-2") == ()


def test_a_record_that_changes_stays_in_its_place_among_its_owners(store: Store[Record]) -> None:
    store.feed(A, Record(11, owner_uid="uid-1"), 11)
    store.feed(B, Record(12, owner_uid="uid-1"), 12)
    store.feed(A, Record(13, owner_uid="uid-1"), 13)
    assert [record.resource_version for record in store.by_owner("uid-1")] == [13, 12]


def test_a_record_that_changes_its_owner_moves(store: Store[Record]) -> None:
    store.feed(A, Record(11, owner_uid="uid-1"), 11)
    store.feed(A, Record(12, owner_uid="uid-2"), 12)
    assert store.by_owner("uid-1") == ()
    assert len(store.by_owner("uid-2")) == 1
    store.feed(A, None, 13)
    assert store.by_owner("uid-2") == ()
    assert not store._owned


def test_a_record_without_its_owners_uid_is_found_by_its_owners_key(store: Store[Record]) -> None:
    chat = Key("InferenceService", "default", "chat")
    store.feed(A, Record(11, owner=chat), 11)
    assert store.by_owner(chat) == (Record(11, owner=chat),)


def test_a_forged_owner_in_another_namespace_can_be_left_out(store: Store[Record]) -> None:
    store.feed(A, Record(11, owner_uid="uid-1"), 11)
    store.feed(("elsewhere", "a"), Record(12, owner_uid="uid-1"), 12)
    assert len(store.by_owner("uid-1")) == 2
    assert store.by_owner("uid-1", "default") == (Record(11, owner_uid="uid-1"),)


def test_records_without_a_version_follow_the_feed() -> None:
    store: Store[ForeignPod] = Store()
    pod = ForeignPod("uid", "node-a", {"nvidia.com/gpu": 8})
    store.feed(A, pod, 5)
    assert store.feed(A, replace(pod, terminal=True), 6) == (pod, replace(pod, terminal=True))
    assert store.feed(A, None, 7) == (replace(pod, terminal=True), None)


@given(st.data())
def test_whatever_the_order_of_answers_the_store_ends_as_the_server(data: st.DataObject) -> None:
    """History of three objects; answers to some of its writes come at any moment, early or late, the feed in order."""
    history = data.draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12).map(
            lambda steps: [(("ns", name), version, made) for version, (name, made) in enumerate(steps, start=1)]
        )
    )
    own = data.draw(st.lists(st.sampled_from(history), unique=True)) if history else []
    moments = [data.draw(st.integers(0, len(history))) for _ in own]
    store: Store[Record] = Store()
    for moment in range(len(history) + 1):
        for (key, version, made), when in zip(own, moments, strict=True):
            if when == moment:
                store.apply(key, Record(version) if made else None, version)
        if moment < len(history):
            key, version, made = history[moment]
            store.advance(version)
            store.feed(key, Record(version) if made else None, version)
    final = {key: Record(version) for key, version, made in history if made}
    for key, version, made in history:
        if not made and key in final and final[key].resource_version < version:
            del final[key]
    assert {key: store.get(*key) for key in store.names()} == final
    assert len(store) == len(final)
    assert not store._deleted


def test_a_listener_hears_of_what_is_there_and_of_every_change_whoever_makes_it(store: Store[Record]) -> None:
    heard: list[tuple[Record | None, Record | None]] = []
    store.listen(lambda old, new: heard.append((old, new)))
    store.apply(B, Record(11), 11)
    store.feed(B, Record(11), 11)
    store.feed(A, Record(12), 12)
    store.feed(A, None, 13)
    assert heard == [
        (None, Record(5)),
        (None, Record(11)),
        (Record(5), Record(12)),
        (Record(12), None),
    ]
