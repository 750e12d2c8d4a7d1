"""A run counts what it should, learns when it should, and repeats bit for bit."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.choice import choose
from policy.policies import Uniform
from replay.simulator import Oracle, Outcome, ReferenceWorld, make_learner, simulate
from replay.simulator.errors import OutOfRangeError
from replay.simulator.learners import LEARNERS, AsLearner
from replay.simulator.run import POINTS, Simulation
from replay.simulator.world import ROUNDS_MAX
from tests.replay.simulator.worlds import Notebook, ScriptedWorld


def _ticking() -> Iterator[float]:
    return (100.0 + 4.0 * tick for tick in count())


def _run(name: str, rounds: int, seed: int = 1) -> Simulation:
    learner = make_learner(name)
    ticks = _ticking()
    result = simulate(ReferenceWorld(-2.5, seed), learner, rounds, clock_s=lambda: next(ticks))
    learner.close()
    return result


def test_the_oracle_captures_1_from_the_first_round() -> None:
    """Whatever it meets, the oracle misses nothing."""
    world = ReferenceWorld(-3.2, 4)
    result = simulate(world, AsLearner(Oracle(world.truth)), 500)
    assert result.captured == 1.0
    assert result.captured_last_tenth == 1.0
    assert all(point.regret == 0.0 for point in result.curve)


def test_uniform_captures_0_in_expectation() -> None:
    """Over many rounds the uniform policy's captured share is within noise of 0."""
    result = _run("uniform", 20_000)
    assert abs(result.captured) < 0.03  # its standard error is below 0.004
    assert result.reward > 0


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_runs_repeat_to_the_last_bit(name: str) -> None:
    """The same world, learner and rounds give equal runs; another seed gives another run."""
    assert _run(name, 120) == _run(name, 120)
    assert _run(name, 120).curve != _run(name, 120, seed=2).curve


def test_a_longer_run_continues_a_shorter_one() -> None:
    """What happened in a round does not depend on how many rounds follow."""
    long, short = _run("chain", 400), _run("chain", 200)
    by_rounds = {point.rounds: point for point in long.curve}
    assert by_rounds[200] == short.curve[-1]


def test_the_sums_are_those_of_the_choices() -> None:
    """Chosen, mean and best are the sums of the truth over the very choices that were made."""
    world = ReferenceWorld(-3.2, 6)
    sums = np.zeros(3)
    for encounter in world.encounters(300):
        path = choose(Uniform(), encounter.situation, encounter.entropy).path
        sums += encounter.truth[path], encounter.truth.mean(), encounter.truth.max()
    last = simulate(world, AsLearner(Uniform()), 300).curve[-1]
    assert (last.chosen, last.mean, last.best) == pytest.approx(sums.tolist(), rel=1e-12)
    assert last.captured == pytest.approx((sums[0] - sums[1]) / (sums[2] - sums[1]))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 130))
def test_the_curve_leads_from_the_start_to_the_end(rounds: int) -> None:
    """Points ascend from 0 to all rounds; regret never falls; the last tenth is never empty."""
    result = simulate(ReferenceWorld(), AsLearner(Uniform()), rounds)
    steps = [point.rounds for point in result.curve]
    assert steps[0] == 0
    assert steps[-1] == result.rounds == rounds
    assert steps == sorted(set(steps))
    assert len(steps) == min(rounds, POINTS) + 1
    regrets = [point.regret for point in result.curve]
    assert regrets == sorted(regrets)
    assert result.last_tenth.rounds == rounds * 9 // 10 < rounds
    assert result.captured_last_tenth <= 1.0 + 1e-9


def test_progress_is_told_while_the_run_goes_on() -> None:
    """Each round is told once it is done."""
    told: list[tuple[int, int]] = []
    notebook = Notebook()
    simulate(ReferenceWorld(), notebook, 70, lambda more: told.append((more, notebook.choices)))
    assert told == [(1, choices) for choices in range(1, 71)]


def test_speed_is_rounds_over_the_time_of_the_given_clock() -> None:
    """The clock is read at the start and at the end, and nothing else tells the time."""
    result = _run("uniform", 100)
    assert result.seconds == 4.0
    assert result.rounds_per_second == 25.0


def test_outcomes_are_learned_as_soon_as_they_are_known() -> None:
    """Without delay a reward is learned before the next choice."""
    notebook = Notebook()
    simulate(ScriptedWorld(lambda turn: Outcome(float(turn))), notebook, 5)
    assert notebook.told == [(1, 0.0), (2, 1.0), (3, 2.0), (4, 3.0), (5, 4.0)]


def test_late_outcomes_are_learned_late_and_those_after_the_end_never() -> None:
    """A delayed reward waits, overtaken by later ones, and none is learned before its time."""
    delays = [3, 0, 0, 9, 0, 0]
    notebook = Notebook()
    world = ScriptedWorld(lambda turn: Outcome(float(turn), delay_rounds=delays[turn]))
    result = simulate(world, notebook, len(delays))
    assert notebook.told == [(2, 1.0), (3, 2.0), (4, 0.0), (5, 4.0), (6, 5.0)]
    assert result.reward == sum(range(6))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_every_outcome_is_learned_once_and_on_time(delays: list[int]) -> None:
    """Whatever the delays: exactly those that fall due are learned, each in its round."""
    notebook = Notebook()
    world = ScriptedWorld(lambda turn: Outcome(float(turn), delay_rounds=delays[turn]))
    simulate(world, notebook, len(delays))
    due = [(turn + delay, turn) for turn, delay in enumerate(delays)]
    expected = [(at + 1, float(turn)) for at, turn in sorted(due) if at < len(delays)]
    assert notebook.told == expected


def test_what_was_not_delivered_is_counted_and_not_learned() -> None:
    """An undelivered message is no failure of the offer: nobody learns from it."""
    notebook = Notebook()
    world = ScriptedWorld(lambda turn: Outcome(0.0, delivered=turn % 2 == 0))
    result = simulate(world, notebook, 6)
    assert result.undelivered == 3
    assert [choices for choices, _ in notebook.told] == [1, 3, 5]


@pytest.mark.parametrize("rounds", [0, -1, ROUNDS_MAX + 1])
def test_a_number_of_rounds_out_of_range_is_refused(rounds: int) -> None:
    """Nothing runs, and the error names the limits."""
    with pytest.raises(OutOfRangeError) as refused:
        simulate(ReferenceWorld(), AsLearner(Uniform()), rounds)
    assert (refused.value.setting, refused.value.value) == ("rounds", rounds)


def test_json_has_plain_finite_values() -> None:
    """The run as plain values says what its properties say."""
    result = _run("uniform", 100)
    told = result.to_json()
    assert told["captured"] == result.captured
    assert told["rounds"] == 100
    assert [point["rounds"] for point in told["curve"]] == list(range(5, 101, 5))
    assert told["curve"][-1]["regret"] == told["regret"] == result.curve[-1].regret
