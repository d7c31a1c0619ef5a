"""A decision with all that it was made from, as JSON: what `replay` makes of it is the decision again.

Each value is written with what is needed to read it back: records and models by the name of their class, which is one of
this package's, mappings as pairs, since their keys are not all texts.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from tandem.api.base import Model
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.place import Reservation, place
from tandem.domain.placement.request import Ask, Decision

PACKAGE = "tandem."
PLAIN = (str, int, float, bool, type(None))


def record(queue: Sequence[Ask], state: Snapshot, reservations: Sequence[Reservation], now: datetime) -> str:
    """The arguments of `place`, on one line."""
    return json.dumps(_encoded((tuple(queue), state, tuple(reservations), now)), separators=(",", ":"))


def replay(text: str) -> Mapping[str, Decision]:
    """What `place` decides from recorded arguments. Raises ValueError where these are none."""
    queue, state, reservations, now = _decoded(json.loads(text))
    return place(queue, state, reservations, now)


def _encoded(value: Any) -> Any:
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, datetime):
        return ["time", value.isoformat()]
    if isinstance(value, Model):
        return ["model", _name(value), value.model_dump(mode="json", exclude_none=True)]
    if is_dataclass(value):
        # Fields that do not count in comparisons are found out from the others.
        return ["record", _name(value), {f.name: _encoded(getattr(value, f.name)) for f in fields(value) if f.compare}]
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return ["record", _name(value), {name: _encoded(item) for name, item in value._asdict().items()}]
    if isinstance(value, Mapping):
        return ["map", [[_encoded(key), _encoded(item)] for key, item in value.items()]]
    if isinstance(value, Set):
        return ["set", sorted(map(_encoded, value))]
    return ["list", [_encoded(item) for item in value]]


def _decoded(value: Any) -> Any:
    if isinstance(value, PLAIN):
        return value
    kind, *rest = value
    if kind == "time":
        return datetime.fromisoformat(rest[0])
    if kind == "model":
        return _class(rest[0]).model_validate(rest[1])
    if kind == "record":
        return _class(rest[0])(**{name: _decoded(item) for name, item in rest[1].items()})
    if kind == "map":
        return {_decoded(key): _decoded(item) for key, item in rest[0]}
    items = (_decoded(item) for item in rest[0])
    return frozenset(items) if kind == "set" else tuple(items)


def _name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _class(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found = getattr(import_module(module), attribute, None) if module.startswith(PACKAGE) else None
    if not isinstance(found, type) or not (is_dataclass(found) or issubclass(found, Model | tuple)):
        raise ValueError(f"{name} is no record of this program")
    return found
