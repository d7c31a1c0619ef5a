"""ReadWriteMany volumes: sub-folders of one host folder that all nodes mount."""

from devcluster import kube, paths

NODE_PATH = "/shared"


def shared_claim(namespace: str, name: str, size: str = "10Gi") -> None:
    """A bound ReadWriteMany claim whose files every node sees; the folder is writable by every user.

    The volume is made for this claim (claimRef) and kept when the claim goes, so that a second call finds the same files.
    """
    volume = f"shared-{namespace}-{name}"
    folder = paths.made(paths.shared_dir() / namespace / name)
    folder.chmod(0o777)
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                **common,
                "capacity": {"storage": size},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
                "hostPath": {"path": f"{NODE_PATH}/{namespace}/{name}", "type": "Directory"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {**common, "volumeName": volume, "resources": {"requests": {"storage": size}}},
        },
    )
    claim = ("--namespace", namespace, f"persistentvolumeclaim/{name}")
    kube.kubectl("wait", *claim, "--for=jsonpath={.status.phase}=Bound", "--timeout=30s")
