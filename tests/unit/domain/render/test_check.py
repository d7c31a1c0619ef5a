"""The last look at a pod spec, whatever rendered it: what another renderer, a bug or a weaker schema might put there."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.domain.render.check import Own, violation
from tandem.domain.render.pod import ClaimMount, Extras, own, pod_spec
from tandem.domain.variants import training_variants
from tests.support import hostile
from tests.unit.domain.builders import GPU, profile, run

Body = dict[str, Any]
Change = Callable[[Body], object]

ON: AcceleratorProfile = profile(perDevice={"shm": "1Gi"}, voidEnv=[{"name": "VISIBLE", "value": "void"}])
EXTRAS = Extras(
    env={"TANDEM_ATTEMPT": "1"},
    claims=[ClaimMount("tandem-model", "models", "/models", read_only=True)],
    container={"ports": [{"name": "http", "containerPort": 8000}]},
)
TEMPLATE = {
    "spec": {
        "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "initContainers": [{"name": "fetch", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
    }
}
(VARIANT,) = training_variants(run(template=TEMPLATE).spec)
OWN: Own = own(VARIANT, ON, EXTRAS)


def good() -> Body:
    """A pod spec with something of everything."""
    return deepcopy(pod_spec(VARIANT, ON, EXTRAS))


def main(spec: Body) -> Body:
    found: Body = spec["containers"][0]
    return found


def fetch(spec: Body) -> Body:
    found: Body = spec["initContainers"][0]
    return found


def put(**fields: Any) -> Change:
    """Fields of the pod."""
    return lambda spec: spec.update(fields)


def in_main(**fields: Any) -> Change:
    return lambda spec: main(spec).update(fields)


def in_fetch(**fields: Any) -> Change:
    return lambda spec: fetch(spec).update(fields)


def secure(container: Callable[[Body], Body], **fields: Any) -> Change:
    return lambda spec: container(spec)["securityContext"].update(fields)


def volume(name: str = "v", **source: Any) -> Change:
    return lambda spec: spec["volumes"].append({"name": name, **source})


def mount(container: Callable[[Body], Body], name: str, path: str, **fields: Any) -> Change:
    return lambda spec: container(spec)["volumeMounts"].append({"name": name, "mountPath": path, **fields})


def variable(container: Callable[[Body], Body], **fields: Any) -> Change:
    return lambda spec: container(spec).setdefault("env", []).append(fields)


SPEC = "template.spec"
MAIN = f"{SPEC}.containers[main]"
FETCH = f"{SPEC}.initContainers[fetch]"
NOT_HERE = "it may not stand in a pod of Tandem: take it out"
NO_HOST_PATH = f"{SPEC}.volumes[v].hostPath: hostPath is refused: use a PersistentVolumeClaim"
TWO_MAINS = [{"name": "main", "image": "i"}, {"name": "main", "image": "i"}]
TOKEN = {"sources": [{"serviceAccountToken": {"path": "t"}}]}

VIOLATIONS: list[tuple[Change, str]] = [
    # Host paths: no profile grants any, and these none may ever grant
    *(
        (volume(hostPath={"path": path}), NO_HOST_PATH)
        for path in ("/", "/etc", "/proc", "/sys", "/var/run", "/var/lib/kubelet", "/root", "/usr/local/Ascend/driver")
    ),
    # Host namespaces, nodes and ports
    (put(hostNetwork=True), f"{SPEC}.hostNetwork: {NOT_HERE}"),
    (put(hostPID=True), f"{SPEC}.hostPID: {NOT_HERE}"),
    (put(hostIPC=True), f"{SPEC}.hostIPC: {NOT_HERE}"),
    (put(hostUsers=False), f"{SPEC}.hostUsers: {NOT_HERE}"),
    (put(shareProcessNamespace=True), f"{SPEC}.shareProcessNamespace: {NOT_HERE}"),
    (put(nodeName="n"), f"{SPEC}.nodeName: {NOT_HERE}"),
    (put(ephemeralContainers=[{"name": "d"}]), f"{SPEC}.ephemeralContainers: {NOT_HERE}"),
    (put(resourceClaims=[{"name": "d"}]), f"{SPEC}.resourceClaims: {NOT_HERE}"),
    (put(fieldOfTheFuture=1), f"{SPEC}.fieldOfTheFuture: {NOT_HERE}"),
    (
        in_main(ports=[{"containerPort": 80, "hostPort": 80}]),
        f"{MAIN}.ports: hostPort is refused: a service's port is spec.port, a pod needs none",
    ),
    (in_fetch(ports=[{"containerPort": 80}]), f"{FETCH}.ports: {NOT_HERE}"),
    # Rights
    (secure(main, privileged=True), f"{MAIN}.securityContext.privileged: {NOT_HERE}"),
    (secure(fetch, procMount="Unmasked"), f"{FETCH}.securityContext.procMount: {NOT_HERE}"),
    (secure(main, seLinuxOptions={}), f"{MAIN}.securityContext.seLinuxOptions: {NOT_HERE}"),
    (
        secure(main, allowPrivilegeEscalation=True),
        f"{MAIN}.securityContext.allowPrivilegeEscalation: it must be false: leave it out",
    ),
    (
        secure(fetch, allowPrivilegeEscalation=None),
        f"{FETCH}.securityContext.allowPrivilegeEscalation: it must be false: leave it out",
    ),
    (
        secure(main, capabilities={"drop": ["ALL"], "add": ["IPC_LOCK"]}),
        f"{MAIN}.securityContext.capabilities: all are dropped and none is added: leave it out",
    ),
    (
        secure(fetch, capabilities={"drop": ["NET_RAW"]}),
        f"{FETCH}.securityContext.capabilities: all are dropped and none is added: leave it out",
    ),
    (
        in_main(securityContext=None),
        f"{MAIN}.securityContext.allowPrivilegeEscalation: it must be false: leave it out",
    ),
    (
        secure(main, seccompProfile={"type": "Localhost", "localhostProfile": "x"}),
        f"{MAIN}.securityContext.seccompProfile: {hostile.SECCOMP}",
    ),
    (put(securityContext={}), f"{SPEC}.securityContext.seccompProfile: {hostile.SECCOMP}"),
    (put(securityContext=None), f"{SPEC}.securityContext.seccompProfile: {hostile.SECCOMP}"),
    (
        put(securityContext={"seccompProfile": {"type": "RuntimeDefault"}, "sysctls": [{}]}),
        f"{SPEC}.securityContext.sysctls: {NOT_HERE}",
    ),
    (
        put(
            securityContext={
                "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "Localhost", "localhostProfile": "x"},
            }
        ),
        f"{SPEC}.securityContext.appArmorProfile: {hostile.APPARMOR}",
    ),
    # Tokens
    (put(automountServiceAccountToken=True), f"{SPEC}.automountServiceAccountToken: {hostile.NEEDS_ACCOUNT}"),
    (put(automountServiceAccountToken=None), f"{SPEC}.automountServiceAccountToken: {hostile.NEEDS_ACCOUNT}"),
    (volume(projected=TOKEN), f"{SPEC}.volumes[v].projected: {hostile.NEEDS_ACCOUNT}"),
    # References have no namespace
    (
        put(affinity={"podAntiAffinity": {"x": [{"podAffinityTerm": {"namespaces": ["other"]}}]}}),
        f"{SPEC}.affinity.podAntiAffinity.x[0].podAffinityTerm.namespaces: {hostile.OWN_PODS}",
    ),
    (
        put(affinity={"podAffinity": {"namespaceSelector": {}}}),
        f"{SPEC}.affinity.podAffinity.namespaceSelector: {hostile.OWN_PODS}",
    ),
    # The operator's names
    (volume("tandem-x", emptyDir={}), f"{SPEC}.volumes[tandem-x]: {hostile.OWN_VOLUMES}"),
    (
        volume("tandem-model", emptyDir={}),
        f"{SPEC}.volumes[tandem-model]: this name is used twice: rename the volume",
    ),
    (volume("data", emptyDir={}), f"{SPEC}.volumes[data]: this name is used twice: rename the volume"),
    (mount(main, "tandem-model", "/writable"), f"{MAIN}.volumeMounts[/writable]: {hostile.OWN_VOLUMES}"),
    (mount(fetch, "tandem-model", "/models"), f"{FETCH}.volumeMounts[/models]: {hostile.OWN_VOLUMES}"),
    (in_fetch(name="tandem-x"), f"{SPEC}.initContainers[tandem-x]: {hostile.OWN_CONTAINERS}"),
    (in_fetch(name="main"), f"{SPEC}.initContainers[main]: 'main' is the container that is trained or served in"),
    (
        lambda spec: spec["initContainers"].append(fetch(spec)),
        f"{FETCH}: this name is used twice: rename the container",
    ),
    (put(containers=[]), f"{SPEC}.containers: {hostile.ONLY_MAIN}"),
    (put(containers=TWO_MAINS), f"{SPEC}.containers: {hostile.ONLY_MAIN}"),
    (in_main(name="other"), f"{SPEC}.containers: {hostile.ONLY_MAIN}"),
    (
        variable(main, name="TANDEM_ATTEMPT", value="2"),
        "env TANDEM_ATTEMPT is set by the operator: take it out of env",
    ),
    (
        variable(main, name="TANDEM_ATTEMPT", value="1"),
        "env TANDEM_ATTEMPT is set by the operator: take it out of env",
    ),
    (variable(main, name="MASTER_ADDR", value="x"), "env MASTER_ADDR is set by the operator: take it out of env"),
    (
        variable(fetch, name="TANDEM_ATTEMPT", value="1"),
        "env TANDEM_ATTEMPT is set by the operator: take it out of env of fetch",
    ),
    (
        variable(main, name="A", valueFrom={"resourceFieldRef": {}}),
        f"{MAIN}.env[A]: it needs a value, or a valueFrom with one known source",
    ),
    (
        variable(main, name="A", value="1", valueFrom={"secretKeyRef": {}}),
        f"{MAIN}.env[A]: it needs a value, or a valueFrom with one known source",
    ),
    (
        variable(fetch, name="A", valueFrom={"secretKeyRef": {}, "configMapKeyRef": {}}),
        f"{FETCH}.env[A]: it needs a value, or a valueFrom with one known source",
    ),
    # Devices
    (in_fetch(resources={"limits": {GPU: "1"}}), f"{FETCH}.resources: {hostile.NO_DEVICES}"),
    (in_fetch(resources={"requests": {"example.com/rdma": "1"}}), f"{FETCH}.resources: {hostile.NO_DEVICES}"),
    (in_fetch(resources={"claims": [{"name": "gpu"}]}), f"{FETCH}.resources: {hostile.NO_DEVICES}"),
    (
        in_main(resources={"claims": [{"name": "gpu"}]}),
        f"{MAIN}.resources.claims: claims are reserved for a later version: set devicesPerPod instead",
    ),
    (in_main(volumeDevices=[{}]), f"{MAIN}.volumeDevices: {NOT_HERE}"),
    # Containers
    (in_main(restartPolicy="Always"), f"{MAIN}.restartPolicy: {NOT_HERE}"),
    (in_main(envFrom=[{}]), f"{MAIN}.envFrom: {NOT_HERE}"),
    (in_fetch(lifecycle={}), f"{FETCH}.lifecycle: {NOT_HERE}"),
    (
        in_fetch(restartPolicy="Never"),
        f"{FETCH}.restartPolicy: restartPolicy of a helper is Always (it runs beside main) or left out",
    ),
    # Volumes and mounts
    (volume(), f"{SPEC}.volumes[v]: {hostile.ONE_VOLUME}"),
    (volume(nfs={"server": "s", "path": "/"}), f"{SPEC}.volumes[v]: {hostile.ONE_VOLUME}"),
    (volume(emptyDir={}, secret={}), f"{SPEC}.volumes[v]: {hostile.ONE_VOLUME}"),
    (
        volume(projected={"sources": [{"podCertificate": {}}]}),
        f"{SPEC}.volumes[v].projected: {hostile.ONE_PROJECTION}",
    ),
    (
        volume(projected={"sources": [{"secret": {}, "configMap": {}}]}),
        f"{SPEC}.volumes[v].projected: {hostile.ONE_PROJECTION}",
    ),
    (volume(secret={"items": [{"path": "../x"}]}), f"{SPEC}.volumes[v].secret: {hostile.INSIDE}"),
    (
        volume(projected={"sources": [{"downwardAPI": {"items": [{"path": "/x"}]}}]}),
        f"{SPEC}.volumes[v].projected.downwardAPI: {hostile.INSIDE}",
    ),
    (
        mount(main, "data", "/x", mountPropagation="Bidirectional"),
        f"{MAIN}.volumeMounts[/x].mountPropagation: {NOT_HERE}",
    ),
    (mount(main, "data", "/proc"), f"{MAIN}.volumeMounts[/proc]: {hostile.SYSTEM}"),
    (mount(fetch, "data", "relative"), f"{FETCH}.volumeMounts[relative]: {hostile.SYSTEM}"),
    (mount(main, "data", "/x", subPath="../y"), f"{MAIN}.volumeMounts[/x].subPath: {hostile.INSIDE}"),
    (
        mount(main, "data", "/data/"),
        f"{MAIN}.volumeMounts[/data/]: volume data is mounted there too: choose another mountPath",
    ),
    (
        mount(main, "data", "/models"),
        f"{MAIN}.volumeMounts[/models]: volume tandem-model is mounted there too: choose another mountPath",
    ),
    (mount(main, "typo", "/x"), f"{MAIN}.volumeMounts names volume 'typo', which volumes does not define"),
]


def test_what_the_renderer_makes_of_a_full_template_may_be_made() -> None:
    assert violation(good(), OWN) is None


@pytest.mark.parametrize(("change", "message"), VIOLATIONS, ids=[message[:70] for _, message in VIOLATIONS])
def test_what_may_not_stand_in_a_pod_is_told(change: Change, message: str) -> None:
    spec = good()
    change(spec)
    found = violation(spec, OWN)
    assert found is not None
    assert found.startswith(message)


def test_an_account_that_is_named_may_have_its_token() -> None:
    spec = good() | {"serviceAccountName": "trainer", "automountServiceAccountToken": True}
    spec["volumes"].append({"name": "v", "projected": TOKEN})
    assert violation(spec, OWN) is None


def test_what_the_operator_may_do_a_users_volume_of_its_name_may_not() -> None:
    """Without the claim that bears it, the name is refused."""
    assert violation(good(), Own(env=EXTRAS.env)) == f"{SPEC}.volumes[tandem-model]: {hostile.OWN_VOLUMES}"


def test_a_pod_without_volumes_helpers_and_environment_may_be_made() -> None:
    (plain,) = training_variants(run().spec)
    assert violation(pod_spec(plain, profile(), Extras()), Own()) is None
