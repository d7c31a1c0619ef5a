"""What is known of one kind of object: trimmed records by namespace and name.

Two hands write here. The informer brings everything, in the order of the API server's history (`feed`); the applier
brings the answers to its own writes ahead of it (`apply`). Versions decide who is newer. resourceVersions are compared
as integers of one history per resource, as KEP-5504 allows.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

R = TypeVar("R")

Change = tuple[R | None, R | None]
"""A record before and after; never equal."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Store(Generic[R]):
    """Records of one kind. Planners read it; the single event loop makes every read a consistent one.

    A record may carry `resource_version` (int; then an older one never replaces it) and `owner_uid` or `owner` (then
    `by_owner` finds it).
    """

    def __init__(self) -> None:
        self._spaces: dict[str, dict[str, R]] = {}
        self._owned: dict[object, dict[tuple[str, str], R]] = {}
        self._deleted: dict[tuple[str, str], int] = {}
        """Deletions that the feed has not reached yet -> their resourceVersion."""
        self._count = 0
        self._listeners: list[Callable[[R | None, R | None], None]] = []
        self.resource_version = 0
        """All of history up to here is in the store: the newest that a list, watch event or bookmark named."""

    def __len__(self) -> int:
        return self._count

    def get(self, namespace: str, name: str) -> R | None:
        """The record, or None. Cluster-scoped objects have the namespace ""."""
        return self._spaces.get(namespace, _NOTHING).get(name)

    def values(self) -> Iterator[R]:
        """All records; do not await while iterating."""
        for space in self._spaces.values():
            yield from space.values()

    def names(self) -> Iterator[tuple[str, str]]:
        """Namespace and name of all records; do not await while iterating."""
        for namespace, space in self._spaces.items():
            for name in space:
                yield namespace, name

    def in_namespace(self, namespace: str) -> Mapping[str, R]:
        """Name -> record of a namespace, read-only."""
        return MappingProxyType(self._spaces.get(namespace, _NOTHING))

    def by_owner(self, owner: object, namespace: str | None = None) -> tuple[R, ...]:
        """Records by the uid of their controller, or by the Key of their owner where they know no uid of one of ours.

        With a namespace only those in it: anybody can write an owner's uid into a pod of another namespace.
        """
        records = self._owned.get(owner, _NOTHING)
        return tuple(record for key, record in records.items() if namespace is None or key[0] == namespace)

    def listen(self, listener: Callable[[R | None, R | None], None]) -> None:
        """Tell `listener` of all records there are, and from now on of every change, whoever makes it.

        For what is derived from the records and must never differ from them. It must not raise.
        """
        for record in self.values():
            listener(None, record)
        self._listeners.append(listener)

    def apply(self, key: tuple[str, str], record: R | None, resource_version: int) -> Change[R] | None:
        """Take the answer to an own write: `record`, or None for a deletion. Returns the change, or None.

        An answer can be late: nothing that the feed has already gone past comes back to life by it.
        """
        known = self.get(*key)
        if known is None and resource_version <= self.resource_version:
            return None
        return self._replace(key, known, record, resource_version)

    def feed(
        self, key: tuple[str, str], record: R | None, resource_version: int, *, rewound: bool = False
    ) -> Change[R] | None:
        """Take what the API server's history says. Returns the change, or None.

        `rewound` is for the list after a restore from a backup: history began anew and older versions are the truth.
        """
        if rewound:
            self._deleted.pop(key, None)
            return self._put(key, self.get(*key), record)
        return self._replace(key, self.get(*key), record, resource_version)

    def advance(self, resource_version: int) -> None:
        """The feed has brought everything up to here."""
        if resource_version <= self.resource_version:
            return
        self.resource_version = resource_version
        if self._deleted:
            self._deleted = {key: at for key, at in self._deleted.items() if at > resource_version}

    def rewind(self, resource_version: int) -> None:
        """History was replaced by an older one (a restore from a backup)."""
        self.resource_version = resource_version
        self._deleted.clear()

    def _replace(
        self, key: tuple[str, str], known: R | None, record: R | None, resource_version: int
    ) -> Change[R] | None:
        if known is not None and resource_version < _version(known):
            return None
        if resource_version <= self._deleted.get(key, -1):
            return None
        if record is None and resource_version > self.resource_version:
            self._deleted[key] = resource_version
        return self._put(key, known, record)

    def _put(self, key: tuple[str, str], known: R | None, record: R | None) -> Change[R] | None:
        if known == record:
            return None
        namespace, name = key
        before, after = _owner(known), _owner(record)
        if before is not None and before != after:
            _drop(self._owned, before, key)
        if record is None:
            _drop(self._spaces, namespace, name)
        else:
            if after is not None:
                self._owned.setdefault(after, {})[key] = record
            self._spaces.setdefault(namespace, {})[name] = record
        self._count += (known is None) - (record is None)
        for listener in self._listeners:
            listener(known, record)
        return known, record


def _drop(index: dict[Any, dict[Any, R]], outer: object, inner: object) -> None:
    entries = index[outer]
    del entries[inner]
    if not entries:
        del index[outer]


def _version(record: object) -> int:
    # A record without a version is written by the feed alone, which is in order.
    return getattr(record, "resource_version", 0)


def _owner(record: object) -> object | None:
    return getattr(record, "owner_uid", None) or getattr(record, "owner", None)
