"""Every time and limit that decisions depend on, in one place, so that tests need not wait. Seconds unless said."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Defaults are those of the API reference; an operator's configuration may change them."""

    user_limit: int = 3
    """Restarts granted for failures of the program."""
    infra_limit: int = 20
    """Restarts granted for lost pods, nodes and devices."""
    backoff: float = 10
    max_backoff: float = 300
    bind: float = 120
    """From the last pod's creation until all pods must have a node."""
    image_pull: float = 600
    """How long pods may hold devices while their image cannot be pulled."""
    partial_create: float = 30
    """How long a half-made gang may stay half made."""
    collect: float = 10
    """After the first failure, how long to wait for an earlier cause to show."""
    hold_off: float = 10
    """First pause of a variant that was refused or not bound; doubles up to `max_backoff`."""
    starvation: float = 900
    """How long a gang waits before nobody behind it may take devices that it could use."""
    dwell: float = 300
    """How long a run stays with a variant that it has come to, should it fail there meanwhile."""
    moves_per_hour: int = 3
    """How often a run may go from one variant to another; status remembers five attempts, and so four moves."""
    conflict_retry: float = 10
    """Pause before a name that somebody else holds is tried again."""
    node_lost: float = 300
    """How long a NotReady node's pods are waited for before the gang goes on without them."""
    stuck: float = 120
    """Beyond its grace, how long a pod may take to end before it is called stuck."""
    look_again: float = 60
    """A waiting object is looked at again after this, should every event have been missed."""
    cleanup: float = 86400
    """How long the pods of a run that has ended for good are kept, for their logs."""
    never_fits: float = 600
    """How long nodes must have been too small before that is taken for lasting."""
    provision: float = 900
    """From the last pod's creation until all pods must have a node, where an autoscaler adds nodes."""
    reservation: float = 600
    """How long decided but unbound pods keep their devices reserved."""
