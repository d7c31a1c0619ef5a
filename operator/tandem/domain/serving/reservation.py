"""Devices that a service's placed replicas still hold in reserve: what is rebuilt when the operator starts."""

from tandem.domain.placement import candidates
from tandem.domain.placement.request import Grant
from tandem.domain.serving.shares import Shares
from tandem.domain.serving.view import ServiceView
from tandem.domain.variants import by_name


def outstanding(view: ServiceView, shares: Shares) -> tuple[Grant, ...]:
    """These shares as grants; those whose pods have a node are subtracted by the placer."""
    grants = []
    for name, share in shares.items():
        variant, profile = by_name(view.variants, name), view.profiles.get(share.accelerator)
        if variant is not None and profile is not None:
            grants.append(Grant(name, candidates.option(variant, profile, share.replicas), share.replicas))
    return tuple(grants)
