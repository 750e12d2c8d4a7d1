"""Metrics of a log: against sums by hand, their intervals against the truth, and what is said."""

import math
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import Stage
from policy.policies import Fixed
from replay.checks import LogFindings
from replay.errors import UnknownDimensionError
from replay.join import Interaction, Joined, outcomes
from replay.log_evaluation import p_target
from replay.metrics import Kinds, MetricsPlan, MetricTable, default_segments, kinds_of, measure
from replay.metrics.cells import BUCKETS, Cells, Ratio
from replay.metrics.dimensions import GROUPS_MAX, OTHERS, segment
from replay.metrics.ranking import Place, gain, place_of, share_within
from replay.metrics.words import cell_words, comparison_words, figure
from replay.sample import Ints
from replay.subjects import KEPT, Subjects
from replay.sums import Floats
from replay.verdict import Verdict
from tests.replay.history import LATER_MS, History, history, offer_of
from tests.replay.worlds import WORLD, live, plan_of
from tests.shop import shop

BY = ("arm", "offer", "channel", "hour")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of customers who like what their plan says, some of whom buy or leave."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        decisions = live(past, 500)
        for place, decision in enumerate(decisions[::5]):
            past.reward(decision, 10.0 + place, name="spend")
        for decision in decisions[::50]:
            past.reward(decision, name="opt_out")
        past.reward(decisions[1], 99.0, name="spend", after_ms=10**10)  # too late to count
        yield past


def joined_of(past: History) -> list[Joined]:
    """All decisions with their reports."""
    rule = past.source().catalog.reward
    return list(outcomes(past.log.scan(), rule, past.registry.catalog, LATER_MS))


def measured(past: History, policy: str = "logging", **options: object) -> MetricTable:
    """Metrics by everything."""
    kinds = kinds_of(past.source().catalog)
    plan = MetricsPlan(kinds, BY, ("plan",), policy)
    return measure(past.source(), plan, **options)  # type: ignore[arg-type]


def names_of(one: Joined) -> set[str]:
    """Names of its rewards."""
    return {reward.name for reward in one.logged.rewards}


def test_metrics_are_what_happened(lived: History) -> None:
    """Rates and revenue of all decisions are the means of what was reported, in time."""
    entries, cells = joined_of(lived), measured(lived).overall.cells
    assert cells["ctr"].value == mean("visit" in names_of(one) for one in entries)
    assert cells["unsubscribe"].value == 10 / 500
    revenue = sum(10.0 + place for place in range(100))
    assert cells["revenue"].value == pytest.approx(revenue / 500)
    assert cells["revenue_per_subject"].value == pytest.approx(revenue / 500)
    rewards = [one.interaction.reward for one in entries if one.interaction]
    assert cells["value"].value == pytest.approx(mean(rewards))
    assert "conversion" not in cells  # nobody reports one


@pytest.mark.parametrize("dimension", [*BY, "feature plan"])
def test_groups_divide_the_whole(lived: History, dimension: str) -> None:
    """Every interaction is in one group, and their rates make up the overall one."""
    found = measured(lived)
    groups = found.by[dimension]
    assert sum(group.n for group in groups) == found.overall.n == 500
    clicks = sum(group.cells["ctr"].value * group.n for group in groups)
    assert clicks / 500 == pytest.approx(found.overall.cells["ctr"].value)
    for group in groups:
        for name, cell in group.cells.items():
            assert cell.simultaneous[0] <= cell.interval[0] <= cell.value, name
            assert cell.value <= cell.interval[1] <= cell.simultaneous[1], name


def test_groups_are_told_apart(lived: History) -> None:
    """Offers by what was chosen, segments by the feature; what differs beyond luck has a star."""
    found = measured(lived)
    offers = {group.name: group for group in found.by["offer"]}
    chosen = [offer_of(one.logged.decision) for one in joined_of(lived)]
    assert {name: group.n for name, group in offers.items()} == {
        name: chosen.count(name) for name in ("spring", "loyal")
    }
    plans = {group.name: group.n for group in found.by["feature plan"]}
    assert plans["young"] == sum(plan_of(f"customer-{turn}") == "young" for turn in range(500))
    assert not offers["spring"].cells["ctr"].differs
    assert [group.name for group in found.by["hour"]] == ["11:00"]


def test_what_differs_is_marked(lived: History) -> None:
    """A group that does clearly better than all together, and words that say what that means."""
    kinds = Kinds(frozenset({"visit"}), *[frozenset[str]()] * 3)
    found = measure(lived.source(), MetricsPlan(kinds, ("offer",), (), "fixed/spring"))
    young = measure(lived.source(), MetricsPlan(kinds, (), ("plan",), "fixed/spring"))
    marked = {group.name: group.cells["ctr"].differs for group in young.by["feature plan"]}
    assert marked == {"young": True, "old": True}
    assert "2 by feature plan" in comparison_words(young)
    assert "Bonferroni" in comparison_words(young)
    assert cell_words("ctr", young.by["feature plan"][1].cells["ctr"])[0].startswith("*")
    assert "clustered" in comparison_words(measure(lived.source(), MetricsPlan(kinds, ())))
    assert found.by["offer"][1].cells["ctr"].value == pytest.approx(
        found.overall.cells["ctr"].value
    )


def test_a_policy_that_did_not_run_is_measured_by_weights(lived: History) -> None:
    """What a rule would have brought is the rate of the decisions that agree with it."""
    found = measured(lived, "fixed/spring")
    agreeing = [one for one in joined_of(lived) if offer_of(one.logged.decision) == "spring"]
    expected = mean("visit" in names_of(one) for one in agreeing)
    assert found.overall.cells["ctr"].value == pytest.approx(expected)
    assert "revenue_per_subject" not in found.overall.cells
    assert found.verdict is Verdict.OK


def test_rankings_are_weighted_and_discounted(lived: History) -> None:
    """Precision@1 of a rule is its offer's rate; NDCG the share of all responses that it ranks."""
    found = measured(lived, "fixed/spring").overall.cells
    liked = {
        offer: [one.interaction.reward > 0 for one in joined_of(lived) if one.interaction
                and offer_of(one.logged.decision) == offer]
        for offer in ("spring", "loyal")
    }  # fmt: skip
    assert found["precision@1"].value == pytest.approx(mean(liked["spring"]))
    # Two offers were equally likely, so that all weights are 2.
    first, second = sum(liked["spring"]), sum(liked["loyal"])
    assert found["ndcg@1"].value == pytest.approx(first / (first + second))
    both = (first + second / math.log2(3)) / (first + second)
    assert found["ndcg@3"].value == pytest.approx(both)


def test_places_in_a_ranking() -> None:
    """Ties share their places: each order of them is as likely."""
    pmf = np.asarray([0.2, 0.4, 0.2, 0.2])
    assert [place_of(pmf, offer) for offer in range(4)] == [(1, 3), (0, 1), (1, 3), (1, 3)]
    tied = Place(1, 3)
    assert [share_within(tied, k) for k in (1, 2, 3, 4, 9)] == [
        0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1, 1,
    ]  # fmt: skip
    assert gain(Place(0, 1), 1) == 1.0
    expected = mean([1 / math.log2(3), 1 / math.log2(4), 0.0])
    assert gain(tied, 3) == pytest.approx(expected)


def simulated(rng: np.random.Generator, rows_a_subject: int) -> tuple[Ratio, float]:
    """A rate of clustered rows, and the truth: subjects differ in how much they click."""
    subjects = rng.integers(2**63, size=400, dtype=np.uint64)
    rates = rng.beta(1, 3, size=400)
    keys = np.repeat(subjects, rows_a_subject)
    clicks = (rng.random(keys.size) < np.repeat(rates, rows_a_subject)).astype(float)
    cells = Cells(1)
    cells.add(["all"] * keys.size, keys, clicks[None], np.ones((1, keys.size)))
    return cells.ratio("all", 0), 0.25


@pytest.mark.parametrize("rows_a_subject", [1, 10])
def test_intervals_cover_though_subjects_come_again(rows_a_subject: int) -> None:
    """In 200 simulated logs the interval holds the true rate in 91 to 99 of a hundred."""
    rng = np.random.default_rng(7)
    covered = {"share": 0, "ratio": 0}
    for _ in range(200):
        ratio, truth = simulated(rng, rows_a_subject)
        low, high = ratio.share_interval(0.95, 400 * rows_a_subject)
        covered["share"] += low <= truth <= high
        low, high = ratio.interval(0.95)
        covered["ratio"] += low <= truth <= high
    for count in covered.values():
        assert 0.91 <= count / 200 <= 0.99


def test_nothing_seen_is_not_nothing_possible() -> None:
    """A share of 0 of a hundred has an interval with room above; one bucket says nothing at all."""
    keys = np.arange(100, dtype=np.uint64)
    cells = Cells(1)
    cells.add(["all"] * 100, keys, np.zeros((1, 100)), np.ones((1, 100)))
    low, high = cells.ratio("all", 0).share_interval(0.95, 100)
    assert low == 0.0
    assert 0.03 < high < 0.05
    lonely = Ratio(np.eye(1, BUCKETS)[0], np.eye(1, BUCKETS)[0])
    assert lonely.share_interval(0.95, 1) == (0.0, 1.0)
    assert lonely.interval(0.95) == (-math.inf, math.inf)


def unseen(weights: Floats, subjects: Ints) -> tuple[float, float]:
    """The interval of a share of 0 of weighted rows."""
    cells = Cells(1)
    keys = np.random.default_rng(0).integers(2**63, size=subjects.max() + 1, dtype=np.uint64)
    cells.add(["all"] * len(weights), keys[subjects], np.zeros((1, len(weights))), weights[None])
    return cells.ratio("all", 0).share_interval(0.95, cells.size("all", 0))


def test_nothing_seen_counts_what_has_weight() -> None:
    """Sixty rows with weight of 10,000 are sixty, ten subjects with 1,000 rows each are ten."""
    each, light = np.arange(10_000), np.ones(10_000)
    assert unseen(light, each)[1] == pytest.approx(3.9 / 10_000, rel=0.2)
    assert 0.05 < unseen(np.where(each < 60, 166.0, 0.0), each)[1] < 0.08
    assert 0.05 < unseen(np.where(each < 60, 166.0, 1e-3), each)[1] < 0.08
    assert 0.2 < unseen(light, each % 10)[1] < 0.4


@pytest.mark.parametrize("light", [0.0, 1e-3])
def test_shares_of_weighted_rows_cover(light: float) -> None:
    """Of 60 rows with weight and a rate of 2%, which three logs in ten do not see, nine in ten."""
    rng = np.random.default_rng(3)
    weights = np.where(np.arange(2_000) < 60, 33.0, light)
    covered = 0
    for _ in range(300):
        keys = rng.integers(2**63, size=2_000, dtype=np.uint64)
        cells = Cells(1)
        tops = weights * (rng.random(2_000) < 0.02)
        cells.add(["all"] * 2_000, keys, tops[None], weights[None])
        low, high = cells.ratio("all", 0).share_interval(0.95, cells.size("all", 0))
        covered += low <= 0.02 <= high
    assert covered / 300 >= 0.91


@pytest.mark.parametrize("policy", ["logging", "fixed/spring"])
def test_a_log_that_is_refused_has_no_metrics(tmp_path: Path, policy: str) -> None:
    """Probabilities of other choices refuse every policy here as they do in an evaluation."""
    with history(tmp_path / "data", WORLD) as past:
        past.overwrite(
            *(
                replace(one, stages=(Stage((0.9, 0.1), one.stages[0].chosen), *one.stages[1:]))
                for one in live(past, 600)
            )
        )
        found = measured(past, policy)
    assert found.verdict is Verdict.REFUSE
    assert any("do not belong to the choices: at the offer" in one for one in found.reasons)


def test_metrics_merge(lived: History) -> None:
    """However a log is cut, the metrics are the same."""
    source = lived.source()
    plan = MetricsPlan(kinds_of(source.catalog), BY, ("plan",))
    read, entries = plan.prepare(source), joined_of(lived)
    whole, parts = read(entries), read(())
    for place in range(0, len(entries), 77):
        parts.merge(pickle.loads(pickle.dumps(read(entries[place : place + 77]))))  # noqa: S301
    one, other = (
        plan.table(found.policy, LogFindings((), {}), 0.95, asked=False) for found in (whole, parts)
    )
    assert one.overall.cells.keys() == other.overall.cells.keys()
    for name, cell in one.overall.cells.items():
        assert cell.value == pytest.approx(other.overall.cells[name].value, rel=1e-12)
        assert cell.interval == pytest.approx(other.overall.cells[name].interval, rel=1e-9)
    for name, groups in one.by.items():
        assert [(g.name, g.n, g.subjects) for g in groups] == [
            (g.name, g.n, g.subjects) for g in other.by[name]
        ]


def counted(names: Sequence[str], first: int = 0) -> Cells:
    """Cells of one metric that counts rows; every row has a subject of its own."""
    cells = Cells(1)
    for place in range(0, len(names), 64):
        some = names[place : place + 64]
        keys = np.arange(first + place, first + place + len(some), dtype=np.uint64)
        cells.add(some, keys, np.ones((1, len(some))), np.ones((1, len(some))))
    return cells


def rows_of(cells: Cells) -> dict[str, tuple[float, ...]]:
    """What was counted, by group: rows, sum, effective rows and subjects."""
    return {
        name: (
            float(cells.rows[code]),
            cells.ratio(name, 0).bottom,
            cells.size(name, 0),
            cells.subjects[code].count,
        )
        for name, code in cells.codes.items()
    }


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.lists(st.integers(0, 4000), max_size=4))
def test_too_many_groups_are_folded_alike_in_all_parts(seed: int, cuts: list[int]) -> None:
    """A group that is named has all its rows, however a log is cut; the others are one."""
    cities = [f"city {city}" for city in np.random.default_rng(seed).integers(900, size=4000)]
    whole, parts = counted(cities), Cells(1)
    for start, end in pairwise([0, *sorted(cuts), 4000]):
        parts.merge(counted(cities[start:end], start))
    assert rows_of(whole) == rows_of(parts)
    assert len(whole.codes) == GROUPS_MAX + 1
    for name, (rows, *others) in rows_of(whole).items():
        kept = cities.count(name) if name != OTHERS else 4000 - whole.rows.sum() + rows
        assert [rows, *others] == [pytest.approx(kept)] * 4


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.integers(1, 7))
def test_few_subjects_are_counted_exactly(keys: list[int], cut: int) -> None:
    """However often and in whatever parts they come."""
    whole, parts = Subjects(), Subjects()
    whole.add(np.asarray(keys, dtype=np.uint64))
    for place in range(0, len(keys), cut):
        part = Subjects()
        part.add(np.asarray(keys[place : place + cut], dtype=np.uint64))
        parts.merge(part)
    assert whole.count == parts.count == len(set(keys))
    assert whole.by_bucket(16).sum() == len(set(keys))


def test_many_subjects_are_counted_nearly() -> None:
    """Of 200,000 a sample of bounded size tells the number to within 3 percent."""
    keys = np.random.default_rng(0).integers(2**64, size=200_000, dtype=np.uint64)
    subjects = Subjects()
    for part in np.array_split(np.concatenate([keys, keys]), 30):
        subjects.add(part)
    assert subjects.count == pytest.approx(200_000, rel=0.03)
    assert subjects.kept.size <= KEPT


def test_names_of_rewards_come_from_the_catalog() -> None:
    """What is asked for goes before the catalog, the catalog before the usual names."""
    kinds = kinds_of(shop())
    assert "visit" in kinds.click
    assert kinds_of(shop(), {"click": ["tap"]}).click == {"tap"}


def test_segments_are_readable() -> None:
    """Categories as they are, flags as yes and no, numbers by powers of two from twenty on."""
    values: list[float | str | bool | None] = [
        "gold",
        True,
        False,
        3.0,
        -7.0,
        0.0,
        2.5,
        37.0,
        -40.0,
        None,
    ]
    assert [segment(value) for value in values] == [
        "gold", "yes", "no", "3", "-7", "0", "2 to 4", "32 to 64", "-64 to -32", "(absent)",
    ]  # fmt: skip


def test_default_segments_make_short_tables(lived: History) -> None:
    """A category with two values does; none does that all share."""
    interactions: Sequence[Interaction] = list(lived.source().interactions())
    assert default_segments(interactions) == ("plan",)
    young = [one for one in interactions if one.decision.features["plan"] == "young"]
    assert default_segments(young) == ()


def test_unknown_dimensions_are_named() -> None:
    """With what there is, and how to ask for a feature."""
    with pytest.raises(UnknownDimensionError, match="arm, offer, channel, hour, not by 'plan'"):
        MetricsPlan(kinds_of(shop()), ("plan",))


def test_figures() -> None:
    """Shares in percent, amounts with a few digits, what cannot be known in a word."""
    assert figure("ctr", 0.1234) == "12.34%"
    assert figure("revenue", 1234.5) == "1,234.50"
    assert figure("value", 0.12345) == "0.1235"
    assert figure("value", math.inf) == "unknown"


def test_weights_are_those_of_evaluation(lived: History) -> None:
    """The value of a policy is its snips estimate."""
    interactions = list(lived.source().interactions())
    weights = p_target(Fixed("loyal"), interactions) / 0.5
    expected = np.average([one.reward for one in interactions], weights=weights)
    assert measured(lived, "fixed/loyal").overall.cells["value"].value == pytest.approx(expected)
