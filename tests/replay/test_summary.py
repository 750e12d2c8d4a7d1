"""What a report gathers of a real log, and that it is written."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from replay.course import STRETCHES, Course
from replay.errors import NothingToReportError
from replay.estimate import Estimate
from replay.join import has_support
from replay.report import write_report
from replay.report_data import ReportData, Unit
from replay.summary import READINGS, Subject, default_policies, summarise
from replay.verdict import Verdict
from tests.replay.history import LATER_MS, History, at, history
from tests.replay.worlds import WORLD, live
from tests.shop import shop

TRAFFIC = "\n[traffic]\nrandom = 0.5\n"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with two arms: the champion's offer is always loyal."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD + TRAFFIC) as past:
        past.promote("fixed/loyal")
        live(past, 400)
        yield past


def subject(predicted: Estimate | None = None, policies: tuple[str, ...] = ("uniform",)) -> Subject:
    """What the report is about."""
    return Subject("the shop", "fixed/loyal", predicted, policies)


def gathered(past: History, about: Subject) -> ReportData:
    """A report on a log."""
    return summarise(past.source(), about, at(LATER_MS), lambda _count: None)


def test_a_report_agrees_with_its_log(lived: History) -> None:
    """Values, ledger, verification and course are those of the log."""
    data = gathered(lived, subject(policies=("uniform", "fixed/spring")))
    rewards = [one.reward for one in lived.source().interactions()]
    assert data.logging.value == pytest.approx(sum(rewards) / len(rewards))
    assert [row.name for row in data.policies] == ["uniform", "fixed/spring"]
    drawn = [one for one in lived.source().interactions() if has_support(one.decision)]
    assert {row.n for row in data.policies} == {len(drawn)}
    assert data.unit is Unit.RATE
    assert data.ledger is not None
    assert data.ledger.balanced
    assert data.ledger.counts["decided"] == data.ledger.counts["delivered"] == 400
    assert data.verify is not None
    assert (data.verify.exact, data.verify.mismatched) == (400, 0)
    assert [series.name for series in data.reward_over_log] == ["champion", "random"]
    for series in data.reward_over_log:
        places = [point.decisions for point in series.points]
        assert places == [400 * (turn + 1) // STRETCHES for turn in range(STRETCHES)]


def test_the_best_policy_is_the_headline(lived: History, tmp_path: Path) -> None:
    """But none that is refused: a dozen decisions carry no headline."""
    data = gathered(lived, subject(policies=("uniform", "fixed/loyal")))
    best = max(data.policies, key=lambda row: row.estimate.value if row.estimate else 0.0)
    assert data.headlines[0].startswith(f"{best.name} is worth most by this log: ")
    assert best.comparison is not None
    assert best.comparison.comparisons == 2
    assert " to " in data.headlines[0].split(" pp (")[1]  # the difference has an interval
    assert best.comparison.words in data.headlines[0]
    assert best.comparison.among in data.headlines[0]
    with history(tmp_path / "data", WORLD) as short:
        live(short, 12)
        few = gathered(short, subject())
    assert [row.verdict for row in few.policies] == [Verdict.REFUSE]
    (headline,) = few.headlines
    assert headline.startswith("This log cannot say what any of these policies is worth: ")
    assert "of 12 interactions; at least 30 are needed" in headline


@pytest.mark.parametrize(
    ("interval", "word"), [((0.0, 1.0), "as predicted"), ((0.9, 1.0), "not as predicted")]
)
def test_a_prediction_is_held_against_what_came_true(
    lived: History, interval: tuple[float, float], word: str
) -> None:
    """The champion's own decisions say what it earned."""
    data = gathered(lived, subject(Estimate(0.95, interval, "x")))
    own = [
        one.reward
        for one in lived.source().interactions()
        if one.decision.policy_version == "fixed/loyal"
    ]
    assert data.prediction is not None
    assert data.prediction.realised.value == pytest.approx(sum(own) / len(own))
    assert data.prediction.kept == (word == "as predicted")
    assert data.headlines[-1].endswith(f", {word}.")


def test_rows_of_a_subject_are_not_independent(lived: History) -> None:
    """What was earned is as uncertain if everything comes ten times: nobody new has told of it."""
    interactions = list(lived.source().interactions())
    once, tenfold = Course(), Course()
    once.add(interactions, [0] * len(interactions))
    for _ in range(10):
        tenfold.add(interactions, [0] * len(interactions))
    own, again = (course.realised("fixed/loyal") for course in (once, tenfold))
    assert own is not None
    assert again is not None
    assert again.interval == pytest.approx(own.interval)
    (series, *_), (more, *_) = (course.series([len(interactions)]) for course in (once, tenfold))
    assert more.points[0].estimate.interval == pytest.approx(series.points[0].estimate.interval)


def test_without_a_prediction_there_is_none(lived: History) -> None:
    """Nor for a champion that has not decided anything yet."""
    assert gathered(lived, subject()).prediction is None
    about = replace(subject(Estimate(0.5, (0.0, 1.0), "x")), champion="chain-new")
    assert gathered(lived, about).prediction is None


def test_money_is_no_rate(tmp_path: Path) -> None:
    """A reward that is neither 0 nor 1 makes it a number."""
    with history(tmp_path / "data") as past:
        for _ in range(20):
            decision = past.decide()
            past.deliver(decision)
            past.reward(decision, 12.5, name="spend")
        assert gathered(past, subject()).unit is Unit.NUMBER


def test_a_mismatch_is_a_headline(tmp_path: Path) -> None:
    """Whoever reads the report learns first that it cannot be trusted."""
    with history(tmp_path / "data") as past:
        for _ in range(20):
            decision = past.decide()
            past.deliver(decision)
        past.overwrite(replace(decision, policy_version="fixed/loyal"))
        data = gathered(past, subject())
    assert data.headlines[-1] == "1 decisions cannot be recomputed: trust none of this."


def test_an_empty_log_has_no_report(past: History) -> None:
    """There is nothing to show."""
    with pytest.raises(NothingToReportError, match="--as-of"):
        gathered(past, subject())


def test_progress_is_told_for_every_reading(lived: History) -> None:
    """As many as the bar was told to expect."""
    steps: list[int] = []
    summarise(lived.source(), subject(), at(LATER_MS), steps.append)
    assert sum(steps) == READINGS * 400


def test_the_report_is_written(lived: History, tmp_path: Path) -> None:
    """One HTML file with the policies by name."""
    path = tmp_path / "report.html"
    write_report(gathered(lived, subject(policies=("uniform", "fixed/loyal"))), path)
    text = path.read_text()
    assert "the shop" in text
    assert "fixed/loyal" in text


def test_default_policies_are_compared_once() -> None:
    """Chance, every offer, no send if the catalog has it, the champion; none twice."""
    assert default_policies(shop(), "fixed/loyal") == [
        "uniform",
        "fixed/spring",
        "fixed/loyal",
        "fixed/past",
        "fixed/no_send",
    ]
    assert default_policies(shop(), "chain-1")[-1] == "chain-1"
