"""The pods of an attempt: exact names, one per rank group, alike in all that the scheduler looks at."""

from collections.abc import Iterable

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.constants import (
    ANNOTATION_SAFE_TO_EVICT,
    LABEL_ACCELERATOR,
    LABEL_ATTEMPT,
    LABEL_INPUTS_HASH,
    LABEL_RANK,
    LABEL_RUN,
    LABEL_VARIANT,
)
from tandem.api.training_run import ActiveAttempt, TrainingRun
from tandem.domain import naming
from tandem.domain.plan import Child, Resource
from tandem.domain.render.meta import metadata
from tandem.domain.render.pod import Body, ClaimMount, Extras, claims_of, own, pod_spec
from tandem.domain.render.problem import Specimen
from tandem.domain.training.rendezvous import CHECKPOINT_MOUNT, CHECKPOINT_VOLUME, environment
from tandem.domain.variants import Variant, inputs_hash


def gang(
    run: TrainingRun, variant: Variant, profile: AcceleratorProfile, active: ActiveAttempt, ranks: Iterable[int]
) -> tuple[Child, ...]:
    """The pods of these ranks of the active attempt."""
    return tuple(_pod(run, variant, profile, active, rank) for rank in ranks)


def hash_of(run: TrainingRun, variant: Variant, profile: AcceleratorProfile) -> str:
    """Digest of what the pods of an attempt are made from."""
    more: dict[str, str] = {}
    if run.spec.launcher:
        more["launcher"] = run.spec.launcher
    if run.spec.checkpoint:
        claim = run.spec.checkpoint.claim
        more["checkpoint"] = f"{claim.name}/{claim.path or ''}"
    return inputs_hash(variant, profile, **more)


def claims(run: TrainingRun, variant: Variant) -> tuple[str, ...]:
    """Names of all claims that the pods mount."""
    own = (run.spec.checkpoint.claim.name,) if run.spec.checkpoint else ()
    return (*own, *claims_of(variant))


def specimen(run: TrainingRun, variant: Variant, profile: AcceleratorProfile) -> Specimen:
    """What is looked at before pods of this variant are made on this profile: the first rank of the first attempt."""
    extras = _extras(run, variant, profile, 1, 0)
    pod = _spec(run, variant, profile, 1, 0, extras)
    return Specimen(run.spec, variant, profile, pod, own(variant, profile, extras))


def _pod(run: TrainingRun, variant: Variant, profile: AcceleratorProfile, active: ActiveAttempt, rank: int) -> Child:
    labels = {
        LABEL_RUN: run.name,
        LABEL_ATTEMPT: str(active.number),
        LABEL_RANK: str(rank),
        LABEL_VARIANT: variant.name,
        LABEL_ACCELERATOR: profile.name,
        LABEL_INPUTS_HASH: active.inputs_hash,
    }
    name = naming.pod(run.name, active.number, rank)
    extras = _extras(run, variant, profile, active.number, rank)
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(run, name, labels, {ANNOTATION_SAFE_TO_EVICT: "false"}),
        "spec": _spec(run, variant, profile, active.number, rank, extras) | _binding(active),
    }
    return Child(Resource.POD, body)


def _binding(active: ActiveAttempt) -> Body:
    """How the scheduler is to bind the pod: never a user's to say, and as the attempt began."""
    return {"schedulingGroup": {"podGroupName": active.pod_group}} if active.pod_group else {}


def _extras(run: TrainingRun, variant: Variant, profile: AcceleratorProfile, attempt: int, rank: int) -> Extras:
    mounts = []
    if run.spec.checkpoint:
        claim = run.spec.checkpoint.claim
        mounts.append(ClaimMount(CHECKPOINT_VOLUME, claim.name, CHECKPOINT_MOUNT, read_only=False))
    return Extras(env=environment(run, variant, profile, attempt, rank), claims=mounts)


def _spec(
    run: TrainingRun, variant: Variant, profile: AcceleratorProfile, attempt: int, rank: int, extras: Extras
) -> Body:
    name = naming.pod(run.name, attempt, rank)
    spec = pod_spec(variant, profile, extras) | {"restartPolicy": "Never", "hostname": name}
    if variant.pods > 1:
        spec["subdomain"] = naming.rendezvous_service(run.name)
    return spec
