"""Hypothesis draws the same examples each time: a run that is green here is green elsewhere, and covers the same branches."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
