"""Whatever template an API server accepts, the pods made of it pass the last look: no run is admitted and then refused."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.api.base import said
from tandem.api.pod_template import TemplateSpec
from tandem.api.schema import structural_schema
from tandem.api.training_run import TrainingRunSpec
from tandem.api.volumes import PROJECTIONS, SOURCES
from tandem.domain.observed import NamespaceRecord
from tandem.domain.serving import children
from tandem.domain.training import pods
from tandem.domain.variants import serving_variants, training_variants
from tests.unit.api.strategies import objects
from tests.unit.domain.builders import profile, run, service

Body = dict[str, Any]
ON = profile(perDevice={"shm": "1Gi"}, voidEnv=[{"name": "VISIBLE", "value": "void"}])
TEAM = NamespaceRecord("team", "baseline")
CLAIM = {"claim": {"name": "c"}}


def of_the_schema() -> st.SearchStrategy[Body]:
    """What the structural schema of `template.spec` allows."""
    template = structural_schema(TrainingRunSpec, "spec")["properties"]["template"]
    return objects(template["properties"]["spec"])


def one_of(body: Body, fields: tuple[str, ...], otherwise: Any) -> Body:
    """The first of these fields that is set, and none of the others."""
    found = next((name for name in fields if name in body), fields[0])
    others = {name: value for name, value in body.items() if name not in fields}
    return {**others, found: body.get(found, otherwise)}


def stay_inside(part: Any) -> None:
    """Give every path of a file a legal value."""
    for child in part if isinstance(part, list) else part.values() if isinstance(part, dict) else ():
        stay_inside(child)
    if isinstance(part, dict):
        part.update({name: "a/b" for name in ("path", "subPath") if name in part})


def as_the_rules_want_it(drawn: Body) -> Body:
    """The template with what CEL rules refuse taken out, and with volumes for its mounts: nothing else is changed."""
    spec = said(TemplateSpec.model_validate(drawn))
    volumes = spec.get("volumes", [])
    for number, volume in enumerate(volumes):
        volumes[number] = one_of(volume, SOURCES, {"name": "c"}) | {"name": f"v{number}"}
        for projected in filter(None, [volumes[number].get("projected")]):
            projected["sources"] = [one_of(source, PROJECTIONS, {"name": "c"}) for source in projected["sources"]]
    stay_inside(volumes)
    mains = [container | {"name": "main"} for container in spec.get("containers", [])[:1]]
    helpers = [body | {"name": f"h{number}"} for number, body in enumerate(spec.get("initContainers", []))]
    spec.update({"containers": mains, "initContainers": helpers})
    for container in (*mains, *helpers):
        as_a_container_may_be(container, [volume["name"] for volume in volumes])
    for helper in helpers:
        if "restartPolicy" in helper:
            helper["restartPolicy"] = "Always"
    runtime_default(spec)
    return spec | {"serviceAccountName": "trainer"}


def as_a_container_may_be(container: Body, volumes: list[str]) -> None:
    mounts = container.pop("volumeMounts", []) if volumes else []
    container["volumeMounts"] = [
        mount | {"name": volumes[number % len(volumes)], "mountPath": f"/mnt/{number}"}
        for number, mount in enumerate(mounts)
    ]
    if not volumes:
        del container["volumeMounts"]
    stay_inside(container.get("volumeMounts", []))
    for variable in container.get("env", []):
        if "valueFrom" in variable:
            variable.pop("value", None)
            sources = ("configMapKeyRef", "secretKeyRef", "fieldRef")
            variable["valueFrom"] = one_of(variable["valueFrom"], sources, {"name": "c", "key": "k"})


def runtime_default(part: Any) -> None:
    for child in part if isinstance(part, list) else part.values() if isinstance(part, dict) else ():
        runtime_default(child)
    if isinstance(part, dict):
        part.update({n: {"type": "RuntimeDefault"} for n in ("seccompProfile", "appArmorProfile") if n in part})


@settings(max_examples=60, deadline=None)
@given(drawn=of_the_schema(), devices=st.integers(1, 8))
def test_no_accepted_template_renders_a_pod_that_the_check_refuses(drawn: Body, devices: int) -> None:
    template = {"spec": as_the_rules_want_it(drawn)}
    trained = run(template=template, checkpoint=CLAIM, devicesPerPod=devices, shmSize="1Gi")
    served = service(template=template, model=CLAIM, devicesPerPod=devices)
    assert pods.specimen(trained, training_variants(trained.spec)[0], ON).problem(TEAM) is None
    assert children.specimen(served, serving_variants(served.spec)[0], ON).problem(TEAM) is None
