"""Settings of the property tests: bounded, without deadlines (shared machines stall), and repeatable in CI."""

import os

from hypothesis import settings

settings.register_profile("tandem", deadline=None, max_examples=100, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("tandem")
