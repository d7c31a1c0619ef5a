"""APIs that a cluster may serve or not, and that change how gangs are started. Looked up once, when the operator starts."""

from collections.abc import Collection
from dataclasses import dataclass

GANG_API = "scheduling.k8s.io/v1beta1"
"""Has PodGroup, by which the scheduler binds all pods of a gang or none."""
KUEUE_GROUP = "kueue.x-k8s.io"


@dataclass(frozen=True, slots=True)
class Served:
    """What there is beyond what every cluster has."""

    gangs: bool = False
    """PodGroups can be made."""
    kueue: bool = False
    """Kueue is installed."""


NOTHING = Served()


def of(apis: Collection[str]) -> Served:
    """`apis`: group/version of all that is served."""
    return Served(gangs=GANG_API in apis, kueue=any(api.partition("/")[0] == KUEUE_GROUP for api in apis))
