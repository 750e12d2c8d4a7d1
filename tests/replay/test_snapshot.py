"""Replay looks at the log as it was: what comes later changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from decisionlog import Reward
from replay.join import Left
from replay.source import Source
from tests.replay.history import LATER_MS, History, history
from tests.shop import DAY_MS


@pytest.fixture
def past(tmp_path: Path) -> Iterator[History]:
    """An empty log."""
    with history(tmp_path / "data") as past:
        yield past


def rewards(source: Source) -> list[float]:
    """The rewards of the interactions."""
    return [one.reward for one in source.interactions()]


def test_rewards_count_from_when_they_were_received(past: History) -> None:
    """Both happened in time; the one that came late is not seen before it came."""
    decision = past.decide()
    past.deliver(decision)
    past.reward(decision, 1.0)
    at_ms = decision.decided_at_ms
    late = Reward(decision.decision_id, "late", "visit", 5.0, at_ms + 3_000, at_ms + 20 * DAY_MS)
    past.log.report_rewards([late])
    assert rewards(past.source(at_ms + 20 * DAY_MS - 1)) == [1.0]
    assert rewards(past.source(at_ms + 20 * DAY_MS)) == [6.0]


def test_the_edge_is_the_moment_itself(past: History) -> None:
    """What was received at the moment is seen, what came a millisecond later is not."""
    decision = past.decide()
    past.deliver(decision)
    at_ms = decision.decided_at_ms + 30 * DAY_MS
    for number, after_ms in enumerate((30 * DAY_MS, 30 * DAY_MS + 1)):
        past.reward(decision, 1.0 + number, after_ms=after_ms, reward_id=str(number))
    (joined,) = past.source(at_ms).outcomes(b"", None)
    assert [each.reward_id for each in joined.logged.rewards] == ["0"]
    (joined,) = past.source(at_ms + 1).outcomes(b"", None)
    assert len(joined.logged.rewards) == 2


def test_a_decision_after_the_moment_is_not_seen(past: History) -> None:
    """It is not even counted as left out; one at the moment itself is."""
    early = past.decide()
    past.clock.now_ms += 1
    past.decide()
    source = past.source(early.decided_at_ms)
    assert rewards(source) == []
    assert source.left == {Left.PENDING: 1}
    assert len(source.stretches(1)) == 1


def test_a_delivery_that_came_later_leaves_its_decision_pending(past: History) -> None:
    """As it was at that moment."""
    decision = past.decide()
    past.deliver(decision, after_ms=20 * DAY_MS)
    source = past.source(decision.decided_at_ms + 20 * DAY_MS - 1)
    assert (rewards(source), source.left) == ([], {Left.PENDING: 1})
    assert len(rewards(past.source(LATER_MS))) == 1
