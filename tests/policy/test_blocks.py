"""Scores from blocks of weights: those that Vowpal Wabbit itself gives to each whole action."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.request import Request
from policy.situation import Situation
from tests.policy.catalogs import minimal, toml
from tests.policy.models import taught

HOUR_MS = 3_600_000


def hours(windows: int, eligible: int) -> Situation:
    """One offer on two channels in a grid of some hours, of which only the first are eligible."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={"a": {"channels": ["email", "push"]}},
        send_times={"windows": windows},
    )
    request = Request(now_ms=0, latest_ms=(eligible - 1) * HOUR_MS)
    return eligibility(request, parse_catalog(toml(tables))).situation


@pytest.mark.parametrize("windows", [63, 64, 65, 128, 129, 168])
@pytest.mark.parametrize("eligible", [1, 3, 63])
def test_windows_past_the_last_eligible_one_are_not_scored(windows: int, eligible: int) -> None:
    """A grid longer than a node's mask gives scores for the eligible windows and no others."""
    situation = hours(windows, eligible)
    with taught(situation, seed=windows) as student:
        for channel in (0, 1):
            scores = student.chain.scores(situation, (0, channel))
            assert scores.logits.shape == scores.errors.shape == (eligible,)
            best = student.chain.scores(situation, (0,)).logits[channel]
            assert best == scores.logits.max()


def test_windows_that_nothing_tells_apart_have_errors_all_the_same() -> None:
    """Where the grid is one hour that happens twice, errors are above 0 and both are as likely."""
    tables = minimal(send_times={"windows": 2, "time_zone": "Europe/Berlin"})
    start = datetime(2026, 10, 25, 2, tzinfo=ZoneInfo("Europe/Berlin"))
    request = Request(now_ms=int(start.timestamp()) * 1000)
    situation = eligibility(request, parse_catalog(toml(tables))).situation
    with taught(situation, seed=1) as student:
        scores = student.chain.scores(situation, (0, 0))
        assert (scores.errors > 0.0).all()
        np.testing.assert_array_equal(student.chain.pmf(situation, (0, 0)), [0.5, 0.5])
