"""Devices that a run's decided attempt still holds in reserve: what is rebuilt when the operator starts."""

from tandem.domain.placement.request import Grant
from tandem.domain.training import attempt, choose
from tandem.domain.training.view import RunView


def outstanding(view: RunView) -> tuple[int, tuple[Grant, ...]]:
    """The active attempt's number and its grant, as it was decided. (0, ()) when there is none."""
    active = attempt.active(view)
    if active is None:
        return 0, ()
    variant = view.variant(active.variant)
    profile = view.profiles.get(active.accelerator)
    if variant is None or profile is None:
        return 0, ()
    return active.number, (Grant(variant.name, choose.option(variant, profile), active.pods),)
