"""Numbers in reports carry the digits that their interval bears, and their unit."""

import math

import pytest

from replay.estimate import Estimate
from replay.formats import Formats, count, level, percent
from replay.report_data import Unit

RATE, NUMBER = Formats(Unit.RATE), Formats(Unit.NUMBER)


def made(value: float, low: float, high: float) -> Estimate:
    """An estimate."""
    return Estimate(value, (low, high), "made up")


@pytest.mark.parametrize(
    ("formats", "estimate", "value", "interval"),
    [
        (RATE, made(0.14681, 0.1441, 0.1495), "14.68%", "14.41% to 14.95%"),
        (RATE, made(0.5, 0.3, 0.7), "50%", "30% to 70%"),
        (RATE, made(0.00573, 0.00563, 0.00583), "0.573%", "0.563% to 0.583%"),
        (NUMBER, made(1.42261, 1.2, 1.6), "1.42", "1.20 to 1.60"),
        (NUMBER, made(12_345.678, 12_000.0, 12_600.0), "12,346", "12,000 to 12,600"),
        (NUMBER, made(-0.5, -0.9, -0.1), "−0.50", "−0.90 to −0.10"),
        (NUMBER, made(2.0, -math.inf, math.inf), "2.00", "unknown to unknown"),
        (NUMBER, made(2.0, 2.0, 2.0), "2.00", "2.00 to 2.00"),
    ],
)
def test_values_carry_two_digits_of_their_doubt(
    formats: Formats, estimate: Estimate, value: str, interval: str
) -> None:
    """Value and ends share as many decimals as show two digits of the half width."""
    assert (formats.value(estimate), formats.interval(estimate)) == (value, interval)


@pytest.mark.parametrize(
    ("formats", "estimate", "value", "interval"),
    [
        (RATE, made(0.037, 0.031, 0.043), "+3.70 pp", "+3.10 to +4.30 pp"),
        (RATE, made(-0.037, -0.1, 0.026), "−3.7 pp", "−10.0 to +2.6 pp"),
        (RATE, made(0.0, 0.0, 0.0), "0.00 pp", "0.00 to 0.00 pp"),
        (NUMBER, made(-0.0001, -1.0, 1.0), "0.0", "−1.0 to +1.0"),
        (NUMBER, made(3.0, -math.inf, math.inf), "+3.00", "unknown to unknown"),
    ],
)
def test_differences_carry_a_sign(
    formats: Formats, estimate: Estimate, value: str, interval: str
) -> None:
    """A difference has a sign unless it is zero, and a rate's is in percentage points."""
    assert (formats.difference(estimate), formats.difference_interval(estimate)) == (
        value,
        interval,
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0%"), (0.004, "0.4%"), (0.5, "50%"), (0.9, "90%"), (0.9985, "99.9%"), (1.0, "100%")],
)
def test_shares_near_the_ends_keep_a_decimal(share: float, text: str) -> None:
    """Nearly nothing and nearly all are told from nothing and all."""
    assert percent(share) == text


def test_levels_keep_their_digits() -> None:
    """A confidence level is never rounded up to certainty."""
    assert (level(0.95), level(0.999), level(0.9999)) == ("95%", "99.9%", "99.99%")


def test_counts_are_grouped() -> None:
    """Counts have thousands apart and no decimals."""
    assert (count(64_000), count(10_655.4)) == ("64,000", "10,655")


@pytest.mark.parametrize(
    ("places", "labels"),
    [
        ([0.14, 0.16, 0.18], ["14%", "16%", "18%"]),
        ([0.18, 0.185, 0.19], ["18.0%", "18.5%", "19.0%"]),
    ],
)
def test_ticks_are_told_apart(places: list[float], labels: list[str]) -> None:
    """An axis has as many decimals as its ticks need, and no more."""
    write = RATE.ticks(places)
    assert [write(place, None) for place in places] == labels
