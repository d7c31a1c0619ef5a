"""What may stand in a pod of ours: one function that looks at the final pod spec, whatever rendered it.

It trusts neither the schema that admitted the object (a cluster may serve an older or weaker one) nor the renderers: what
is not in the lists here is refused. A merge that is checked before it is done has been the hole in other operators.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath
from typing import Any

from tandem.api import containers, pod_template, scheduling, volumes
from tandem.api.constants import MAIN_CONTAINER, OWN_PREFIX, RESERVED_ENV

Body = Mapping[str, Any]

POD_FIELDS = frozenset(
    {
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "enableServiceLinks",
        "hostname",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "restartPolicy",
        "runtimeClassName",
        "schedulerName",
        "securityContext",
        "serviceAccountName",
        "subdomain",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    }
)
CONTAINER_FIELDS = frozenset(
    {
        "args",
        "command",
        "env",
        "image",
        "imagePullPolicy",
        "name",
        "resources",
        "securityContext",
        "terminationMessagePolicy",
        "volumeMounts",
        "workingDir",
    }
)
HELPER_FIELDS = CONTAINER_FIELDS | {"restartPolicy"}
MAIN_FIELDS = CONTAINER_FIELDS | {"lifecycle", "livenessProbe", "ports", "readinessProbe", "startupProbe"}
SECURITY_FIELDS = frozenset({"appArmorProfile", "runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile"})
POD_SECURITY_FIELDS = SECURITY_FIELDS | {
    "fsGroup",
    "fsGroupChangePolicy",
    "supplementalGroups",
    "supplementalGroupsPolicy",
}
CONTAINER_SECURITY_FIELDS = SECURITY_FIELDS | {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
MOUNT_FIELDS = frozenset({"mountPath", "name", "readOnly", "subPath"})
ENV_SOURCES = frozenset({"configMapKeyRef", "fieldRef", "secretKeyRef"})
RUNTIME_DEFAULT = {"type": "RuntimeDefault"}
SPEC = "template.spec"


@dataclass(frozen=True, slots=True)
class Own:
    """What the operator itself put into the pod: the only bearers of its names."""

    mounts: Mapping[str, str] = field(default_factory=dict)
    """Volume -> the path at which main mounts it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Reserved variables of main."""


def violation(spec: Body, own: Own) -> str | None:
    """The first thing that may not stand in a pod: the field and the mend. None for a pod that may be made."""
    return next(_violations(spec, own), None)


def _violations(spec: Body, own: Own) -> Iterator[str]:
    yield from _unknown(spec, POD_FIELDS, SPEC)
    yield from _security(spec.get("securityContext") or {}, POD_SECURITY_FIELDS, f"{SPEC}.securityContext")
    if (spec.get("securityContext") or {}).get("seccompProfile") != RUNTIME_DEFAULT:
        yield f"{SPEC}.securityContext.seccompProfile: {containers.always_runtime_default('seccompProfile')}"
    yield from _tokens(spec)
    yield from _affinity(spec.get("affinity") or {}, f"{SPEC}.affinity")
    yield from _volumes(spec, own)
    yield from _names(spec)
    for container in spec.get("initContainers") or ():
        yield from _helper(container, spec, f"{SPEC}.initContainers[{container.get('name')}]")
    for container in spec.get("containers") or ():
        yield from _main(container, spec, own, f"{SPEC}.containers[{container.get('name')}]")


def _unknown(part: Body, allowed: frozenset[str], where: str) -> Iterator[str]:
    for name in part:
        if name not in allowed:
            yield f"{where}.{name}: it may not stand in a pod of Tandem: take it out"


def _tokens(spec: Body) -> Iterator[str]:
    if spec.get("serviceAccountName"):
        return
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{SPEC}.automountServiceAccountToken: {pod_template.TOKEN_NEEDS_ACCOUNT}"
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in source:
                yield f"{SPEC}.volumes[{volume.get('name')}].projected: {pod_template.TOKEN_NEEDS_ACCOUNT}"


def _affinity(part: Any, where: str) -> Iterator[str]:
    """References have no namespace: pods of other tenants are no landmarks."""
    if isinstance(part, list):
        for index, item in enumerate(part):
            yield from _affinity(item, f"{where}[{index}]")
    elif isinstance(part, Mapping):
        for name, item in part.items():
            if name in ("namespaces", "namespaceSelector"):
                yield f"{where}.{name}: {scheduling.OWN_NAMESPACE}"
            elif name != "matchLabels":
                yield from _affinity(item, f"{where}.{name}")


def _volumes(spec: Body, own: Own) -> Iterator[str]:
    seen: set[str] = set()
    for volume in spec.get("volumes") or ():
        name = str(volume.get("name"))
        where = f"{SPEC}.volumes[{name}]"
        sources = volume.keys() - {"name"}
        if "hostPath" in sources:
            yield f"{where}.hostPath: hostPath is refused: use a PersistentVolumeClaim"
        elif len(sources) != 1 or not sources <= set(volumes.SOURCES):
            yield f"{where}: {volumes.ONE_SOURCE}"
        if name.startswith(OWN_PREFIX) and name not in own.mounts:
            yield f"{where}: {volumes.own_name('volume')}"
        if name in seen:
            yield f"{where}: this name is used twice: rename the volume"
        seen.add(name)
        for source in (volume.get("projected") or {}).get("sources") or ():
            if len(source) != 1 or not source.keys() <= set(volumes.PROJECTIONS):
                yield f"{where}.projected: {volumes.ONE_PROJECTION}"
            yield from _files(source, f"{where}.projected")
        yield from _files(volume, where)


def _files(source: Body, where: str) -> Iterator[str]:
    """Files of a volume stay in it."""
    for kind in ("configMap", "secret", "downwardAPI", "serviceAccountToken"):
        files = source.get(kind) or {}
        for item in (files, *(files.get("items") or ())):
            if re.search(volumes.OUTSIDE_PATH, item.get("path") or ""):
                yield f"{where}.{kind}: {volumes.OUTSIDE}"


def _names(spec: Body) -> Iterator[str]:
    """Exactly one main; helpers bear other names, and none of the operator's."""
    mains = [str(container.get("name")) for container in spec.get("containers") or ()]
    if mains != [MAIN_CONTAINER]:
        yield f"{SPEC}.containers: {containers.ONLY_MAIN}"
    seen: set[str] = set()
    for container in spec.get("initContainers") or ():
        name = str(container.get("name"))
        where = f"{SPEC}.initContainers[{name}]"
        if name == MAIN_CONTAINER:
            yield f"{where}: {containers.NOT_MAIN}"
        if name.startswith(OWN_PREFIX):
            yield f"{where}: {volumes.own_name('container')}"
        if name in seen:
            yield f"{where}: this name is used twice: rename the container"
        seen.add(name)


def _helper(container: Body, spec: Body, where: str) -> Iterator[str]:
    yield from _unknown(container, HELPER_FIELDS, where)
    if container.get("restartPolicy", "Always") != "Always":
        yield f"{where}.restartPolicy: {containers.HELPER_RESTARTS}"
    resources = container.get("resources") or {}
    asked = {name for part in ("requests", "limits") for name in resources.get(part) or {}}
    if any("/" in name for name in asked) or "claims" in resources:
        yield f"{where}.resources: {containers.HELPERS_NO_DEVICES}"
    yield from _container(container, spec, Own(), where)


def _main(container: Body, spec: Body, own: Own, where: str) -> Iterator[str]:
    yield from _unknown(container, MAIN_FIELDS, where)
    for port in container.get("ports") or ():
        if {"hostPort", "hostIP"} & port.keys():
            yield f"{where}.ports: hostPort is refused: a service's port is spec.port, a pod needs none"
    if "claims" in (container.get("resources") or {}):
        yield f"{where}.resources.claims: claims are reserved for a later version: set devicesPerPod instead"
    yield from _container(container, spec, own, where)


def _container(container: Body, spec: Body, own: Own, where: str) -> Iterator[str]:
    """What holds for every container; `own` is empty for helpers, which get nothing of the operator's."""
    settings = container.get("securityContext") or {}
    at = f"{where}.securityContext"
    yield from _security(settings, CONTAINER_SECURITY_FIELDS, at)
    if settings.get("allowPrivilegeEscalation") is not False:
        yield f"{at}.allowPrivilegeEscalation: it must be false: leave it out"
    if settings.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{at}.capabilities: all are dropped and none is added: leave it out"
    yield from _env(container, own, where)
    yield from _mounts(container, spec, own, where)


def _security(settings: Body, allowed: frozenset[str], where: str) -> Iterator[str]:
    yield from _unknown(settings, allowed, where)
    for profile in ("seccompProfile", "appArmorProfile"):
        if settings.get(profile, RUNTIME_DEFAULT) != RUNTIME_DEFAULT:
            yield f"{where}.{profile}: {containers.always_runtime_default(profile)}"


def _env(container: Body, own: Own, where: str) -> Iterator[str]:
    seen: set[str] = set()
    for item in container.get("env") or ():
        name = str(item.get("name"))
        if name.startswith(RESERVED_ENV) and (item.get("value") != own.env.get(name, ...) or name in seen):
            yield f"env {name} is set by the operator: take it out of env" + _of_helper(container)
        sources = item.get("valueFrom") or {}
        if sources and (len(sources) != 1 or not sources.keys() <= ENV_SOURCES or item.get("value")):
            yield f"{where}.env[{name}]: it needs a value, or a valueFrom with one known source"
        seen.add(name)


def _of_helper(container: Body) -> str:
    return "" if container.get("name") == MAIN_CONTAINER else f" of {container.get('name')}"


def _mounts(container: Body, spec: Body, own: Own, where: str) -> Iterator[str]:
    at = f"{where}.volumeMounts"
    known = {volume.get("name") for volume in spec.get("volumes") or ()}
    taken: dict[str, str] = {}
    for mount in container.get("volumeMounts") or ():
        name, path = str(mount.get("name")), str(mount.get("mountPath"))
        yield from _unknown(mount, MOUNT_FIELDS, f"{at}[{path}]")
        if name.startswith(OWN_PREFIX) and own.mounts.get(name) != path:
            yield f"{at}[{path}]: {volumes.own_name('volume')}"
        if name not in known:
            yield f"{at} names volume {name!r}, which volumes does not define"
        if re.search(volumes.SYSTEM_PATH, path) or not path.startswith("/"):
            yield f"{at}[{path}]: {volumes.SYSTEM_MOUNTS}"
        if re.search(volumes.OUTSIDE_PATH, mount.get("subPath") or ""):
            yield f"{at}[{path}].subPath: {volumes.OUTSIDE}"
        if normpath(path) in taken:
            yield f"{at}[{path}]: volume {taken[normpath(path)]} is mounted there too: choose another mountPath"
        taken.setdefault(normpath(path), name)
