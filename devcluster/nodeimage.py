"""The image of a kind node: the published one where an image registry answers, else one built from package registries."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import engine, gobuild, images, paths, versions
from devcluster.shell import content_key, step, succeeds

PUBLIC = f"kindest/node:v{versions.KUBERNETES}"
OWN = f"tandem-dev/node:v{versions.KUBERNETES}"
UNLOADED = f"tandem-dev/node-base:v{versions.KUBERNETES}"
PODNET = "tandem-dev/podnet:dev"

FILES = paths.SOURCE / "node"
REGISTRY = "registry.k8s.io"
"""Where the names of the control plane's images point; nothing is fetched from there."""

PROGRAM_IMAGE = """FROM scratch
WORKDIR /tmp
COPY {program} /usr/local/bin/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["/usr/local/bin/{program}"]
"""


def ensure() -> str:
    """The name of a node image, ready for kind."""
    if images.registry_answers() and _pulled(PUBLIC):
        return PUBLIC
    base = _build_unloaded()
    preloaded = _control_plane_images()
    key = content_key(base, *(images.image_id(name) or "" for name in preloaded), Path(__file__))
    if not images.is_current(OWN, key):
        with step(f"building the image {OWN}"):
            _preload(preloaded, key)
    return OWN


def _pulled(name: str) -> bool:
    if images.image_id(name):
        return True
    with step(f"pulling {name}"):
        return succeeds("docker", "pull", name, env=engine.docker_env(), timeout=900)


def _build_unloaded() -> str:
    """The id of the node image before the control plane's images are in it."""
    kubernetes, containerd = gobuild.ensure(gobuild.KUBERNETES), gobuild.ensure(gobuild.CONTAINERD)
    on_v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return images.build(
        UNLOADED,
        FILES / "Dockerfile",
        inputs={
            "kind-files": gobuild.module_folder(gobuild.KIND, "sigs.k8s.io/kind") / "images/base/files",
            **{name: FILES / name for name in ("containerd.toml", "default-cni.yaml", "default-storage.yaml")},
            **{f"kubernetes-bin/{name}": kubernetes / name for name in ("kubelet", "kubeadm", "kubectl")},
            **{f"containerd-bin/{name}": containerd / name for name in gobuild.CONTAINERD.programs},
        },
        args={
            "VERSION": f"v{versions.KUBERNETES}",
            "PAUSE_TAG": versions.PAUSE_TAG,
            "SYSTEMD_CGROUP": "true" if on_v2 else "false",
        },
    )


def _control_plane_images() -> list[str]:
    """The names of the images that kubeadm asks for, and the pod network's, all built."""
    kubernetes, node = gobuild.ensure(gobuild.KUBERNETES), gobuild.ensure(gobuild.NODE)
    programs = {
        f"{REGISTRY}/{name}:v{versions.KUBERNETES}": kubernetes / name
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    }
    programs[f"{REGISTRY}/etcd:{versions.ETCD_TAG}"] = gobuild.ensure(gobuild.ETCD) / "etcd"
    programs[f"{REGISTRY}/coredns/coredns:{versions.COREDNS_TAG}"] = gobuild.ensure(gobuild.COREDNS) / "coredns"
    programs[f"{REGISTRY}/pause:{versions.PAUSE_TAG}"] = node / "pause"
    for tag, program in programs.items():
        images.build(tag, PROGRAM_IMAGE.format(program=program.name), inputs={program.name: program})
    network = {"kube-proxy": kubernetes / "kube-proxy", "podnet": node / "podnet"}
    both = (f"{REGISTRY}/kube-proxy:v{versions.KUBERNETES}", PODNET)
    for tag in both:
        images.build(tag, FILES / "network.Dockerfile", inputs=network)
    return [*programs, *both]


def _preload(names: list[str], key: str) -> None:
    """Put the images into the content store of the node image's containerd and tag the result.

    They are imported on a volume, since an overlay does not mount on an overlay, and copied from there into the image.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-preload-") as folder, _node_container(Path(folder)) as container:
        engine.docker("save", "--output", Path(folder) / "images.tar", *names)
        engine.docker("exec", "-i", container, "bash", "-s", stdin=PRELOAD)
        label = f"LABEL {images.KEY_LABEL}={key}"
        entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        engine.docker("commit", "--change", entrypoint, "--change", label, container, OWN)


@contextmanager
def _node_container(folder: Path) -> Iterator[str]:
    volumes = ("--volume", f"{folder}:/in:ro", "--volume", "/scratch")
    command = ("--privileged", "--network", "none", "--entrypoint", "/bin/sleep", *volumes, UNLOADED, "infinity")
    container = engine.docker("run", "--detach", *command).strip()
    try:
        yield container
    finally:
        engine.docker("rm", "--force", "--volumes", container)


PRELOAD = """
set -euo pipefail
containerd --root /scratch/containerd --state /scratch/state --address /scratch/containerd.sock >/scratch/log 2>&1 &
for _ in {1..100}; do
    ctr --address /scratch/containerd.sock version >/dev/null 2>&1 && break
    sleep 0.1
done
ctr --address /scratch/containerd.sock --namespace k8s.io images import --all-platforms --no-unpack /in/images.tar \
    || { cat /scratch/log >&2; exit 1; }
kill $!
wait $! || true
mkdir -p /var/lib/containerd
cp -a /scratch/containerd/. /var/lib/containerd/
"""
