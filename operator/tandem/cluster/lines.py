"""Raw lines of a pod watch: which need no decoding.

In a busy cluster most pods hold no devices, and decoding each of their events is most of an operator's work.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from tandem.api.constants import GROUP

# The API server writes ObjectMeta in the order of its Go struct. A line that looks otherwise, among them every bookmark
# and error, does not match and is decoded.
_HEAD = re.compile(
    rb'\{"type":"(?:ADDED|MODIFIED|DELETED)","object":\{"kind":"[^"]*","apiVersion":"[^"]*","metadata":\{'
    rb'"name":"([^"]*)",(?:"generateName":"[^"]*",)?"namespace":"([^"]*)",'
    rb'(?:"selfLink":"[^"]*",)?"uid":"[^"]*","resourceVersion":"(\d+)"'
)


class Head(NamedTuple):
    """What the beginning of a line says about its object."""

    namespace: str
    name: str
    resource_version: int


def head(line: bytes) -> Head | None:
    """Identity of the object of a watch event; None when the line has to be decoded to know."""
    match = _HEAD.match(line)
    if match is None:
        return None
    name, namespace, version = match.groups()
    return Head(namespace.decode(), name.decode(), int(version))


class PodSkip:
    """Says of a line that its pod is neither ours nor asks for a resource that a profile names.

    By content, so it can be wrong about a pod that was interesting before (labels stripped by hand, a profile removed);
    the informer therefore decodes every line of a pod that its store holds. A pod that was skipped cannot become
    interesting later but by gaining our label, which its line then names: requests of devices are immutable. A resource
    that becomes known later needs a new list, which `learn` asks for.
    """

    def __init__(self) -> None:
        self._ours = f"{GROUP}/".encode()
        self._resources: tuple[bytes, ...] = ()

    def learn(self, resources: Iterable[str]) -> bool:
        """Take the names of all resources that profiles name. True when one is new, so that a list is needed."""
        names = tuple(sorted({name.encode() for name in resources}))
        new = not set(names) <= set(self._resources)
        self._resources = names
        return new

    def __call__(self, line: bytes) -> bool:
        """Whether the line cannot matter."""
        return self._ours not in line and not any(name in line for name in self._resources)
