"""The whole status of a service, from its shares and what its Deployments show."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Any

from tandem.api.base import dump
from tandem.api.conditions import Condition, ConditionType, clip, merge_conditions
from tandem.api.inference_service import InferenceServiceStatus, ServedModel, ServicePlacement, VariantStatus
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, Headline, blocked, troubled
from tandem.domain.observed import DeploymentRecord, OwnPod
from tandem.domain.placement import candidates, quota
from tandem.domain.placement.arrange import LISTED_ORDER
from tandem.domain.placement.rejection import REFUSING
from tandem.domain.placement.request import Rejection
from tandem.domain.serving import children, drift, model
from tandem.domain.serving.shares import Share, Shares
from tandem.domain.serving.split import lacking
from tandem.domain.serving.view import ServiceView
from tandem.domain.variants import by_name
from tandem.domain.words import times

ALLOWED_AWAY = 0.25
"""Part of the replicas that may be away while the service still counts as Ready, as in a Deployment's rolling update."""


@dataclass(frozen=True, slots=True)
class Account:
    """Replicas, counted."""

    wanted: int
    placed: int
    existing: int
    ready: int
    available: int
    told: bool
    """Whether each variant's Deployment is there and has its number of replicas."""
    rolling: bool
    overdue: str | None
    """Why a rollout does not get on."""

    @property
    def enough(self) -> bool:
        """Whether the replicas that found a place answer, but for a quarter."""
        away = max(1, floor(ALLOWED_AWAY * self.placed))
        return self.available >= max(1, self.placed - away)


def account(view: ServiceView, shares: Shares) -> Account:
    """The service's replicas, over all variants."""
    records = view.deployments
    return Account(
        wanted=view.service.spec.replicas,
        placed=sum(share.replicas for share in shares.values()),
        existing=sum(record.replicas for record in records.values()),
        ready=sum(record.ready for record in records.values()),
        available=sum(record.available for record in records.values()),
        told={name: share.replicas for name, share in shares.items() if share.replicas}
        == {name: record.wanted for name, record in records.items() if record.wanted},
        rolling=any(_rolling(view, name, share) for name, share in shares.items()),
        overdue=_overdue(records[name] for name in shares if name in records),
    )


def state(view: ServiceView, shares: Shares, rejected: Iterable[Rejection]) -> Headline:
    """The service in one sentence, when nothing in its spec stands in the way."""
    counted = account(view, shares)
    rejections = list(rejected)
    if counted.wanted == 0:
        return Headline(Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    if counted.placed == 0:
        refused = candidates.refused_reason(rejections, REFUSING)
        if refused is not None:
            return blocked(refused.reason, refused.message)
        return troubled(Reason.QUEUED, _first(rejections))
    if not counted.enough:
        return _trouble(view, shares) or troubled(
            Reason.STARTING, f"{counted.available} of {counted.placed} replicas answer"
        )
    if counted.placed < counted.wanted:
        return Headline(
            Reason.PARTIALLY_PLACED, f"{counted.placed} of {counted.wanted} replicas have a place; {_first(rejections)}"
        )
    if counted.rolling:
        stuck = counted.overdue and f": {counted.overdue}"
        return Headline(Reason.ROLLING, f"replicas are being replaced by a new revision{stuck or ''}")
    return Headline(Reason.AVAILABLE, f"{counted.available} of {counted.wanted} replicas answer")


def render(
    view: ServiceView,
    shares: Shares,
    rejected: Iterable[Rejection],
    why: Headline,
    decided_by: str | None = None,
) -> dict[str, Any]:
    """The status as it is written; `decided_by` is the rule of a decision that gave it replicas just now."""
    service, told = view.service, view.service.status.placement
    rejections = tuple(rejected)
    counted = account(view, shares)
    status = InferenceServiceStatus(
        observed_generation=service.generation,
        replicas=counted.existing,
        ready_replicas=counted.ready,
        summary=f"{counted.ready}/{counted.wanted}",
        unplaced_replicas=max(0, lacking(view, shares)) or None,
        selector=",".join(f"{key}={value}" for key, value in children.selector(service.name).items()),
        url=children.url(service),
        variants=[_variant(view, shares, name, rejections) for name in _names(view)],
        placement=ServicePlacement(
            chosen=",".join(_profiles_in_use(view, shares)) or None,
            decided_by=decided_by or (told and told.decided_by) or LISTED_ORDER,
            rejected=candidates.rejected_status(rejections),
        ),
        model=_model(view),
        conditions=merge_conditions(service.status.conditions, _conditions(view, counted, why)),
    )
    return dump(status)


def _model(view: ServiceView) -> ServedModel | None:
    sources = list(dict.fromkeys(variant.model for variant in view.variants if variant.model))
    if not sources:
        return None
    names = clip(", ".join(model.name(source) for source in sources), 1024)
    if len(sources) > 1:
        return ServedModel(source=names)
    claim = sources[0].claim
    return ServedModel(source=names, claim=claim and claim.name, path=claim and claim.path, uri=sources[0].uri)


def _conditions(view: ServiceView, counted: Account, why: Headline) -> list[Condition]:
    write = ConditionWriter(view.service.generation, view.now)
    conditions = write.readiness(why)
    unresolved = model.problem(view)
    if unresolved is not None:
        conditions.append(write(ConditionType.MODEL_RESOLVED, False, unresolved.reason, unresolved.message))
    else:
        conditions.append(write(ConditionType.MODEL_RESOLVED, True, Reason.MODEL_RESOLVED))
    if counted.placed >= counted.wanted:
        conditions.append(
            write(ConditionType.PLACED, True, Reason.PLACED, f"{times(counted.placed, 'replica')} placed")
        )
    elif counted.placed:
        conditions.append(write(ConditionType.PLACED, False, Reason.PARTIALLY_PLACED, why.message))
    else:
        conditions.append(write(ConditionType.PLACED, False, why.reason, why.message))
    if counted.wanted == 0:
        available: tuple[bool, Reason] = (True, Reason.SCALED_TO_ZERO)
    elif counted.placed and counted.enough:
        available = (True, Reason.AVAILABLE)
    else:
        available = (False, why.reason)
    conditions.append(write(ConditionType.AVAILABLE, *available, f"{times(counted.available, 'replica')} answering"))
    if counted.overdue:
        conditions.append(write(ConditionType.ROLLOUT_COMPLETE, False, Reason.DEADLINE_EXCEEDED, counted.overdue))
    elif counted.rolling or not counted.told:
        reason = Reason.ROLLING if counted.rolling else Reason.STARTING
        conditions.append(write(ConditionType.ROLLOUT_COMPLETE, False, reason))
    else:
        conditions.append(write(ConditionType.ROLLOUT_COMPLETE, True, available[1]))
    return conditions


def _variant(view: ServiceView, shares: Shares, name: str, rejected: tuple[Rejection, ...]) -> VariantStatus:
    share = shares.get(name)
    record = view.deployments.get(name)
    if share is None:
        found = ((item.reason, item.message) for item in rejected if item.variant == name)
        reason, message = next(found, (Reason.PENDING, None))
    else:
        reason, message = _variant_state(view, name, share, record)
    message = message or drift.left(view, shares, name) or _below_minimum(view, shares, name)
    return VariantStatus(
        name=name,
        accelerator=share.accelerator if share else None,
        replicas=share.replicas if share else 0,
        ready=record.ready if record else 0,
        owned_fields=drift.recorded(view, name),
        reason=reason.value,
        message=clip(message) if message else None,
    )


def _variant_state(
    view: ServiceView, name: str, share: Share, record: DeploymentRecord | None
) -> tuple[Reason, str | None]:
    ready = record.ready if record else 0
    trouble = _trouble(view, {name: share})
    if share.accelerator not in view.profiles:
        return Reason.PROFILE_MISSING, f"AcceleratorProfile {share.accelerator} is gone"
    if ready >= share.replicas and not _rolling(view, name, share):
        return Reason.AVAILABLE, None
    if trouble is not None:
        return trouble.reason, trouble.message
    return (Reason.ROLLING if ready else Reason.STARTING), None


def _below_minimum(view: ServiceView, shares: Shares, name: str) -> str | None:
    """Why a variant has fewer replicas than its minimum though none is missing."""
    variant = by_name(view.variants, name)
    minimum = variant.min_replicas if variant is not None else 0
    held = shares[name].replicas if name in shares else 0
    if held >= minimum or not shares or lacking(view, shares) > 0:
        return None
    return f"{held} of minReplicas {minimum}: all {times(view.service.spec.replicas, 'replica')} have a place already"


def _names(view: ServiceView) -> list[str]:
    return [variant.name for variant in view.variants]


def _profiles_in_use(view: ServiceView, shares: Shares) -> Iterable[str]:
    """Each profile that holds replicas once, in the order of variants."""
    return dict.fromkeys(shares[name].accelerator for name in _names(view) if name in shares)


def _trouble(view: ServiceView, shares: Shares) -> Headline | None:
    """Why pods of these variants do not start, in the words of whoever stopped them."""
    pods = sorted((pod for pod in view.children.pods if pod.variant in shares), key=lambda pod: pod.name)
    pulling = _first_pod(pods, lambda pod: pod.pull_failed)
    if pulling is not None:
        return troubled(
            Reason.IMAGE_PULL, f"{pulling.name} on {pulling.node}: {pulling.waiting_reason}: {pulling.waiting_message}"
        )
    unbound = _first_pod(pods, lambda pod: not pod.scheduled and bool(pod.unschedulable_message))
    if unbound is not None:
        return troubled(Reason.NOT_BOUND, f"{unbound.name}: {unbound.unschedulable_message}")
    crashed = _first_pod(pods, lambda pod: pod.waiting_reason == "CrashLoopBackOff")
    if crashed is not None:
        return troubled(Reason.USER_FAILURE, f"{crashed.name}: {crashed.message or crashed.waiting_message}")
    records = [record for name, record in sorted(view.deployments.items()) if name in shares]
    refused = next((record.refused for record in records if record.refused), None)
    if refused is not None:
        return troubled(Reason.QUOTA_EXCEEDED if quota.REFUSAL in refused else Reason.CREATE_REFUSED, refused)
    overdue = _overdue(records)
    return troubled(Reason.DEADLINE_EXCEEDED, overdue) if overdue else None


def _overdue(records: Iterable[DeploymentRecord]) -> str | None:
    """Which new replicas did not answer within the time for loading and pulling, in the Deployment controller's words."""
    return next((record.overdue for record in records if record.overdue), None)


def _first_pod(pods: Iterable[OwnPod], test: Any) -> OwnPod | None:
    return next((pod for pod in pods if pod.deleting_since is None and test(pod)), None)


def _rolling(view: ServiceView, name: str, share: Share) -> bool:
    """Whether not all replicas of a variant are of the newest revision, or its Deployment is still to be told of that one."""
    record = view.deployments.get(name)
    if record is None:
        return False
    variant, profile = by_name(view.variants, name), view.profiles.get(share.accelerator)
    return (
        (
            variant is not None
            and profile is not None
            and record.inputs_hash != children.hash_of(view.service, variant, profile)
        )
        or record.observed_generation < record.generation
        or record.updated < min(share.replicas, record.wanted)
        or record.replicas > record.updated
    )


def _first(rejected: list[Rejection]) -> str:
    return (
        f"{rejected[0].variant} on {rejected[0].accelerator}: {rejected[0].message}"
        if rejected
        else "no variant may take more"
    )
