"""What ResourceQuotas leave room for, so that no pod is made which the API server would refuse.

Of un-scoped quotas, devices and pods are looked at; the server has the last word on these and on all else.
"""

from collections.abc import Iterable

from tandem.api.reasons import Reason
from tandem.domain.observed import QuotaRecord
from tandem.domain.placement.request import Option, Rejection
from tandem.domain.words import times

REFUSAL = "exceeded quota"
"""In the message with which a pod is refused. Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota."""


def exceeded(variant: str, option: Option, pods: int, quotas: Iterable[QuotaRecord]) -> Rejection | None:
    """Why no quota has room for so many pods; None when all have."""
    asked = {f"requests.{option.resource}": pods * option.devices, "pods": pods, "count/pods": pods}
    for quota in quotas:
        for name, amount in asked.items():
            hard = quota.hard.get(name)
            if hard is not None and quota.used.get(name, 0) + amount > hard:
                what = f"{times(pods, 'pod')} x {times(option.devices, 'device')} asked for"
                why = f"quota {quota.name} allows {hard} {name}, {quota.used.get(name, 0)} in use, {amount} more needed"
                mend = "raise it, or wait until others of the namespace end"
                return Rejection(variant, option.profile.name, Reason.QUOTA_EXCEEDED, f"{what}; {why}: {mend}")
    return None
