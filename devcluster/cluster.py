"""Up, down and status of the cluster as a whole."""

import json
import shutil

import yaml

from devcluster import audit, config, engine, gobuild, images, kube, limits, load, nodeimage, paths, volumes
from devcluster.shell import DevclusterError, content_key, only_one, run, say, step, wait_for

TOOLS = "tandem-dev/tools:dev"
PLUGIN = "tandem-dev/device-plugin:dev"
MANIFESTS = paths.SOURCE / "manifests"
NODES = 5


def up() -> None:
    """Have the whole cluster: engine, programs, images, nodes, devices, the claim `models`. A second call takes seconds."""
    engine.ensure()
    with only_one(paths.lock("cluster")):
        _up()


def _up() -> None:
    limits.raise_limits()
    gobuild.link_host_programs()
    if not _is_whole():
        _create()
    _set_up_dns()
    load.load(_build_tools(), _build_plugin())
    _install_plugin()
    volumes.shared_claim("default", "models")
    wait_for(
        "every node Ready with its devices (after a fault: python -m devcluster fault heal)", _all_there, seconds=120
    )
    say(f"the cluster is up: export KUBECONFIG={paths.kubeconfig()} PATH={paths.bin_dir()}:$PATH")


def _is_whole() -> bool:
    """Whether every node container runs and the API server answers, or comes to."""
    if len(load.node_names()) != NODES or not paths.kubeconfig().exists():
        return False
    try:
        wait_for("the API server answers", kube.answers, seconds=60)
    except DevclusterError as error:
        say(f"{error}: the cluster is made anew")
        return False
    return True


def _create() -> None:
    image = nodeimage.ensure()
    _delete()
    rendered = config.write()
    # The API server keeps the mode of the file it finds; its own would be for root alone.
    (paths.audit_dir() / audit.CURRENT).touch(mode=0o644)
    kind = paths.bin_dir() / "kind"
    with step(f"creating the cluster from {image}"):
        options = ("--config", rendered, "--image", image, "--kubeconfig", paths.kubeconfig())
        run(kind, "create", "cluster", *options, env=engine.docker_env(), timeout=900)


def _delete() -> None:
    for node in load.node_names()[:1]:
        # What pods and the API server wrote is root's, which whoever runs this may not be.
        engine.docker("exec", node, "sh", "-c", "rm -rf /shared/* /var/log/kubernetes/audit/*")
    if (kind := paths.bin_dir() / "kind").exists():
        run(
            kind,
            "delete",
            "cluster",
            "--name",
            config.NAME,
            "--kubeconfig",
            paths.kubeconfig(),
            env=engine.docker_env(),
        )
    paths.kubeconfig().unlink(missing_ok=True)
    for folder in (paths.shared_dir(), paths.audit_dir()):
        shutil.rmtree(folder, ignore_errors=True)


def _set_up_dns() -> None:
    """CoreDNS on the control plane, which no node fault takes away, without the plugins that our build leaves out."""
    corefile = (MANIFESTS / "Corefile").read_text()
    name = {"namespace": "kube-system", "name": "coredns"}
    kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"Corefile": corefile}})
    template = {
        # A changed annotation replaces the pods; CoreDNS may be crashing on the file that it was started with.
        "metadata": {"annotations": {"tandem.dev/corefile": content_key(corefile)}},
        "spec": {"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}},
    }
    patch = json.dumps({"spec": {"replicas": 1, "template": template}})
    kube.kubectl("--namespace=kube-system", "patch", "deployment/coredns", f"--patch={patch}")


def _build_tools() -> str:
    images.build(TOOLS, paths.SOURCE / "tools/Dockerfile", inputs={})
    return TOOLS


def _build_plugin() -> str:
    folder = paths.SOURCE / "plugin"
    files = {name: folder / name for name in ("__init__.py", "api.proto", "devices.py", "main.py")}
    images.build(PLUGIN, folder / "Dockerfile", inputs=files)
    return PLUGIN


def _install_plugin() -> None:
    # The tag stays, so the image's id in the template is what rolls the plugin when its code changes.
    kube.apply(*plugin_manifests(images.image_id(PLUGIN) or ""))
    rollout = ("rollout", "status", "daemonset/device-plugin", "--timeout=120s")
    kube.kubectl("--namespace=devcluster", *rollout, timeout=130)


def plugin_manifests(image_id: str = "") -> list[kube.Object]:
    """The objects that install the device plugin, its configuration among them."""
    return list(yaml.safe_load_all((MANIFESTS / "device-plugin.yaml").read_text().replace("IMAGE_ID", image_id)))


def device_entries() -> list[kube.Object]:
    """The plugin's configuration: an entry {nodeSelector, resource, count, id, env} for each kind of device."""
    (config_map,) = [found for found in plugin_manifests() if found["kind"] == "ConfigMap"]
    entries: list[kube.Object] = yaml.safe_load(config_map["data"]["devices.yaml"])["devices"]
    return entries


def _all_there() -> bool:
    """Whether every node is Ready with the devices that its labels give it, and names are served."""
    nodes = kube.items("nodes")
    missing = [
        entry
        for node in nodes
        for entry in device_entries()
        if entry["nodeSelector"].items() <= node["metadata"]["labels"].items()
        and kube.devices(node).get(entry["resource"]) != entry["count"]
    ]
    whole = len(nodes) == NODES and all(map(kube.is_ready, nodes)) and not missing
    return whole and _deployment_ready("kube-system", "coredns")


def _deployment_ready(namespace: str, name: str) -> bool:
    status = kube.get(f"--namespace={namespace}", f"deployment/{name}")["status"]
    return bool(status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) > 0)


def down() -> None:
    """Take away all that `up` made in this machine; images and built programs stay in the cache."""
    if engine.answers():
        with step("deleting the cluster"):
            _delete()
            _remove_network()
    engine.stop()
    limits.restore_limits()


def _remove_network() -> None:
    """kind leaves its network behind; it goes when nobody else's cluster is on it."""
    if "kind" not in engine.docker("network", "ls", "--format", "{{.Name}}").split():
        return
    if not engine.docker("ps", "--all", "--quiet", "--filter", "network=kind").strip():
        engine.docker("network", "rm", "kind")


def status() -> str:
    """A short text for people: engine, API server, nodes with their devices, what is not well."""
    if not engine.answers():
        return "no Docker engine answers; `python -m devcluster up` starts all"
    if not load.node_names():
        return "engine up, no cluster; `python -m devcluster up` makes it"
    if not kube.answers():
        return "the nodes run but the API server does not answer; `python -m devcluster fault heal`, then `up`"
    resources = {entry["resource"] for entry in device_entries()}
    lines = [f"{'NODE':<22}{'READY':<7}HEALTHY DEVICES"]
    for node in kube.items("nodes"):
        healthy, every = kube.devices(node), kube.devices(node, "capacity")
        told = [f"{name} {healthy.get(name, 0)}/{count}" for name, count in every.items() if name in resources]
        ready = "yes" if kube.is_ready(node) else "no"
        lines.append(f"{node['metadata']['name']:<22}{ready:<7}{', '.join(told) or '-'}")
    for namespace in ("kube-system", "devcluster"):
        for pod in kube.items("pods", f"--namespace={namespace}"):
            if pod["status"].get("phase") != "Running":
                lines.append(f"pod {namespace}/{pod['metadata']['name']}: {pod['status'].get('phase')}")
    return "\n".join(lines)
