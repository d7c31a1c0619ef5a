"""Every field that Kubernetes has in a pod was decided upon: allowed, refused with the way out, or left out on purpose."""

from typing import Any

import pytest
from kubernetes.client import models as kubernetes
from pydantic import BaseModel

from tandem.api.base import Refusal
from tandem.api.containers import (
    ContainerSecurityContext,
    EnvSource,
    HelperContainer,
    ResourceRequirements,
    TemplateContainer,
)
from tandem.api.pod_template import PodSecurityContext, TemplateSpec
from tandem.api.scheduling import Affinity, PodTerm, SpreadConstraint, Toleration
from tandem.api.volumes import ImageVolume, Projection, Volume, VolumeMount

ABSENT: dict[type[BaseModel], tuple[Any, set[str]]] = {
    # Pruned where they are given. None of them gives a pod a right, and none is missed by what runs.
    TemplateSpec: (
        kubernetes.V1PodSpec,
        {
            "enableServiceLinks",  # always false
            "evictionResponders",  # disruption is spec's
            "os",  # Linux
            "overhead",  # the RuntimeClass's
        },
    ),
    TemplateContainer: (
        kubernetes.V1Container,
        {"stdin", "stdinOnce", "tty", "resizePolicy", "restartPolicyRules"},
    ),
    HelperContainer: (
        kubernetes.V1Container,
        {"stdin", "stdinOnce", "tty", "resizePolicy", "restartPolicyRules"},
    ),
    ContainerSecurityContext: (kubernetes.V1SecurityContext, set()),
    PodSecurityContext: (kubernetes.V1PodSecurityContext, {"seLinuxChangePolicy"}),
    VolumeMount: (kubernetes.V1VolumeMount, {"bindMountOptions"}),
    Affinity: (kubernetes.V1Affinity, set()),
    PodTerm: (kubernetes.V1PodAffinityTerm, set()),
    SpreadConstraint: (kubernetes.V1TopologySpreadConstraint, set()),
    Toleration: (kubernetes.V1Toleration, set()),
    ResourceRequirements: (kubernetes.V1ResourceRequirements, set()),
    ImageVolume: (kubernetes.V1ImageVolumeSource, set()),
    # A volume, source or variable of these kinds is left with none of the known ones, and so refused.
    EnvSource: (kubernetes.V1EnvVarSource, {"fileKeyRef", "resourceFieldRef"}),
    Projection: (kubernetes.V1VolumeProjection, {"clusterTrustBundle", "podCertificate"}),
    Volume: (
        kubernetes.V1Volume,
        {
            "awsElasticBlockStore",
            "azureDisk",
            "azureFile",
            "cephfs",
            "cinder",
            "fc",
            "flexVolume",
            "flocker",
            "gcePersistentDisk",
            "gitRepo",
            "glusterfs",
            "iscsi",
            "nfs",
            "photonPersistentDisk",
            "portworxVolume",
            "quobyte",
            "rbd",
            "scaleIO",
            "storageos",
            "vsphereVolume",
        },
    ),
}
ALLOWED = {
    TemplateSpec: {
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "schedulerName",
        "securityContext",
        "serviceAccountName",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    },
    TemplateContainer: {
        "args",
        "command",
        "env",
        "imagePullPolicy",
        "name",
        "resources",
        "securityContext",
        "volumeMounts",
        "workingDir",
    },
    Volume: {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "name",
        "persistentVolumeClaim",
        "projected",
        "secret",
    },
    ContainerSecurityContext: {
        "appArmorProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seccompProfile",
    },
    VolumeMount: {"mountPath", "name", "readOnly", "subPath"},
}
"""What users may set; a change here is one of the security model."""
ALLOWED[HelperContainer] = ALLOWED[TemplateContainer] | {"image", "restartPolicy"}


def fields(model: type[BaseModel], *, refused: bool) -> set[str]:
    """Names of the fields that are refused, or that are not."""
    return {
        info.alias or name
        for name, info in model.model_fields.items()
        if isinstance(info.json_schema_extra, Refusal) is refused
    }


@pytest.mark.parametrize("model", ABSENT, ids=lambda model: model.__name__)
def test_every_field_of_kubernetes_is_allowed_refused_or_left_out_on_purpose(model: type[BaseModel]) -> None:
    """Fails when a new client brings a field that nobody has thought about."""
    source, absent = ABSENT[model]
    declared = fields(model, refused=False) | fields(model, refused=True)
    assert declared | absent == set(source.attribute_map.values())
    assert not declared & absent


@pytest.mark.parametrize("model", ALLOWED, ids=lambda model: model.__name__)
def test_what_is_allowed_is_this_and_no_more(model: type[BaseModel]) -> None:
    assert fields(model, refused=False) == ALLOWED[model]
