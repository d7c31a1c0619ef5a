"""Specs that ask for more than a creator of pods under Pod Security `restricted` gets, or that break what Tandem relies on.

Each is refused twice: by the API server (tests/api), and by the operator where an object has got past it (tests/unit).
"""

from dataclasses import dataclass
from typing import Any

Change = dict[str, Any]


@dataclass(frozen=True)
class Hostile:
    """`refused` and `taken` are changes to a small valid spec; `field` is what the server's refusal points at."""

    refused: Change
    field: str
    message: str
    taken: Change


def pod(**fields: Any) -> Change:
    """A template."""
    return {"template": {"spec": fields}}


def main(**fields: Any) -> Change:
    """A template that says something of main."""
    return pod(containers=[{"name": "main", **fields}])


def helper(**fields: Any) -> Change:
    """A template with one helper."""
    return pod(initContainers=[{"name": "fetch", "image": "i", **fields}])


def volume(name: str = "v", **source: Any) -> Change:
    """A template with a volume."""
    return pod(volumes=[{"name": name, **source}])


def mount(path: str, **fields: Any) -> Change:
    """A template that mounts an empty directory in main."""
    stand = {"name": "v", "mountPath": path, **fields}
    return pod(volumes=[{"name": "v", "emptyDir": {}}], containers=[{"name": "main", "volumeMounts": [stand]}])


def projected(*sources: Change, **fields: Any) -> Change:
    """A template with a projected volume."""
    return pod(volumes=[{"name": "v", "projected": {"sources": list(sources)}}], **fields)


SPEC = "template.spec"
MAIN = f"{SPEC}.containers[0]"
FETCH = f"{SPEC}.initContainers[0]"
VOLUME = f"{SPEC}.volumes[0]"
MOUNT = f"{MAIN}.volumeMounts[0]"
TOKEN = {"serviceAccountToken": {"path": "token"}}

OWN_VOLUMES = "names that start with 'tandem-' are the operator's: rename the volume"
OWN_CONTAINERS = "names that start with 'tandem-' are the operator's: rename the container"
OWN_VARIABLES = "PET_*, MASTER_* and TANDEM_* are set by the operator: take this variable out"
ONE_VOLUME = (
    "a volume needs exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected, csi, ephemeral, image"
    " and downwardAPI"
)
ONE_PROJECTION = "a projected source needs exactly one of configMap, secret, downwardAPI and serviceAccountToken"
NEEDS_ACCOUNT = "a token needs its service account: set serviceAccountName too, or take the token out"
SYSTEM = "'/', '/etc', '/dev', '/proc' and '/sys' belong to the system: mount beside them or below /etc and /dev"
INSIDE = "the path must stay inside the volume: take out '..' and a leading '/'"
NO_DEVICES = "devices are for main only: take the extended resource out of this container"
ONLY_MAIN = (
    "only 'main' stands in containers: put a helper into initContainers, with restartPolicy Always if it is to run"
    " beside main"
)
PROBES = "probes are the operator's: a service's follow spec.startup, a helper has none"
MESSAGES = "the termination message is read by the operator, from its default file: leave this out"
OWN_PODS = "affinity looks at pods of the run's or service's own namespace only: leave namespaces out"
SECCOMP = "seccompProfile is always RuntimeDefault: leave it out"
APPARMOR = "appArmorProfile is always RuntimeDefault: leave it out"


def flag(name: str, message: str) -> Hostile:
    """A field of the pod that may be false only."""
    return Hostile(pod(**{name: True}), f"{SPEC}.{name}", f"{name} is refused: {message}", pod(**{name: False}))


def word(name: str, value: str, message: str) -> Hostile:
    """A field of the pod that may be empty only."""
    return Hostile(pod(**{name: value}), f"{SPEC}.{name}", message, pod(**{name: ""}))


def many(name: str, message: str) -> Hostile:
    """A list of the pod that must be empty."""
    return Hostile(pod(**{name: [{"name": "x"}]}), f"{SPEC}.{name}", message, pod(**{name: []}))


def never(name: str, value: Any, message: str) -> Hostile:
    """A field of the pod that must be absent."""
    return Hostile(pod(**{name: value}), f"{SPEC}.{name}", message, pod())


def term(**fields: Any) -> Change:
    """A template that wants to be near to pods."""
    near = {"topologyKey": "zone", **fields}
    return pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}})


NEAR = f"{SPEC}.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
FIRST = {"labelSelector": {"matchLabels": {"tandem.dev/run": "r"}}}

HOSTILE = {
    # The host
    "hostNetwork": flag("hostNetwork", "pods reach each other by the headless Service"),
    "hostPID": flag("hostPID", "leave it out"),
    "hostIPC": flag("hostIPC", "/dev/shm is mounted by the operator"),
    "hostUsers": Hostile(
        pod(hostUsers=False),
        f"{SPEC}.hostUsers",
        "hostUsers false is refused: devices and shared claims need real ids",
        pod(hostUsers=True),
    ),
    "shareProcessNamespace": flag("shareProcessNamespace", "helpers do not see main's processes"),
    "hostPath": Hostile(
        volume(hostPath={"path": "/"}),
        f"{VOLUME}.hostPath",
        "hostPath is refused: use a PersistentVolumeClaim",
        volume(persistentVolumeClaim={"claimName": "c"}),
    ),
    "nodeName": Hostile(
        pod(nodeName="node-1"),
        f"{SPEC}.nodeName",
        "nodeName is refused: use nodeSelector, the scheduler binds",
        pod(nodeSelector={"kubernetes.io/hostname": "node-1"}),
    ),
    "hostPort": Hostile(
        main(ports=[{"containerPort": 80, "hostPort": 80}]),
        f"{MAIN}.ports",
        "ports (and hostPort) are refused: a service's port is spec.port, a pod needs none",
        main(ports=[]),
    ),
    "hostPort of a helper": Hostile(
        helper(ports=[{"containerPort": 80, "hostPort": 80}]),
        f"{FETCH}.ports",
        "ports (and hostPort) are refused: a service's port is spec.port, a pod needs none",
        helper(),
    ),
    "mountPropagation": Hostile(
        mount("/x", mountPropagation="Bidirectional"),
        f"{MOUNT}.mountPropagation",
        "mountPropagation is refused: it needs the host",
        mount("/x", mountPropagation=""),
    ),
    "mount on the root": Hostile(mount("/"), f"{MOUNT}.mountPath", SYSTEM, mount("/x")),
    "mount on /etc": Hostile(mount("/etc/"), f"{MOUNT}.mountPath", SYSTEM, mount("/etc/app")),
    "mount on /dev": Hostile(mount("//dev"), f"{MOUNT}.mountPath", SYSTEM, mount("/dev/shm")),
    "mount in /proc": Hostile(mount("/proc/self"), f"{MOUNT}.mountPath", SYSTEM, mount("/process")),
    "mount in /sys": Hostile(mount("/sys/fs/cgroup"), f"{MOUNT}.mountPath", SYSTEM, mount("/system")),
    "mount that walks": Hostile(mount("/x/../etc"), f"{MOUNT}.mountPath", SYSTEM, mount("/x/..etc")),
    "subPath that walks": Hostile(
        mount("/x", subPath="a/../.."), f"{MOUNT}.subPath", INSIDE, mount("/x", subPath="a/..b")
    ),
    "subPath from the root": Hostile(mount("/x", subPath="/a"), f"{MOUNT}.subPath", INSIDE, mount("/x", subPath="a")),
    "file outside the volume": Hostile(
        volume(configMap={"name": "c", "items": [{"key": "k", "path": "../k"}]}),
        f"{VOLUME}.configMap.items[0].path",
        INSIDE,
        volume(configMap={"name": "c", "items": [{"key": "k", "path": "a/k"}]}),
    ),
    "subPathExpr": Hostile(
        mount("/x", subPathExpr="$(NAME)"),
        f"{MOUNT}.subPathExpr",
        "subPathExpr is refused: use subPath",
        mount("/x", subPathExpr=""),
    ),
    "recursiveReadOnly": Hostile(
        mount("/x", recursiveReadOnly="Enabled"),
        f"{MOUNT}.recursiveReadOnly",
        "recursiveReadOnly is refused: use readOnly",
        mount("/x", readOnly=True),
    ),
    # Rights
    "privileged": Hostile(
        main(securityContext={"privileged": True}),
        f"{MAIN}.securityContext.privileged",
        "privileged is refused: devices come from the device plugin, not from the host",
        main(securityContext={"privileged": False, "runAsNonRoot": True}),
    ),
    "privileged helper": Hostile(
        helper(securityContext={"privileged": True}),
        f"{FETCH}.securityContext.privileged",
        "privileged is refused: devices come from the device plugin, not from the host",
        helper(securityContext={"privileged": False}),
    ),
    "allowPrivilegeEscalation": Hostile(
        main(securityContext={"allowPrivilegeEscalation": True}),
        f"{MAIN}.securityContext.allowPrivilegeEscalation",
        "allowPrivilegeEscalation is refused: leave it out",
        main(securityContext={"allowPrivilegeEscalation": False}),
    ),
    "added capabilities": Hostile(
        main(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
        f"{MAIN}.securityContext.capabilities.add",
        "capabilities.add is refused: leave it out, devices come from the device plugin",
        main(securityContext={"capabilities": {"drop": ["ALL"]}}),
    ),
    "procMount": Hostile(
        main(securityContext={"procMount": "Unmasked"}),
        f"{MAIN}.securityContext.procMount",
        "procMount is refused: leave it out",
        main(securityContext={"procMount": ""}),
    ),
    "seccomp of main": Hostile(
        main(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        f"{MAIN}.securityContext.seccompProfile.type",
        SECCOMP,
        main(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
    ),
    "seccomp of the pod": Hostile(
        pod(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        f"{SPEC}.securityContext.seccompProfile.type",
        SECCOMP,
        pod(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
    ),
    "AppArmor of main": Hostile(
        main(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
        f"{MAIN}.securityContext.appArmorProfile.type",
        APPARMOR,
        main(securityContext={"appArmorProfile": {"type": "RuntimeDefault"}}),
    ),
    "AppArmor of the pod": Hostile(
        pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
        f"{SPEC}.securityContext.appArmorProfile.type",
        APPARMOR,
        pod(securityContext={"appArmorProfile": {"type": "RuntimeDefault"}}),
    ),
    "SELinux": Hostile(
        main(securityContext={"seLinuxOptions": {"type": "spc_t"}}),
        f"{MAIN}.securityContext.seLinuxOptions",
        "seLinuxOptions are refused: the runtime labels the pod",
        main(securityContext={}),
    ),
    "Windows": Hostile(
        pod(securityContext={"windowsOptions": {"hostProcess": True}}),
        f"{SPEC}.securityContext.windowsOptions",
        "windowsOptions are refused: pods run on Linux",
        pod(securityContext={}),
    ),
    "sysctls": Hostile(
        pod(securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}),
        f"{SPEC}.securityContext.sysctls",
        "sysctls are refused: set them on the nodes, as their admin",
        pod(securityContext={"sysctls": []}),
    ),
    "runtimeClassName": word(
        "runtimeClassName", "kata", "runtimeClassName is refused: it comes from the AcceleratorProfile"
    ),
    # Tokens
    "token without its account": Hostile(
        projected(TOKEN), SPEC, NEEDS_ACCOUNT, projected(TOKEN, serviceAccountName="trainer")
    ),
    "mounted token without its account": Hostile(
        pod(automountServiceAccountToken=True),
        SPEC,
        NEEDS_ACCOUNT,
        pod(automountServiceAccountToken=True, serviceAccountName="trainer"),
    ),
    "serviceAccount": word("serviceAccount", "trainer", "serviceAccount is old: use serviceAccountName"),
    # Other namespaces
    "affinity to others' pods": Hostile(
        term(namespaces=["other"]), f"{NEAR}.namespaces", OWN_PODS, term(namespaces=[], **FIRST)
    ),
    "affinity to all pods": Hostile(term(namespaceSelector={}), f"{NEAR}.namespaceSelector", OWN_PODS, term(**FIRST)),
    # The operator's names
    "volume of the operator": Hostile(
        volume("tandem-shm", emptyDir={}), f"{VOLUME}.name", OWN_VOLUMES, volume("shm", emptyDir={})
    ),
    "mount of the operator's volume": Hostile(
        main(volumeMounts=[{"name": "tandem-shm", "mountPath": "/x"}]),
        f"{MOUNT}.name",
        OWN_VOLUMES,
        main(volumeMounts=[{"name": "shm", "mountPath": "/x"}]),
    ),
    "mount of the operator's volume in a helper": Hostile(
        helper(volumeMounts=[{"name": "tandem-model", "mountPath": "/x"}]),
        f"{FETCH}.volumeMounts[0].name",
        OWN_VOLUMES,
        helper(volumeMounts=[{"name": "model", "mountPath": "/x"}]),
    ),
    "helper named as the operator's": Hostile(
        helper(name="tandem-gate"), f"{FETCH}.name", OWN_CONTAINERS, helper(name="gate")
    ),
    "helper named main": Hostile(
        helper(name="main"),
        f"{FETCH}.name",
        "'main' is the container that is trained or served in: choose another name for this one",
        helper(name="main-data"),
    ),
    "another container": Hostile(pod(containers=[{"name": "sidecar"}]), f"{MAIN}.name", ONLY_MAIN, main()),
    "variable of the operator in main": Hostile(
        main(env=[{"name": "TANDEM_PODS", "value": "9"}]),
        f"{MAIN}.env[0].name",
        OWN_VARIABLES,
        main(env=[{"name": "PODS", "value": "9"}]),
    ),
    "variable of the operator in a helper": Hostile(
        helper(env=[{"name": "PET_NNODES", "value": "9"}]),
        f"{FETCH}.env[0].name",
        OWN_VARIABLES,
        helper(env=[{"name": "NNODES", "value": "9"}]),
    ),
    "envFrom": Hostile(
        main(envFrom=[{"configMapRef": {"name": "c"}}]),
        f"{MAIN}.envFrom",
        "envFrom is refused, it could set reserved variables: name each in env, with valueFrom",
        main(envFrom=[]),
    ),
    # Devices
    "requested device in a helper": Hostile(
        helper(resources={"requests": {"example.com/gpu": "1"}}),
        f"{FETCH}.resources.requests",
        NO_DEVICES,
        helper(resources={"requests": {"cpu": "1"}}),
    ),
    "device in a helper": Hostile(
        helper(resources={"limits": {"example.com/gpu": "1"}}),
        f"{FETCH}.resources.limits",
        NO_DEVICES,
        helper(resources={"limits": {"memory": "1Gi"}}),
    ),
    "claims of main": Hostile(
        main(resources={"claims": [{"name": "gpu"}]}),
        f"{MAIN}.resources.claims",
        "claims are reserved for a later version: set devicesPerPod instead",
        main(resources={"claims": []}),
    ),
    "resourceClaims": many(
        "resourceClaims", "resourceClaims are reserved for a later version: set devicesPerPod instead"
    ),
    "resources of the pod": never(
        "resources", {"limits": {"cpu": "1"}}, "resources of the whole pod are refused: set spec.resources"
    ),
    "volumeDevices": Hostile(
        main(volumeDevices=[{"name": "v", "devicePath": "/dev/x"}]),
        f"{MAIN}.volumeDevices",
        "volumeDevices are refused: mount a volume with a file system",
        main(volumeDevices=[]),
    ),
    # Volumes that would be lost
    "volume without a source": Hostile(volume(), VOLUME, ONE_VOLUME, volume(configMap={"name": "c"})),
    "volume with two sources": Hostile(
        volume(emptyDir={}, secret={"secretName": "s"}), VOLUME, ONE_VOLUME, volume(secret={"secretName": "s"})
    ),
    "projected source of two kinds": Hostile(
        projected({"configMap": {"name": "c"}, "secret": {"name": "s"}}),
        f"{VOLUME}.projected.sources[0]",
        ONE_PROJECTION,
        projected({"configMap": {"name": "c"}}, {"secret": {"name": "s"}}),
    ),
    # What the operator decides
    "metadata": Hostile(
        {"template": {"metadata": {"labels": {"tandem.dev/run": "other"}}}},
        "template.metadata",
        "template.metadata is refused: labels and annotations of pods are the operator's",
        {"template": {}},
    ),
    "image of main": Hostile(
        main(image="i"),
        f"{MAIN}.image",
        "the image of main is not set here: set spec.image, or image in a variant",
        main(),
    ),
    "restartPolicy": word(
        "restartPolicy", "Always", "restartPolicy is refused: the operator restarts the gang as a whole"
    ),
    "restartPolicy of main": Hostile(
        main(restartPolicy="Always"),
        f"{MAIN}.restartPolicy",
        "restartPolicy of main is refused: the operator restarts a gang as a whole",
        main(restartPolicy=""),
    ),
    "restartPolicy of a helper": Hostile(
        helper(restartPolicy="OnFailure"),
        f"{FETCH}.restartPolicy",
        "restartPolicy of a helper is Always (it runs beside main) or left out",
        helper(restartPolicy="Always"),
    ),
    "activeDeadlineSeconds": never(
        "activeDeadlineSeconds", 60, "activeDeadlineSeconds of a pod is refused: ranks must not end one by one"
    ),
    "ephemeralContainers": many(
        "ephemeralContainers", "ephemeralContainers are refused: use `kubectl debug` on the pod"
    ),
    "hostAliases": many("hostAliases", "hostAliases are refused: names come from the cluster's DNS"),
    "hostname": word("hostname", "h", "hostname is refused: ranks find each other by the operator's"),
    "subdomain": word("subdomain", "s", "subdomain is refused: ranks find each other by the operator's"),
    "hostnameOverride": word(
        "hostnameOverride", "h", "hostnameOverride is refused: ranks find each other by the operator's"
    ),
    "setHostnameAsFQDN": flag("setHostnameAsFQDN", "leave it out"),
    "dnsPolicy": word("dnsPolicy", "None", "dnsPolicy is refused: ranks are found by the cluster's DNS"),
    "dnsConfig": never(
        "dnsConfig", {"nameservers": ["192.0.2.1"]}, "dnsConfig is refused: ranks are found by the cluster's DNS"
    ),
    "priority": never("priority", 2000000000, "priority is refused: use priorityClassName"),
    "preemptionPolicy": word(
        "preemptionPolicy", "Never", "preemptionPolicy is refused: it comes from the class in priorityClassName"
    ),
    "schedulingGates": many("schedulingGates", "schedulingGates are refused: use spec.suspend to hold a run"),
    "schedulingGroup": never(
        "schedulingGroup", {"podGroupName": "g"}, "schedulingGroup is refused: the operator makes the gang"
    ),
    "readinessGates": many(
        "readinessGates", "readinessGates are refused: a replica is ready when spec.startup says so"
    ),
    "lifecycle": Hostile(
        main(lifecycle={"preStop": {"sleep": {"seconds": 1}}}),
        f"{MAIN}.lifecycle",
        "lifecycle hooks are the operator's: a service drains by spec.drain",
        main(),
    ),
    "livenessProbe": Hostile(main(livenessProbe={"exec": {}}), f"{MAIN}.livenessProbe", PROBES, main()),
    "readinessProbe": Hostile(main(readinessProbe={"exec": {}}), f"{MAIN}.readinessProbe", PROBES, main()),
    "startupProbe": Hostile(helper(startupProbe={"exec": {}}), f"{FETCH}.startupProbe", PROBES, helper()),
    "terminationMessagePath": Hostile(
        main(terminationMessagePath="/x"), f"{MAIN}.terminationMessagePath", MESSAGES, main(terminationMessagePath="")
    ),
    "terminationMessagePolicy": Hostile(
        main(terminationMessagePolicy="FallbackToLogsOnError"),
        f"{MAIN}.terminationMessagePolicy",
        MESSAGES,
        main(terminationMessagePolicy=""),
    ),
}
"""By a name for the test."""
