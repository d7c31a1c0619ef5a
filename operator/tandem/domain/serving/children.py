"""What a service is made of: a Deployment for each variant, one Service before them all, one PodDisruptionBudget."""

from math import ceil
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.constants import (
    ANNOTATION_RENDERED,
    LABEL_ACCELERATOR,
    LABEL_INPUTS_HASH,
    LABEL_ROLE,
    LABEL_SERVICE,
    LABEL_VARIANT,
    ROLE_LEADER,
)
from tandem.api.inference_service import (
    DEFAULT_DRAIN_SECONDS,
    DEFAULT_PORT,
    DEFAULT_STARTUP_PATH,
    DEFAULT_STARTUP_SECONDS,
    HEALTH_PATH,
    InferenceService,
)
from tandem.domain import naming
from tandem.domain.plan import Child, Resource
from tandem.domain.render.meta import metadata
from tandem.domain.render.pod import ClaimMount, Extras, directory, own, pod_spec
from tandem.domain.render.problem import Specimen
from tandem.domain.serving import model
from tandem.domain.variants import Variant, inputs_hash

MODEL_MOUNT = "/models"
MODEL_VOLUME = "tandem-model"
PROBE_SECONDS = 5
PULL_ALLOWANCE_SECONDS = 1200
"""Added to the loading time before a rollout is called stuck: pulling an image of many gigabytes takes its time."""
DRAIN_MARGIN_SECONDS = 30
"""What a server gets after SIGTERM, once it has been out of the Service for the drain."""

Body = dict[str, Any]


def selector(service: str) -> dict[str, str]:
    """Labels of the pods that answer, of all variants; the Service and /scale use the same."""
    return {LABEL_SERVICE: service, LABEL_ROLE: ROLE_LEADER}


def port_of(service: InferenceService) -> int:
    """HTTP port of server and Service."""
    return service.spec.port or DEFAULT_PORT


def hash_of(service: InferenceService, variant: Variant, profile: AcceleratorProfile) -> str:
    """Digest of what the replicas of a variant are made from; only a change of it renders the Deployment anew."""
    spec = service.spec
    more: Body = {}
    if spec.port is not None:
        more["port"] = spec.port
    if variant.model is not None:
        more["model"] = model.digest_input(variant.model)
    if spec.startup is not None:
        more["startup"] = spec.startup.model_dump(by_alias=True, exclude_none=True)
    if spec.drain is not None:
        more["drain"] = spec.drain.model_dump(by_alias=True, exclude_none=True)
    return inputs_hash(variant, profile, **more)


def specimen(service: InferenceService, variant: Variant, profile: AcceleratorProfile) -> Specimen:
    """What is looked at before replicas of this variant are made on this profile."""
    extras = _extras(service, variant)
    pod = _replica(service, variant, profile, extras)
    return Specimen(service.spec, variant, profile, pod, own(variant, profile, extras))


def deployment(service: InferenceService, variant: Variant, profile: AcceleratorProfile, replicas: int) -> Child:
    """The Deployment of one variant."""
    digest = hash_of(service, variant, profile)
    startup = _startup_seconds(service)
    chosen = {**selector(service.name), LABEL_VARIANT: variant.name}
    labels = {**chosen, LABEL_ACCELERATOR: profile.name}
    template = metadata(service, "unnamed", {**labels, LABEL_INPUTS_HASH: digest})
    spec = {
        "selector": {"matchLabels": chosen},
        # Surge without free devices is a deadlock: the new pod waits for the old one's devices.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        "progressDeadlineSeconds": startup + PULL_ALLOWANCE_SECONDS,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": template["labels"]},
            "spec": _replica(service, variant, profile, _extras(service, variant)),
        },
    }
    notes = {LABEL_INPUTS_HASH: digest, ANNOTATION_RENDERED: naming.inputs_hash(spec)}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(service, naming.deployment(service.name, variant.name), labels, notes),
        "spec": {"replicas": replicas, **spec},
    }
    return Child(Resource.DEPLOYMENT, body)


def front_service(service: InferenceService) -> Child:
    """The Service that answers for all variants."""
    port = port_of(service)
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(
            service, service.name, {LABEL_SERVICE: service.name}, {LABEL_INPUTS_HASH: front_hash(service)}
        ),
        "spec": {
            "selector": selector(service.name),
            "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }
    return Child(Resource.SERVICE, body)


def front_hash(service: InferenceService) -> str:
    """Digest of what the Service is made from."""
    return naming.inputs_hash({"port": port_of(service)})


def budget(service: InferenceService) -> Child:
    """One replica may be away at a time by anybody's will; a replica that is broken anyway may always be evicted."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(service, service.name, {LABEL_SERVICE: service.name}),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(service.name)},
        },
    }
    return Child(Resource.BUDGET, body)


def url(service: InferenceService) -> str:
    """Where the service answers inside the cluster."""
    return f"http://{service.name}.{service.namespace}.svc:{port_of(service)}"


def _replica(service: InferenceService, variant: Variant, profile: AcceleratorProfile, extras: Extras) -> Body:
    spec = pod_spec(variant, profile, extras)
    grace = max(_drain_seconds(service) + DRAIN_MARGIN_SECONDS, spec.get("terminationGracePeriodSeconds", 0))
    return spec | {"terminationGracePeriodSeconds": grace}


def _extras(service: InferenceService, variant: Variant) -> Extras:
    container: Body = {"ports": [{"name": "http", "containerPort": port_of(service)}], **_probes(service)}
    drain = _drain_seconds(service)
    if drain:
        # A sleep of the kubelet's own needs no shell in the image.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": drain}}}
    env: dict[str, str] = {}
    mounts: list[ClaimMount] = []
    if variant.model is not None and variant.model.claim is not None:
        claim = variant.model.claim
        env["TANDEM_MODEL_PATH"] = directory(MODEL_MOUNT, claim)
        mounts.append(ClaimMount(MODEL_VOLUME, claim.name, MODEL_MOUNT, read_only=True))
    elif variant.model is not None:
        env["TANDEM_MODEL_PATH"] = str(variant.model.uri)
    return Extras(env=env, claims=mounts, container=container)


def _drain_seconds(service: InferenceService) -> int:
    drain = service.spec.drain
    return DEFAULT_DRAIN_SECONDS if drain is None or drain.seconds is None else drain.seconds


def _probes(service: InferenceService) -> Body:
    startup = service.spec.startup
    loaded = {"httpGet": {"path": (startup and startup.path) or DEFAULT_STARTUP_PATH, "port": "http"}}
    alive = {"httpGet": {"path": HEALTH_PATH, "port": "http"}}
    often = {"periodSeconds": PROBE_SECONDS, "timeoutSeconds": PROBE_SECONDS}
    return {
        "startupProbe": {**loaded, **often, "failureThreshold": ceil(_startup_seconds(service) / PROBE_SECONDS)},
        "readinessProbe": {**loaded, **often, "failureThreshold": 3},
        # Late: a busy server that answers slowly must not be killed for it.
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 12},
    }


def _startup_seconds(service: InferenceService) -> int:
    startup = service.spec.startup
    return (startup and startup.timeout_seconds) or DEFAULT_STARTUP_SECONDS
