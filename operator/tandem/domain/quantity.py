"""Kubernetes quantities: what is needed to add and multiply them.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import ROUND_CEILING, Decimal

_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9, "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60,
}  # fmt: skip


_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")


def split(text: str) -> tuple[Decimal, str]:
    """Number and suffix of a quantity. Raises ValueError when it is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity")
    return Decimal(found[1]), found[2] or ""


def count(text: str) -> int:
    """A device count: the quantity as a whole number, rounded up as the scheduler does."""
    number, suffix = split(text)
    return int((number * _SUFFIXES[suffix]).to_integral_value(ROUND_CEILING))


def times(text: str, factor: int) -> str:
    """The quantity multiplied, in its own unit, e.g. 512Mi x 8 = 4096Mi."""
    number, suffix = split(text)
    return f"{(number * factor).normalize():f}{suffix}"
