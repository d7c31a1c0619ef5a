"""What users get from the shipped profiles: runs and services through the real planner and placer, on machines as vendors label them."""

from typing import Any

import pytest
import yaml

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.api.conditions import ConditionType
from tandem.domain import quantity
from tandem.domain.placement.fit import snapshot
from tandem.domain.plan import Plan, Resource
from tests.unit.domain.builders import (
    condition,
    decide_run,
    decide_service,
    node,
    run,
    run_view,
    service,
    service_view,
    taint,
)
from tests.unit.package.conftest import ROOT
from tests.unit.package.machines import MACHINES, Machine

Pod = dict[str, Any]


def shipped(name: str) -> AcceleratorProfile:
    """A profile as the operator holds it."""
    raw = yaml.safe_load((ROOT / f"profiles/{name}.yaml").read_text())
    return AcceleratorProfile(
        name=name, labels=raw["metadata"]["labels"], spec=AcceleratorProfileSpec.model_validate(raw["spec"])
    )


PROFILES = {name: shipped(name) for name in MACHINES}
EVERY = pytest.mark.parametrize(("name", "machine"), MACHINES.items(), ids=MACHINES.keys())
NODES = [
    node(
        f"{name}-{number}",
        labels=machine.labels,
        taints=(taint(machine.taint),),
        allocatable={machine.resource: machine.devices},
        capacity={machine.resource: machine.devices},
    )
    for name, machine in MACHINES.items()
    for number in range(2)
]
"""Two machines of each make, all in one cluster."""


def trained(name: str, **spec: Any) -> Plan:
    """The first plan of a run on this profile."""
    return decide_run(run_view(run(accelerator=name, **spec), nodes=NODES, profiles=PROFILES))


def served(name: str, **spec: Any) -> Plan:
    """The first plan of a service on this profile."""
    return decide_service(
        service_view(service(accelerator=name, **spec), profiles=PROFILES), snapshot(NODES, (), pods_known=True)
    )


def pods(plan: Plan) -> list[Pod]:
    """Specs of the pods that a run's plan makes."""
    return [child.body["spec"] for child in plan.create if child.resource is Resource.POD]


def variables(pod: Pod) -> dict[str, str]:
    """Plain variables of the main container."""
    return {item["name"]: item["value"] for item in pod["containers"][0]["env"] if "value" in item}


def check(pod: Pod, machine: Machine, devices: int) -> None:
    """What every pod of this many devices must look like."""
    (main,) = pod["containers"]
    cpu, memory, shm = machine.per_device
    assert main["resources"]["limits"] == {machine.resource: str(devices)}
    requests = main["resources"]["requests"]
    assert requests.keys() == {"cpu", "memory", machine.resource}
    assert requests[machine.resource] == str(devices)
    assert quantity.count(requests["cpu"]) == cpu * devices
    assert quantity.count(requests["memory"]) == memory * devices * 2**30
    (mounted,) = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
    assert mounted["medium"] == "Memory"
    assert quantity.count(mounted["sizeLimit"]) == shm * devices * 2**30
    assert pod["nodeSelector"].items() <= machine.labels.items()
    assert {"key": machine.taint, "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert machine.env.items() <= variables(pod).items()
    assert machine.hidden not in variables(pod)


@EVERY
def test_a_run_of_one_pod(name: str, machine: Machine) -> None:
    for devices in machine.legal:
        (pod,) = pods(trained(name, devicesPerPod=devices))
        check(pod, machine, devices)
        assert variables(pod)["PET_NPROC_PER_NODE"] == str(devices * machine.ranks)
        assert variables(pod)["PET_NNODES"] == "1"


@EVERY
def test_a_run_of_a_gang(name: str, machine: Machine) -> None:
    for devices in machine.gang:
        found = pods(trained(name, pods=2, devicesPerPod=devices))
        assert len(found) == 2
        for rank, pod in enumerate(found):
            check(pod, machine, devices)
            told = variables(pod)
            assert told["PET_NPROC_PER_NODE"] == told["TANDEM_RANKS_PER_POD"] == str(devices * machine.ranks)
            assert (told["PET_NNODES"], told["PET_NODE_RANK"]) == ("2", str(rank))


@EVERY
def test_an_illegal_count_is_refused_before_any_pod(name: str, machine: Machine) -> None:
    alone = [trained(name, devicesPerPod=devices) for devices in machine.illegal]
    gangs = [trained(name, pods=2, devicesPerPod=devices) for devices in machine.gang_illegal]
    services = [served(name, devicesPerPod=devices) for devices in machine.illegal]
    for plan in (*alone, *gangs, *services):
        made = [child for child in plan.create if child.resource in (Resource.POD, Resource.DEPLOYMENT)]
        assert made == []
        ready = condition(plan, ConditionType.READY)
        assert ready is not None
        assert ready.reason == "IllegalCount"
        assert "set devicesPerPod to one of: " in ready.message


@EVERY
def test_a_service(name: str, machine: Machine) -> None:
    for devices in machine.legal:
        plan = served(name, devicesPerPod=devices, replicas=2, args=["serve"])
        (deployment,) = [child.body["spec"] for child in plan.create if child.resource is Resource.DEPLOYMENT]
        assert deployment["replicas"] == 2
        check(deployment["template"]["spec"], machine, devices)


@EVERY
def test_a_user_may_not_choose_which_devices_the_pod_sees(name: str, machine: Machine) -> None:
    plan = trained(name, env=[{"name": machine.hidden, "value": "all"}])
    assert pods(plan) == []
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    assert machine.hidden in ready.message


@EVERY
def test_a_helper_beside_the_main_container_sees_no_devices(name: str, machine: Machine) -> None:
    helper = {"name": "fetch", "image": "fetch:1", "env": [{"name": "A", "value": "b"}]}
    (pod,) = pods(trained(name, template={"spec": {"initContainers": [helper]}}))
    (made,) = pod["initContainers"]
    hidden = [] if machine.void is None else [{"name": machine.hidden, "value": machine.void}]
    assert made["env"] == [{"name": "A", "value": "b"}, *hidden]
    assert "resources" not in made


@EVERY
def test_the_pods_of_a_run_would_go_to_machines_of_this_make_only(name: str, machine: Machine) -> None:
    """In a cluster that has every other make, all empty, the run waits."""
    others = [item for item in NODES if not item.name.startswith(f"{name}-")]
    plan = decide_run(run_view(run(accelerator=name, devicesPerPod=8), nodes=others, profiles=PROFILES))
    assert pods(plan) == []
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    assert ready.reason == "Queued"
    assert "no node has its labels" in ready.message
