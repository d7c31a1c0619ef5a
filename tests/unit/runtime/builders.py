"""Small builders of what the runtime handles: objects as the API server sends them, records, asks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.domain.observed import ForeignPod, Key, NodeRecord, OwnPod
from tandem.domain.placement.request import Ask, Candidate, Option

GPU = "example.com/gpu"
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def key(name: str = "hello", kind: str = "TrainingRun") -> Key:
    """Key of an object in the namespace `team`."""
    return Key(kind, "team", name)


def profile_spec(**more: Any) -> dict[str, Any]:
    """Spec of a profile of `GPU` on nodes labelled gpu=yes."""
    return {
        "nodeSelector": {"gpu": "yes"},
        "allocation": {"type": "ExtendedResource", "extendedResource": {"name": GPU}},
        **more,
    }


def profile(name: str = "gpu", **more: Any) -> AcceleratorProfile:
    """A profile as a model."""
    return AcceleratorProfile(name=name, spec=AcceleratorProfileSpec.model_validate(profile_spec(**more)))


def raw(kind: str, name: str, version: int, spec: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An object of ours as the API server sends it; its uid is `<name>-uid` unless `uid` is given."""
    metadata = {
        "name": name,
        "uid": more.pop("uid", f"{name}-uid"),
        "resourceVersion": str(version),
        "generation": more.pop("generation", 1),
        "creationTimestamp": "2026-11-23T09:59:00Z",
        **({} if kind in ("AcceleratorProfile", "PlacementPolicy") else {"namespace": "team"}),
        **more.pop("metadata", {}),
    }
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, **more}


def run_spec(**more: Any) -> dict[str, Any]:
    """Spec of a run of one pod with one device."""
    return {"accelerator": "gpu", "devicesPerPod": 1, "image": "img:1", **more}


def node(name: str = "node-a", devices: int = 8, **more: Any) -> NodeRecord:
    """A healthy node with the profile's label."""
    fields: dict[str, Any] = {
        "name": name,
        "labels": {"gpu": "yes"},
        "taints": (),
        "cordoned": False,
        "ready": True,
        "not_ready_since": None,
        "allocatable": {GPU: devices},
        "capacity": {GPU: devices},
    }
    return NodeRecord(**{**fields, **more})


def foreign(name: str, devices: int, where: str | None = "node-a", **more: Any) -> ForeignPod:
    """Somebody's pod with devices."""
    return ForeignPod(uid=name, node=where, devices={GPU: devices}, **more)


def own_pod(uid: str = "hello-uid", *, attempt: int = 1, rank: int = 0, devices: int = 1, **more: Any) -> OwnPod:
    """A pod of the run whose uid this is; it has no node unless `node` is given."""
    name = uid.removesuffix("-uid")
    fields: dict[str, Any] = {
        "namespace": "team",
        "name": f"{name}-a{attempt}-{rank}",
        "uid": f"{name}-a{attempt}-{rank}-uid",
        "resource_version": 10,
        "owner_uid": uid,
        "owner": key(name),
        "attempt": attempt,
        "rank": rank,
        "variant": "main",
        "accelerator": "gpu",
        "inputs_hash": "0123456789abcdef",
        "node": None,
        "devices": {GPU: devices},
    }
    return OwnPod(**{**fields, **more})


def ask(uid: str = "hello-uid", *, pods: int = 1, devices: int = 1, age: float = 0, replicas: int | None = None) -> Ask:
    """An ask of an object that is `age` seconds old; a gang unless `replicas` is given."""
    option = Option(profile=profile(), pods=pods, devices=devices, node_selector={}, tolerations=())
    return Ask(
        uid=uid,
        kind="TrainingRun" if replicas is None else "InferenceService",
        namespace="team",
        name=uid.removesuffix("-uid"),
        attempt=0 if replicas is not None else 1,
        since=NOW - timedelta(seconds=age),
        candidates=(Candidate(variant="main", wants="gpu", options=(option,)),),
        replicas=replicas,
    )
