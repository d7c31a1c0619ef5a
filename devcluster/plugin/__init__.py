"""The fake device plugin: runs in the cluster, from an image of this folder."""
