"""Names that other programs rely on: API group, labels, annotations, field manager.

Changing one of these after a release orphans running pods, so each stands here once, with its reason.
"""

GROUP = "tandem.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "tandem"

FIELD_MANAGER = "tandem"
"""Owner of every field the operator writes by server-side apply."""

# Labels on children. An attempt and a variant must be rebuildable from pods alone (a restore loses status).
LABEL_RUN = f"{GROUP}/run"
LABEL_SERVICE = f"{GROUP}/service"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_RANK = f"{GROUP}/rank"
LABEL_VARIANT = f"{GROUP}/variant"
LABEL_ACCELERATOR = f"{GROUP}/accelerator"
LABEL_INPUTS_HASH = f"{GROUP}/inputs-hash"
LABEL_ROLE = f"{GROUP}/role"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "tandem"
ROLE_LEADER = "leader"
"""The pod of a replica that answers requests; the Service and /scale select it."""

# Labels of AcceleratorProfiles that a variant's acceleratorSelector usually names.
LABEL_STACK = f"{GROUP}/stack"
LABEL_VENDOR = f"{GROUP}/vendor"
LABEL_FAMILY = f"{GROUP}/family"

ANNOTATION_RENDERED = f"{GROUP}/rendered"
"""Digest of a Deployment's spec as it was rendered: only the very same rendering may put right what others changed."""

ANNOTATION_SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""The cluster autoscaler must not scale down a node under a gang: every eviction costs the whole attempt."""

UNSEEN = -1
"""status.observedGeneration of an object that the operator has not looked at: the API server shows it where there is no
status. Without it kstatus would call an object that nobody takes care of Current."""

LABEL_POD_SECURITY = "pod-security.kubernetes.io/enforce"
"""Of namespaces: the Pod Security level below which pods are refused."""

MAIN_CONTAINER = "main"
"""The container that image, command, args, env, resources and devices go to."""

RESERVED_ENV = ("PET_", "MASTER_", "TANDEM_")
"""Prefixes of the variables that the operator sets; refused in users' env."""

OWN_PREFIX = "tandem-"
"""Of names of volumes and containers that the operator adds to pods; refused in users' templates."""

DEFAULT_VARIANT = "main"
"""Name of the variant that is written inline in spec."""

RENDEZVOUS_PORT = 29500
"""PyTorch's own default for torchrun's static rendezvous."""
