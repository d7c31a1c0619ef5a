"""How long to wait before the next try."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, capped, with jitter so that many clients do not come back at once. In seconds."""

    base: float
    cap: float

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Wait after this many failures in a row; 0 gives 0. Never sooner than the server asked."""
        if failures <= 0:
            return retry_after or 0.0
        # 2**32 keeps the power a small number however long the outage is; the cap is reached long before.
        wait = min(self.cap, self.base * 2.0 ** min(failures - 1, 32))
        return max(retry_after or 0.0, wait * random.uniform(0.5, 1.0))
