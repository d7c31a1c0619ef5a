"""Quantities of the Kubernetes API."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.domain import quantity

SUFFIXES = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_of_the_api_is_known(suffix: str) -> None:
    assert quantity.split(f"5{suffix}") == (Decimal(5), suffix)


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("8", 8),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1500m", 2),
        ("0", 0),
        ("0.1", 1),
        ("2E", 2 * 10**18),
    ],
)
def test_a_count_of_devices_is_rounded_up(text: str, devices: int) -> None:
    assert quantity.count(text) == devices


@pytest.mark.parametrize(
    "text", ["", "Gi", "eight", "8GiB", "8 Gi", "1.2.3", "8K", "12e", "0x8", "NaN", "Infinity", "1e3 "]
)
def test_anything_else_is_an_error_that_quotes_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity") as raised:
        quantity.count(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "factor", "product"),
    [
        ("512Mi", 8, "4096Mi"),
        ("8", 8, "64"),
        ("500m", 8, "4000m"),
        ("1.5Gi", 3, "4.5Gi"),
        ("100", 10, "1000"),
        ("16Ki", 2, "32Ki"),
    ],
)
def test_a_product_keeps_its_unit(text: str, factor: int, product: str) -> None:
    assert quantity.times(text, factor) == product


@given(st.integers(0, 10**6), st.sampled_from(SUFFIXES), st.integers(1, 64))
def test_multiplying_is_adding_that_often(number: int, suffix: str, factor: int) -> None:
    assert quantity.split(quantity.times(f"{number}{suffix}", factor)) == (Decimal(number * factor), suffix)
