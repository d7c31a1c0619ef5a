"""From a spec's variants to the candidates that the placer weighs."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.conditions import clip
from tandem.api.pod_template import PodTemplate, spec_of
from tandem.api.reasons import Reason
from tandem.api.scheduling import Toleration
from tandem.api.workload import HoldOff, Rejected, RejectedList
from tandem.domain import clock
from tandem.domain.placement.request import Candidate, Option, Rejection
from tandem.domain.timing import Timing
from tandem.domain.variants import Variant

REJECTED_LIMIT = 16
HOLD_OFF_LIMIT = 8
"""As many as a spec has variants; those of variants that were renamed away must not pile up."""


def option(variant: Variant, profile: AcceleratorProfile, pods: int) -> Option:
    """The variant's pods on one profile."""
    return Option(
        profile=profile,
        pods=pods,
        devices=variant.devices,
        node_selector=node_selector(variant.template),
        tolerations=tolerations(profile, variant.template),
    )


def candidate(
    variant: Variant,
    profiles: Iterable[AcceleratorProfile],
    holds: Iterable[HoldOff],
    now: datetime,
    *,
    pods: int,
    minimum: int = 0,
) -> Candidate:
    """A candidate that may use these profiles, unless it is held off."""
    hold = next((hold for hold in holds if hold.variant == variant.name and clock.parse(hold.until) > now), None)
    return Candidate(
        variant=variant.name,
        wants=variant.wants(),
        options=tuple(option(variant, profile, pods) for profile in profiles),
        held_off=f"not tried before {hold.until}: {hold.message}" if hold else None,
        minimum=minimum,
    )


def tolerations(profile: AcceleratorProfile, template: PodTemplate | None) -> tuple[Toleration, ...]:
    """Tolerations of the pods: the profile's and the user's."""
    return (*(profile.spec.tolerations or ()), *(spec_of(template).tolerations or ()))


def node_selector(template: PodTemplate | None) -> Mapping[str, str]:
    """The user's own node labels."""
    return spec_of(template).node_selector or {}


def hold_off(
    holds: Iterable[HoldOff], variant: str, message: str, now: datetime, timing: Timing, jitter: float
) -> list[HoldOff]:
    """The hold-offs with `variant` refused once more; its pause doubles. `jitter` in [0, 1) adds up to a quarter."""
    others = [hold for hold in holds if hold.variant != variant]
    count = 1 + next((hold.count for hold in holds if hold.variant == variant), 0)
    pause = min(timing.max_backoff, timing.hold_off * 2 ** min(count - 1, 16)) * (1 + jitter / 4)
    refused = HoldOff(variant=variant, until=clock.after(now, pause), count=count, message=clip(message))
    return [*others, refused][-HOLD_OFF_LIMIT:]


def rejected_status(rejections: Iterable[Rejection]) -> RejectedList:
    """The rejected candidates as status shows them; None when there are none."""
    shown = [
        Rejected(
            variant=item.variant,
            accelerator=item.accelerator[:253],
            reason=item.reason.value,
            message=clip(item.message),
            too_small_since=item.too_small_since,
        )
        for item in rejections
    ]
    return shown[:REJECTED_LIMIT] or None


def refused_reason(rejections: Iterable[Rejection], refusing: Iterable[Reason]) -> Rejection | None:
    """The first rejection when all of them are of a kind that waiting does not cure."""
    found = list(rejections)
    kinds = frozenset(refusing)
    return found[0] if found and all(item.reason in kinds and not item.passing for item in found) else None
