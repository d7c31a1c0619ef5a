"""How the ranks of a gang find each other: environment and a headless Service.

PET_* are read by torchrun (source: torch.distributed.run reads every option from PET_<OPTION>); MASTER_* by programs that
start torch.distributed by themselves; TANDEM_* carry the same for everything else. RANK is never set for a pod: a pod
index beside a world size in devices is no legal pair, and torchrun sets it for each process.
"""

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.constants import LABEL_RANK, LABEL_RUN, RENDEZVOUS_PORT
from tandem.api.training_run import DEFAULT_LAUNCHER, TrainingRun
from tandem.domain import naming
from tandem.domain.plan import Child, Resource
from tandem.domain.render.meta import metadata
from tandem.domain.render.pod import directory
from tandem.domain.variants import Variant

CHECKPOINT_MOUNT = "/checkpoints"
CHECKPOINT_VOLUME = "tandem-checkpoint"


def environment(
    run: TrainingRun, variant: Variant, profile: AcceleratorProfile, attempt: int, rank: int
) -> dict[str, str]:
    """Reserved variables of the main container of one pod."""
    ranks = variant.devices * (profile.spec.ranks_per_device or 1)
    leader = leader_address(run.name, variant.pods, attempt)
    port = str(RENDEZVOUS_PORT)
    env: dict[str, str] = {}
    if (run.spec.launcher or DEFAULT_LAUNCHER) == "Torchrun":
        env |= {
            "PET_NNODES": str(variant.pods),
            "PET_NODE_RANK": str(rank),
            "PET_NPROC_PER_NODE": str(ranks),
            "PET_MASTER_ADDR": leader,
            "PET_MASTER_PORT": port,
            "MASTER_ADDR": leader,
            "MASTER_PORT": port,
        }
    env |= {
        "TANDEM_PODS": str(variant.pods),
        "TANDEM_POD_RANK": str(rank),
        "TANDEM_LEADER_ADDR": leader,
        "TANDEM_LEADER_PORT": port,
        "TANDEM_RANKS_PER_POD": str(ranks),
        "TANDEM_ATTEMPT": str(attempt),
        "TANDEM_ACCELERATOR": profile.name,
        "TANDEM_RESUME": "1" if run.status.checkpoint else "0",
    }
    if run.spec.checkpoint:
        env["TANDEM_CHECKPOINT_DIR"] = directory(CHECKPOINT_MOUNT, run.spec.checkpoint.claim)
    return env


def leader_address(run: str, pods: int, attempt: int) -> str:
    """Name by which every rank reaches rank 0; a gang of one needs no DNS."""
    if pods == 1:
        return "127.0.0.1"
    return f"{naming.pod(run, attempt, 0)}.{naming.rendezvous_service(run)}"


def headless_service(run: TrainingRun) -> Child:
    """Gives rank 0 a DNS name, before it is ready.

    It selects rank 0 only: each selected pod costs the controller manager two more writes.
    """
    return Child(
        Resource.SERVICE,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(run, naming.rendezvous_service(run.name), {LABEL_RUN: run.name}),
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {LABEL_RUN: run.name, LABEL_RANK: "0"},
                "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
            },
        },
    )
