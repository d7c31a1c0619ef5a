"""What the Helm chart installs."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.config.incluster_config import SERVICE_CERT_FILENAME, SERVICE_TOKEN_FILENAME
from pydantic.alias_generators import to_camel

from tandem.api.placement_policy import PlacementPolicySpec
from tandem.runtime.settings import Settings
from tests.unit.package.conftest import CHART, IMAGE, ROOT, Helm, Render

DEFINITION = "CustomResourceDefinition"
GOLDEN = ROOT / "tests/unit/package/golden.yaml"
NOT_IN_A_POD = {"kubeconfig", "context", "listen", "port", "lease_namespace", "lease_name", "replica_name"}
"""Settings that the chart refuses: they would part the operator from its service account, its probes or its Lease."""

Object = dict[str, Any]


def of_kind(objects: list[Object], kind: str, name: str = "") -> Object:
    """The only object of a kind, or the named one."""
    found = [item for item in objects if item["kind"] == kind and name in ("", item["metadata"]["name"])]
    assert len(found) == 1, [(item["kind"], item["metadata"]["name"]) for item in objects]
    return found[0]


@pytest.fixture(scope="module")
def objects(render: Render) -> list[Object]:
    return render()


@pytest.fixture(scope="module")
def pod(objects: list[Object]) -> Object:
    spec: Object = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_lint_finds_nothing(helm: Helm) -> None:
    done = helm("lint", "--strict", "--kube-version", "1.37.0", str(CHART), *IMAGE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_default_rendering_is_the_golden_one(objects: list[Object]) -> None:
    """The definitions aside, which are compared with their sources."""
    rendered = [item for item in objects if item["kind"] != DEFINITION]
    assert rendered == list(yaml.safe_load_all(GOLDEN.read_text())), (
        "the chart renders other objects than tests/unit/package/golden.yaml: look at them, and if they are meant, "
        "write the output of `helm template` with the options of conftest.py there"
    )


def test_the_definitions_are_the_sources_and_outlive_the_release(objects: list[Object]) -> None:
    sources = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    rendered = [item for item in objects if item["kind"] == DEFINITION]
    assert [item["metadata"]["name"] for item in rendered] == [item["metadata"]["name"] for item in sources]
    for source, found in zip(sources, rendered, strict=True):
        assert (found["apiVersion"], found["spec"]) == (source["apiVersion"], source["spec"])
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        for part in ("labels", "annotations"):
            assert source["metadata"].get(part, {}).items() <= found["metadata"][part].items()


def test_definitions_that_come_by_other_means_are_left_alone(render: Render) -> None:
    assert DEFINITION not in {item["kind"] for item in render("--set", "crds.enabled=false")}


def test_values_of_an_older_chart_are_refused_with_the_option_that_helps(template: Helm) -> None:
    """`--reuse-values` leaves out what the older chart did not have."""
    done = template(*IMAGE, "--set", "crds=null,serviceMonitor=null,prometheusRule=null")
    assert done.returncode != 0
    assert "--reset-then-reuse-values in place of --reuse-values" in done.stderr


def test_helm_upgrades_the_definitions() -> None:
    """What lies in a chart's folder `crds` is installed once and never again."""
    assert not list((CHART / "crds").glob("*"))


def test_an_install_without_an_image_says_what_to_do(template: Helm) -> None:
    done = template()
    assert done.returncode != 0
    assert "build the operator's image" in done.stderr
    assert "--set image.repository=" in done.stderr


def test_the_operator_runs_restricted(pod: Object) -> None:
    """The levels of Kubernetes's Pod Security Standard `restricted`, and a root that cannot be written."""
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_the_token_is_short_lived_and_the_only_thing_mounted(objects: list[Object], pod: Object) -> None:
    assert of_kind(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
    (volume,) = pod["volumes"]
    sources = {kind: body for source in volume["projected"]["sources"] for kind, body in source.items()}
    assert sources["serviceAccountToken"] == {"path": "token", "expirationSeconds": 3600}
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    # Where the operator's client looks for them: the standard place.
    folder = Path(mount["mountPath"])
    assert str(folder / sources["serviceAccountToken"]["path"]) == SERVICE_TOKEN_FILENAME
    assert str(folder / sources["configMap"]["items"][0]["path"]) == SERVICE_CERT_FILENAME
    assert mount["readOnly"] is True


def test_replicas_prefer_other_nodes_and_zones(objects: list[Object], pod: Object) -> None:
    labels = of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    (preferred,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert preferred["podAffinityTerm"]["labelSelector"]["matchLabels"] == labels
    (spread,) = pod["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
    assert spread["labelSelector"]["matchLabels"] == labels


def test_replicas_share_a_lease_that_their_account_may_take(objects: list[Object], pod: Object) -> None:
    """It is installed free, and no right reaches beyond it but to make one should it be deleted."""
    assert of_kind(objects, "Deployment")["spec"]["replicas"] == 2
    lease, role, binding = (of_kind(objects, kind) for kind in ("Lease", "Role", "RoleBinding"))
    assert "spec" not in lease
    assert {item["metadata"]["namespace"] for item in (lease, role, binding)} == {"tandem-system"}
    environment = {item["name"]: item.get("value") or item["valueFrom"] for item in pod["containers"][0]["env"]}
    assert environment == {
        "TANDEM_LEASE_NAME": lease["metadata"]["name"],
        "TANDEM_LEASE_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "TANDEM_REPLICA_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
    }
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "resourceNames": [lease["metadata"]["name"]], "verbs": ["get", "update"]},
        {**leases, "verbs": ["create"]},
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [pod["serviceAccountName"]]


def test_neither_an_upgrade_nor_a_drain_takes_the_last_warm_replica(objects: list[Object], render: Render) -> None:
    strategy = of_kind(objects, "Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert of_kind(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    # A budget for a single replica would only hold up drains or say nothing.
    alone = render("--set", "replicas=1")
    assert "PodDisruptionBudget" not in {item["kind"] for item in alone}
    assert of_kind(alone, "Deployment")["spec"]["replicas"] == 1


def test_probes_ask_where_the_operator_answers(pod: Object) -> None:
    (container,) = pod["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": Settings.model_fields["port"].default}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_operators_role_has_no_wildcard_no_secrets_and_no_way_up(objects: list[Object]) -> None:
    rules = of_kind(objects, "ClusterRole", "tandem-operator")["rules"]
    words = {word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert not {word for word in words if "*" in word}
    assert not words & {"secrets", "serviceaccounts/token", "pods/exec", "bind", "escalate", "impersonate"}
    assert not words & {"rbac.authorization.k8s.io", "apiextensions.k8s.io"}


def test_the_role_is_bound_to_the_operators_account(objects: list[Object], pod: Object) -> None:
    account = of_kind(objects, "ServiceAccount")["metadata"]["name"]
    for name in ("tandem-operator", "tandem-gangs"):
        binding = of_kind(objects, "ClusterRoleBinding", name)
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "tandem-system"}]
        assert binding["roleRef"]["name"] == name
    assert pod["serviceAccountName"] == account


def test_the_right_to_make_pod_groups_may_be_withheld(render: Render) -> None:
    without = render("--set", "gangScheduling.enabled=false")
    assert [item["metadata"]["name"] for item in without if item["kind"] == "ClusterRoleBinding"] == ["tandem-operator"]


@pytest.mark.parametrize(
    ("name", "joins", "writes"),
    [("tandem-edit", {"edit", "admin"}, True), ("tandem-view", {"view", "edit", "admin"}, False)],
)
def test_users_rights_join_kubernetes_own_roles(
    objects: list[Object], name: str, joins: set[str], writes: bool
) -> None:
    role = of_kind(objects, "ClusterRole", name)
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key.removeprefix(prefix) for key in role["metadata"]["labels"] if key.startswith(prefix)} == joins
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
    resources = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert verbs.isdisjoint({"get", "list", "watch"}) if writes else verbs == {"get", "list", "watch"}
    # Status is the operator's, profiles and policies are the admins'.
    assert not {name for name in resources if name.endswith("/status")}
    assert resources.isdisjoint({"acceleratorprofiles", "placementpolicies"}) is writes
    assert {"acceleratorprofiles", "placementpolicies"} <= resources or writes


def test_services_and_policies_select_the_pod(objects: list[Object]) -> None:
    labels = of_kind(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "Service")["spec"]["selector"],
        of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"][
            "matchLabels"
        ],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)


def test_every_setting_reaches_the_operator(render: Render) -> None:
    names = [name for name in Settings.model_fields if name not in NOT_IN_A_POD]
    options = [word for name in names for word in ("--set", f"settings.{to_camel(name)}=7")]
    (container,) = of_kind(render(*options), "Deployment")["spec"]["template"]["spec"]["containers"]
    given = {(item["name"], item.get("value")) for item in container["env"]}
    assert given >= {(f"TANDEM_{name.upper()}", "7") for name in names}


def test_optional_values_reach_the_pod(render: Render) -> None:
    rendered = render(
        "--set",
        "imagePullSecrets={one,two},priorityClassName=high,podAnnotations.a=b,nodeSelector.pool=system",
        "--set",
        "tolerations[0].operator=Exists,networkPolicy.enabled=false",
    )
    template = of_kind(rendered, "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert template["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert template["spec"]["priorityClassName"] == "high"
    assert template["spec"]["nodeSelector"] == {"pool": "system"}
    assert template["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert "NetworkPolicy" not in {item["kind"] for item in rendered}


def test_an_affinity_of_ones_own_replaces_the_default(render: Render) -> None:
    rendered = render("--set-json", 'affinity={"nodeAffinity":{"a":"b"}}', "--set-json", "topologySpreadConstraints=[]")
    spec = of_kind(rendered, "Deployment")["spec"]["template"]["spec"]
    assert spec["affinity"] == {"nodeAffinity": {"a": "b"}}
    assert "topologySpreadConstraints" not in spec


def test_a_digest_counts_instead_of_the_tag(render: Render) -> None:
    digest = f"sha256:{'0123456789abcdef' * 4}"
    (container,) = of_kind(render("--set", f"image.digest={digest}"), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == f"registry.example/tandem@{digest}"


def test_the_network_can_be_shut_further(objects: list[Object], render: Render) -> None:
    default = of_kind(objects, "NetworkPolicy")["spec"]
    assert default["policyTypes"] == ["Ingress"]
    assert default["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]
    scrapers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    way_out = [{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 6443}]}]
    given = {"networkPolicy.from": scrapers, "networkPolicy.egress": way_out}
    options = [word for path, value in given.items() for word in ("--set-json", f"{path}={json.dumps(value)}")]
    spec = of_kind(render(*options), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{**default["ingress"][0], "from": scrapers}]
    assert spec["egress"] == way_out


@pytest.mark.parametrize(
    ("value", "kind"), [("serviceMonitor", "ServiceMonitor"), ("prometheusRule", "PrometheusRule")]
)
def test_monitoring_is_there_when_it_is_wanted_and_known(
    objects: list[Object], render: Render, value: str, kind: str
) -> None:
    wanted = ("--set", f"{value}.enabled=true,{value}.labels.release=prometheus")
    served = ("--api-versions", "monitoring.coreos.com/v1")
    for rendered in (objects, render(*served), render(*wanted)):
        assert kind not in {item["kind"] for item in rendered}
    for rendered in (render(*wanted, *served), render(*wanted, "--set", f"{value}.force=true")):
        assert of_kind(rendered, kind)["metadata"]["labels"]["release"] == "prometheus"


def test_the_monitor_finds_the_metrics(render: Render) -> None:
    rendered = render("--set", "serviceMonitor.enabled=true,serviceMonitor.force=true")
    spec = of_kind(rendered, "ServiceMonitor")["spec"]
    service = of_kind(rendered, "Service")
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in spec["endpoints"]] == [port["name"] for port in service["spec"]["ports"]]
    # The alerts know the operator by the job's name, which is the Service's.
    assert service["metadata"]["name"] == "tandem-metrics"


def test_profiles_are_installed_when_asked_for(objects: list[Object], render: Render) -> None:
    assert "AcceleratorProfile" not in {item["kind"] for item in objects}
    rendered = render("--set", "profiles.install=true")
    for source in sorted((ROOT / "profiles").glob("*.yaml")):
        wanted = yaml.safe_load(source.read_text())
        found = of_kind(rendered, "AcceleratorProfile", wanted["metadata"]["name"])
        assert found["spec"] == wanted["spec"]
        assert wanted["metadata"]["labels"].items() <= found["metadata"]["labels"].items()
        # Runs and services name profiles, so they outlive the release.
        assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_policies_are_installed_when_asked_for_and_every_other_goes_before_them(
    objects: list[Object], render: Render
) -> None:
    assert "PlacementPolicy" not in {item["kind"] for item in objects}
    rendered = [item for item in render("--set", "policies.install=true") if item["kind"] == "PlacementPolicy"]
    stacks = {}
    for item in rendered:
        spec = PlacementPolicySpec.model_validate(item["spec"])
        assert (spec.priority, spec.mode, spec.forbid, spec.caps) == (-1000, "Prefer", None, None)
        [choice], [kind] = spec.accelerators or (), spec.kinds or ()
        assert choice.accelerator_selector is not None
        stacks[kind] = choice.accelerator_selector.match_labels
    assert stacks == {"TrainingRun": {"tandem.dev/stack": "cuda"}, "InferenceService": {"tandem.dev/stack": "cann"}}
    shipped = [yaml.safe_load(path.read_text())["metadata"]["labels"] for path in (ROOT / "profiles").glob("*.yaml")]
    for labels in stacks.values():
        assert any(labels.items() <= profile.items() for profile in shipped)


@pytest.mark.parametrize(("folder", "copied"), [("profiles", "profiles"), ("crds", "files/crds")])
def test_the_charts_copies_are_the_sources(folder: str, copied: str) -> None:
    source = {path.name: path.read_text() for path in (ROOT / folder).glob("*.yaml")}
    copies = {path.name: path.read_text() for path in (CHART / copied).glob("*.yaml")}
    assert source
    assert copies == source, "run `make generate`"


def test_the_chart_has_the_projects_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert chart["appVersion"] == chart["version"] == version
