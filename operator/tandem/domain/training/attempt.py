"""Attempts: which one is active, and how the next one begins.

An attempt is written to status before its first pod is made. Its number is derived from status and pods, never counted up
blindly, so that a crash or a restore cannot use one twice.
"""

from tandem.api.training_run import ActiveAttempt
from tandem.domain import clock
from tandem.domain.placement.request import Grant
from tandem.domain.training.pod_group import group_for
from tandem.domain.training.pods import hash_of
from tandem.domain.training.view import RunView
from tandem.domain.variants import Variant


def active(view: RunView) -> ActiveAttempt | None:
    """The active attempt: status's, or after a restore without status the one that pods speak of."""
    if view.newest_attempt > view.run.status.attempt:
        return _from_pods(view)
    return view.run.status.active


def begin(view: RunView, variant: Variant, grant: Grant) -> ActiveAttempt:
    """The next attempt on the granted profile. How its pods are bound is decided here, for as long as it lasts."""
    number = view.newest_attempt + 1
    return ActiveAttempt(
        number=number,
        variant=variant.name,
        accelerator=grant.option.profile.name,
        inputs_hash=hash_of(view.run, variant, grant.option.profile),
        pods=variant.pods,
        devices_per_pod=variant.devices,
        start_time=clock.stamp(view.now),
        pod_group=group_for(view, variant, number),
    )


def outdated(view: RunView, attempt: ActiveAttempt) -> bool:
    """Whether the spec (or the profile's revision) no longer is what the attempt was made from."""
    variant = view.variant(attempt.variant)
    profile = view.profiles.get(attempt.accelerator)
    return variant is None or profile is None or hash_of(view.run, variant, profile) != attempt.inputs_hash


def _from_pods(view: RunView) -> ActiveAttempt:
    gang = view.gang(view.newest_attempt)
    first = gang[min(gang)]
    variant = view.variant(first.variant)
    moments = [pod.created for pod in gang.values() if pod.created]
    size = max(variant.pods if variant else 1, max(gang) + 1)
    complete = len(gang) == size and moments
    return ActiveAttempt(
        number=view.newest_attempt,
        variant=first.variant,
        accelerator=first.accelerator,
        inputs_hash=first.inputs_hash,
        pods=size,
        devices_per_pod=max([1, *first.devices.values()]),
        start_time=clock.stamp(min(moments)) if moments else clock.stamp(view.created),
        created_time=clock.stamp(max(moments)) if complete else None,
        pod_group=first.pod_group or None,
    )
