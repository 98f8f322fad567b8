"""Numbers with their units."""

import pytest

from jaxchain.views import units


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        (units.seconds_text, 0, "0 us"),
        (units.seconds_text, 1.23456e-5, "12.3 us"),
        (units.seconds_text, 9.9951e-4, "1 ms"),
        (units.seconds_text, 0.99949, "999 ms"),
        (units.seconds_text, 0.99951, "1 s"),
        (units.seconds_text, 5025.4, "5,025 s"),
        (units.bytes_text, None, "?"),
        (units.bytes_text, 999, "999 B"),
        (units.bytes_text, 999_600, "1 MB"),
        (units.bytes_text, 81_559_000_000, "81.6 GB"),
        (units.flops_text, 999_999, "1 MFLOP"),
        (units.flops_text, 6 * 10**15, "6,000 TFLOP"),
    ],
)
def test_three_digits_and_a_unit(text, value, shown):
    assert text(value) == shown
