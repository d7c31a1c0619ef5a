"""Nodes as vendors' software labels and taints them: what the shipped profiles are held against.

Source of labels: NVIDIA/k8s-device-plugin docs/gpu-feature-discovery, Ascend/mind-cluster docs/en/scheduling/api/k8s.md,
ROCm/k8s-device-plugin docs/user-guide/configuration.md, Cambricon/cambricon-k8s-device-plugin pkg/nodeLabel. A machine carries
more than its profile selects by, as real ones do.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Machine:
    """One node, and what a pod on it must look like; figures by hand, not read from the profile."""

    labels: dict[str, str]
    resource: str
    devices: int
    """Devices that the node offers."""
    taint: str
    """Key of the NoSchedule taint that its admins usually set."""
    legal: tuple[int, ...]
    illegal: tuple[int, ...]
    gang: tuple[int, ...]
    """Legal counts in each pod of a gang."""
    gang_illegal: tuple[int, ...]
    per_device: tuple[int, int, int]
    """CPUs, GiB of memory, GiB of /dev/shm for each device."""
    hidden: str
    """Variable that only the device plugin may set."""
    void: str | None = "void"
    """Its value that shows no devices at all; None where no such value is documented."""
    ranks: int = 1
    """Processes for each device."""
    env: dict[str, str] = field(default_factory=dict)


def _linux(arch: str) -> dict[str, str]:
    return {"kubernetes.io/os": "linux", "kubernetes.io/arch": arch, "kubernetes.io/hostname": "n0"}


def _nvidia(product: str, memory: int, family: str, count: int = 8, **more: str) -> dict[str, str]:
    return {
        **_linux("amd64"),
        "feature.node.kubernetes.io/pci-10de.present": "true",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.family": family,
        "nvidia.com/gpu.memory": str(memory),
        "nvidia.com/gpu.count": str(count),
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/mig.strategy": "single",
        **more,
    }


def _huawei(accelerator: str, chip: str, memory: str, kind: str | None) -> dict[str, str]:
    machine = {"accelerator-type": kind} if kind else {}
    return {
        **_linux("arm64"),
        "accelerator": accelerator,
        "node.kubernetes.io/npu.chip.name": chip,
        "mind-cluster/npu-chip-memory": memory,
        "host-arch": "huawei-arm",
        "workerselector": "dls-worker-node",
        "nodeDEnable": "on",
        **machine,
    }


def _amd(product: str, partition: str) -> dict[str, str]:
    return {
        **_linux("amd64"),
        "amd.com/gpu.family": "AI",
        "amd.com/gpu.device-id": "74a1",
        "amd.com/gpu.product-name": product,
        "amd.com/gpu.vram": "192G",
        "amd.com/compute-memory-partition": partition,
    }


def _cambricon(model: str) -> dict[str, str]:
    return {**_linux("amd64"), "Model": model, "DriverVersion": "v5.10.22", "MCUVersion": "v1.1.6"}


ANY_OF_EIGHT = (1, 2, 3, 4, 5, 6, 7, 8)
NOT_OF_EIGHT = (9, 16)
HCCL = {"HCCL_CONNECT_TIMEOUT": "1800"}


def _nvidia_machine(product: str, memory: int, family: str, cpu: int, gib: int, legal: tuple[int, ...]) -> Machine:
    illegal = tuple(count for count in (*ANY_OF_EIGHT, *NOT_OF_EIGHT) if count not in legal)
    return Machine(
        labels=_nvidia(product, memory, family),
        resource="nvidia.com/gpu",
        devices=8,
        taint="nvidia.com/gpu",
        legal=legal,
        illegal=illegal,
        gang=legal,
        gang_illegal=illegal,
        per_device=(cpu, gib, 8),
        hidden="NVIDIA_VISIBLE_DEVICES",
    )


MACHINES: dict[str, Machine] = {
    "nvidia-h20": _nvidia_machine("NVIDIA-H20", 97871, "hopper", 8, 96, ANY_OF_EIGHT),
    "nvidia-h100": _nvidia_machine("NVIDIA-H100-80GB-HBM3", 81559, "hopper", 12, 80, ANY_OF_EIGHT),
    "nvidia-a100": _nvidia_machine("NVIDIA-A100-SXM4-80GB", 81920, "ampere", 8, 80, ANY_OF_EIGHT),
    "nvidia-l40s": _nvidia_machine("NVIDIA-L40S", 46068, "ada-lovelace", 8, 48, (1, 2, 4, 8)),
    "ascend-910b": Machine(
        labels=_huawei("huawei-Ascend910", "910B3", "64G", "module-910b-8"),
        resource="huawei.com/Ascend910",
        devices=8,
        taint="huawei.com/Ascend910",
        legal=ANY_OF_EIGHT,
        illegal=NOT_OF_EIGHT,
        gang=ANY_OF_EIGHT,
        gang_illegal=NOT_OF_EIGHT,
        per_device=(8, 64, 8),
        hidden="ASCEND_VISIBLE_DEVICES",
        env=HCCL,
    ),
    "ascend-910c": Machine(
        # The device is a die already: sixteen of them, and a rank on each.
        labels=_huawei("huawei-Ascend910", "Ascend910", "64G", "module-a3-16"),
        resource="huawei.com/Ascend910",
        devices=16,
        taint="huawei.com/Ascend910",
        legal=(1, 2, 4, 6, 8, 10, 12, 14, 16),
        illegal=(3, 5, 7, 9, 15, 32),
        gang=(2, 4, 6, 8, 10, 12, 14, 16),
        gang_illegal=(1, 3, 9),
        per_device=(8, 64, 8),
        hidden="ASCEND_VISIBLE_DEVICES",
        env=HCCL,
    ),
    "ascend-310p": Machine(
        labels=_huawei("huawei-Ascend310P", "310P3", "44G", None) | {"infer-card-type": "card-300i-duo"},
        resource="huawei.com/Ascend310P",
        devices=8,
        taint="huawei.com/Ascend310P",
        legal=(1, 2, 4, 8),
        illegal=(3, 5, 6, 7, 16),
        gang=(1, 2, 4, 8),
        gang_illegal=(3, 16),
        per_device=(4, 24, 4),
        hidden="ASCEND_VISIBLE_DEVICES",
    ),
    "amd-mi300x": Machine(
        labels=_amd("AMD_Instinct_MI300X_OAM", "spx_nps1"),
        resource="amd.com/gpu",
        devices=8,
        taint="amd.com/gpu",
        legal=ANY_OF_EIGHT,
        illegal=NOT_OF_EIGHT,
        gang=ANY_OF_EIGHT,
        gang_illegal=NOT_OF_EIGHT,
        per_device=(8, 192, 8),
        hidden="AMD_VISIBLE_DEVICES",
        void="none",
    ),
    "cambricon-mlu370": Machine(
        labels=_cambricon("MLU370-X8"),
        resource="cambricon.com/mlu",
        devices=16,
        taint="cambricon.com/mlu",
        legal=(1, 2, 4, 8, 16),
        illegal=(3, 6, 12, 32),
        gang=(1, 2, 4, 8, 16),
        gang_illegal=(3, 12),
        per_device=(4, 24, 4),
        hidden="CAMBRICON_VISIBLE_DEVICES",
        void=None,
    ),
}

OTHERS: dict[str, dict[str, str]] = {
    "no-devices": _linux("amd64"),
    "gpu-in-mig-slices": _nvidia("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", 9728, "ampere", 56),
    "gpu-shared-in-time": _nvidia("NVIDIA-L40S-SHARED", 46068, "ada-lovelace", **{"nvidia.com/gpu.replicas": "4"}),
    "gpu-of-less-memory": _nvidia("NVIDIA-A100-SXM4-40GB", 40960, "ampere"),
    "gpu-on-pcie": _nvidia("NVIDIA-H100-PCIe", 81559, "hopper"),
    "npu-of-the-first-generation": _huawei("huawei-Ascend910", "910ProB", "32G", "module"),
    "npu-in-two-rings": _huawei("huawei-Ascend910", "910B3", "64G", "module-910b-16"),
    "npu-in-a-super-pod": _huawei("huawei-Ascend910", "Ascend910", "64G", "module-a3-16-super-pod"),
    "npu-of-the-small-kind": _huawei("huawei-Ascend310", "310", "8G", None),
    "another-amd-gpu": _amd("AMD_Instinct_MI325X_OAM", "spx_nps1"),
    "another-mlu": _cambricon("MLU590"),
}
"""Labels of machines that look much like one of the above and are not."""
