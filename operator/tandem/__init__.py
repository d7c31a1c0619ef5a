"""Tandem: one resource for clusters with more than one make of AI accelerator."""
