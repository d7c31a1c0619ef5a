"""Whether a namespace's Pod Security level would refuse a pod that passed `check.py`.

Such a pod meets `baseline` whatever the user said, and of `restricted` all but one thing: that no container runs as root,
which only the user can know of an image. Source: k8s.io/pod-security-admission, policy/check_runAsNonRoot.go and
check_runAsUser.go.
"""

from tandem.domain.render.check import Body

RESTRICTED = "restricted"
MEND = (
    "set runAsNonRoot to true in template.spec.securityContext, and runAsUser to another number than 0 where the image's"
    " user is root"
)


def objection(pod: Body, level: str) -> str | None:
    """What of the pod the level refuses, with the mend; None for a pod that may be made."""
    root = _root(pod) if level == RESTRICTED else None
    return root and f"{root}: {MEND}"


def _root(pod: Body) -> str | None:
    """Where a container may run as root."""
    everywhere = pod.get("securityContext") or {}
    if everywhere.get("runAsNonRoot") is False:
        return "runAsNonRoot of the pod is false"
    if everywhere.get("runAsUser") == 0:
        return "runAsUser of the pod is 0"
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        own = container.get("securityContext") or {}
        if own.get("runAsUser") == 0:
            return f"runAsUser of container {container['name']} is 0"
        if not own.get("runAsNonRoot", everywhere.get("runAsNonRoot")):
            return f"container {container['name']} may run as root"
    return None
