"""The fake devices of one node, as data: what the ConfigMap says, what a fault changes, what a container is given."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Faults:
    """What `devcluster fault` asks of a node's devices: a JSON object in a file."""

    unhealthy: frozenset[str] = frozenset()
    """Device ids or indices."""
    allocate: str = ""
    """The message with which every Allocate fails, if any."""

    @classmethod
    def parse(cls, text: Mapping[str, Any]) -> "Faults":
        return cls(frozenset(map(str, text.get("unhealthy", ()))), str(text.get("allocate", "")))


@dataclass(frozen=True)
class DeviceSet:
    """The devices of one resource on one node."""

    resource: str
    ids: tuple[str, ...]
    env: Mapping[str, str]
    """Environment name -> template of one device's part; the parts are joined by commas."""

    def health(self, faults: Faults) -> dict[str, str]:
        """Device id -> Healthy or Unhealthy, as the kubelet wants it."""
        return {
            name: "Unhealthy" if faults.unhealthy & {name, str(index)} else "Healthy"
            for index, name in enumerate(self.ids)
        }

    def environment(self, allocated: Iterable[str]) -> dict[str, str]:
        """What a container that got these device ids finds in its environment."""
        indices = sorted(self.ids.index(name) for name in allocated)
        return {
            name: ",".join(template.format(index=index, id=self.ids[index]) for index in indices)
            for name, template in self.env.items()
        }


def of_node(entries: Iterable[Mapping[str, Any]], node: str, labels: Mapping[str, str]) -> list[DeviceSet]:
    """The device sets that the configuration gives to a node with these labels.

    An entry: {nodeSelector: {label: value}, resource, count, id: template, env: {name: template}}; templates know {index},
    {node} and {uuid} (stable for a node's name and index), those of env {index} and {id}.
    """
    return [
        DeviceSet(entry["resource"], tuple(_ids(entry, node)), entry["env"])
        for entry in entries
        if entry["nodeSelector"].items() <= labels.items()
    ]


def _ids(entry: Mapping[str, Any], node: str) -> Iterable[str]:
    for index in range(entry["count"]):
        stable = uuid.uuid5(uuid.NAMESPACE_DNS, f"{index}.{entry['resource']}.{node}")
        yield entry["id"].format(index=index, node=node, uuid=stable)
