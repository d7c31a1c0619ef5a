"""Devices that a service's placed replicas still hold in reserve: what is rebuilt when the operator starts."""

from tandem.domain.placement import candidates
from tandem.domain.placement.request import Grant
from tandem.domain.serving import split
from tandem.domain.serving.view import ServiceView
from tandem.domain.variants import by_name


def outstanding(view: ServiceView) -> tuple[Grant, ...]:
    """All placed replicas as grants; those whose pods have a node are subtracted by the placer."""
    grants = []
    for name, share in split.recorded(view).items():
        variant, profile = by_name(view.variants, name), view.profiles.get(share.accelerator)
        if variant is not None and profile is not None:
            grants.append(Grant(name, candidates.option(variant, profile, share.replicas), share.replicas))
    return tuple(grants)
