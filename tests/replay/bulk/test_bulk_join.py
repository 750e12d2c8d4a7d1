"""The join by columns finds what the plain join finds, decision by decision."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import (
    DamagedRecord,
    Decision,
    DecisionLog,
    Delivery,
    DeliveryStatus,
    Proposal,
    Reward,
    Stage,
)
from decisionlog.bulk import Bounds, raw_slices
from decisionlog.ids import lower_bound
from decisionlog.key_ring import KeyRing, record_key
from decisionlog.tables import Table
from policy.catalog import NO_SEND
from policy.catalog import Reward as RewardRule
from policy.rollout import Arm
from replay.bulk import decode
from replay.bulk.join import FATE_ORDER, JoinedSlice, joined_slices
from replay.join import (
    CLOCK_TOLERANCE_MS,
    DAY_MS,
    FATES,
    fate,
    is_early,
    is_late,
)
from tests.decisionlog.samples import DECISION, DELIVERY, KEYS, MAP_SIZE_BYTES, REWARD

START_MS = 1_760_000_000_000
RULE = RewardRule.model_validate({"weights": {"visit": 1.0}, "attribution_days": 3.0})
DAMAGE = (b"", b"\x01", b"\x01\x00\x00\x00\x00nonsense", b"\x09\x00\x00\x00\x00")

numbers = st.integers(0, 5)
offers = st.sampled_from([NO_SEND, "mens", "wömens"])
pmfs = st.sampled_from([(1.0,), (0.25, 0.75), (0.0, 1.0), (0.1, 0.2, 0.7)])
# From before the clocks' tolerance until after the window of three days, and the edges themselves.
after_ms = st.sampled_from(
    [-CLOCK_TOLERANCE_MS - 1, -CLOCK_TOLERANCE_MS, 5, 5, 5, 3 * DAY_MS, 3 * DAY_MS + 1]
)
values = st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 1e9, -2.5])


def decision_id(number: int) -> bytes:
    """A decision's id; later ones were made later, and the last ones are immature."""
    return lower_bound(START_MS + 2 * number * DAY_MS)[:15] + bytes([number])


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """A decision for anything, by anybody."""
    pmf = draw(pmfs)
    chosen = draw(st.integers(0, len(pmf) - 1))
    tree = tuple((draw(offers), (("email", 1),)) for _ in pmf)
    stages = (Stage(pmf, chosen), Stage(draw(pmfs), 0), Stage((1.0,), 0))
    return replace(
        DECISION,
        decision_id=decision_id(draw(numbers)),
        arm=draw(st.sampled_from(Arm)),
        policy_version=draw(st.sampled_from(["uniform", "chäin-1", ""])),
        tree=tree,
        stages=draw(st.sampled_from([stages, stages, ()])),
    )


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    """A report on some decision, which may not be there."""
    number = draw(numbers)
    return replace(
        DELIVERY,
        decision_id=decision_id(number),
        delivery_id=draw(st.sampled_from(["a", "b", "ä"])),
        status=draw(st.sampled_from(DeliveryStatus)),
        occurred_at_ms=START_MS + draw(st.integers(0, 1)),
        received_at_ms=START_MS + draw(st.integers(0, 1)),
    )


@st.composite
def rewards(draw: st.DrawFn) -> Reward:
    """A reward on some decision, which may not be there; often on one that has others as well."""
    number = draw(st.sampled_from([1, 1, 1, 2, 3, 4, 5]))
    occurred = START_MS + 2 * number * DAY_MS + draw(after_ms)
    return replace(
        REWARD,
        decision_id=decision_id(number),
        reward_id=draw(st.sampled_from("123456")),
        name=draw(st.sampled_from(["visit", "visit", "visit", "spend", "öpen"])),
        value=draw(values),
        occurred_at_ms=occurred,
        received_at_ms=occurred + draw(st.integers(0, 2)),
    )


damages = st.lists(
    st.tuples(
        st.sampled_from([Table.DECISIONS, Table.DELIVERIES, Table.REWARDS]),
        numbers,
        st.sampled_from(DAMAGE),
    ),
    max_size=2,
)


@dataclass(frozen=True)
class Found:
    """All that can be known of one decision."""

    decision_id: bytes
    fate: str


@dataclass
class Log:
    """A log for one example."""

    log: DecisionLog

    def damage(self, table: Table, number: int, value: bytes) -> None:
        """Overwrite what is stored on a decision with something else."""
        with self.log.store.write() as transaction:
            for ((key, _),) in list(transaction.blocks(table, decision_id(number), None, 1)):
                transaction.put(table, key, value)

    def plainly(self) -> tuple[list[Found], Counter[str], list[tuple[str, bytes]]]:
        """What the plain join finds, with counts of reports and with what is damaged."""
        damaged: list[tuple[str, bytes]] = []
        counts: Counter[str] = Counter()

        def note(damage: DamagedRecord) -> None:
            damaged.append((damage.table, damage.key))

        logged = list(self.log.scan(on_damage=note))
        lost = {key for table, key in damaged if table == Table.DECISIONS}
        for each in logged:
            counts["deliveries"] += len(each.deliveries)
            counts.update(self.timing(reward, each.decision) for reward in each.rewards)
        for orphan in self.log.orphans(on_damage=note):
            counts[f"orphaned {type(orphan).__name__}"] += 1
        # A report on a decision that cannot be read: the plain scan leaves both out, silently.
        for row in (row for raw in raw_slices(self.log.store) for row in raw.deliveries):
            counts["orphaned Delivery"] += (
                row[0][:16] in lost and ("deliveries", row[0]) not in damaged
            )
        for row in (row for raw in raw_slices(self.log.store) for row in raw.rewards):
            counts["orphaned Reward"] += row[0][:16] in lost and ("rewards", row[0]) not in damaged
        rows = [Found(each.decision.decision_id, fate(each)) for each in logged]
        return rows, +counts, sorted(set(damaged))

    def timing(self, reward: Reward, decision: Decision) -> str:
        """When a reward came, in a word."""
        if is_early(reward, decision):
            return "early"
        return "late" if is_late(reward, decision, RULE) else "in time"

    def in_bulk(self, bounds: Bounds) -> tuple[list[Found], Counter[str], list[tuple[str, bytes]]]:
        """The same by columns."""
        damaged: list[tuple[str, bytes]] = []
        found: list[Found] = []
        counts: Counter[str] = Counter()

        def note(damage: DamagedRecord) -> None:
            damaged.append((damage.table, damage.key))

        for part in joined_slices(self.log, RULE, bounds=bounds, on_damage=note):
            found += bulk_rows(part)
            counts["deliveries"] += part.deliveries_joined
            counts["orphaned Delivery"] += part.deliveries_orphaned
            counts["in time"] += part.rewards_in_time
            counts["early"] += part.rewards_early
            counts["late"] += part.rewards_late
            counts["orphaned Reward"] += part.rewards_orphaned
        return found, +counts, sorted(damaged)


def bulk_rows(part: JoinedSlice) -> list[Found]:
    """Each decision of a slice."""
    return [
        Found(part.ids[16 * row : 16 * row + 16].tobytes(), FATE_ORDER[number])
        for row, number in enumerate(part.fate.tolist())
    ]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(decisions(), max_size=6),
    st.lists(deliveries(), max_size=6),
    st.lists(rewards(), max_size=12),
    damages,
    st.builds(Bounds, st.integers(1, 4), st.sampled_from([1, 700, 2**20]), st.integers(1, 8)),
    st.sampled_from([KeyRing(), KeyRing((record_key(b"k" * 32),))]),
)
def test_both_joins_find_the_same(  # noqa: PLR0913, PLR0917 - what makes up a log
    made: list[Decision],
    delivered: list[Delivery],
    earned: list[Reward],
    damaged: list[tuple[Table, int, bytes]],
    bounds: Bounds,
    ring: KeyRing,
) -> None:
    """Same fates, counts and damage, encrypted or not."""
    with (
        TemporaryDirectory() as directory,
        DecisionLog.open(
            Path(directory), keys=KEYS, map_size_bytes=MAP_SIZE_BYTES, key_ring=lambda: ring
        ) as log,
    ):
        log.record([Proposal(each) for each in made])
        log.report_deliveries(delivered)
        log.report_rewards(earned)
        example = Log(log)
        for damage in damaged:
            example.damage(*damage)
        assert example.in_bulk(bounds) == example.plainly()


def test_the_codec_is_asked_only_about_what_is_unusual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows as the log writes them are read by the kernels alone, whatever their texts hold."""

    def refuse(key: bytes, _: bytes) -> Never:
        raise AssertionError(key)

    for name in ("decode_decision", "decode_delivery", "decode_reward"):
        monkeypatch.setattr(decode, name, refuse)
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        made = [
            replace(DECISION, decision_id=decision_id(number), policy_version=version)
            for number, version in enumerate(["uniform", "", "chäin-1", "uniform"])
        ]
        log.record([Proposal(each) for each in made])
        log.report_deliveries([replace(DELIVERY, decision_id=made[1].decision_id)])
        log.report_rewards([replace(REWARD, decision_id=each.decision_id) for each in made])
        (part,) = joined_slices(log, RULE)
    assert [each.decision_id for each in bulk_rows(part)] == [each.decision_id for each in made]
    assert part.rewards_in_time + part.rewards_early + part.rewards_late == len(made)


@pytest.mark.parametrize("reports_max", [1, 2, 3, 100])
def test_slices_leave_out_nothing(tmp_path: Path, reports_max: int) -> None:
    """Many reports on one id, and on ids that are not there, come each once and by their id."""
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        made = [replace(DECISION, decision_id=decision_id(number)) for number in (1, 2, 4, 5)]
        log.record([Proposal(each) for each in made])
        counts = {0: 3, 1: 0, 2: 7, 3: 2, 4: 1, 5: 2, 6: 4}
        for number, count in counts.items():
            reward = replace(REWARD, decision_id=decision_id(number))
            log.report_rewards([replace(reward, reward_id=str(i)) for i in range(count)])
            log.report_deliveries([replace(DELIVERY, decision_id=decision_id(number))])
        parts = list(raw_slices(log.store, bounds=Bounds(3, reports=reports_max)))
        ends = {"start": decision_id(2), "until": decision_id(5)}
        bounded = list(raw_slices(log.store, **ends, bounds=Bounds(1)))
    assert [key for part in parts for key, _ in part.decisions] == [e.decision_id for e in made]
    ids = [[key[:16] for key, _ in part.rewards] for part in parts]
    assert Counter(id_ for part in ids for id_ in part) == +Counter(
        {decision_id(number): count for number, count in counts.items()}
    )
    assert all(set(one).isdisjoint(other) for one, other in pairwise(ids))
    assert sum(len(part.deliveries) for part in parts) == len(counts)
    assert [key for part in bounded for key, _ in part.decisions] == [
        decision_id(2),
        decision_id(4),
    ]
    assert sum(len(part.rewards) for part in bounded) == 7 + 2 + 1


def test_large_decisions_make_short_slices(tmp_path: Path) -> None:
    """A slice ends where its decisions take more than it may have, by less than a block's rows."""
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=8 * MAP_SIZE_BYTES) as log:
        large = {f"feature-{place}": "x" * 256 for place in range(200)}  # some 50 kB
        ids = [lower_bound(START_MS + place) for place in range(300)]
        for id_ in ids:
            log.record([Proposal(replace(DECISION, decision_id=id_, features=large))])
        most = 2**20
        parts = list(raw_slices(log.store, bounds=Bounds(size_bytes=most)))
    assert [key for part in parts for key, _ in part.decisions] == ids
    sizes = [part.decisions.size_bytes for part in parts]
    assert sum(sizes) > 10 * most
    assert max(sizes) < 3 * most


@pytest.mark.parametrize("status", DeliveryStatus)
def test_many_reports_on_a_decision_are_told_apart(
    tmp_path: Path, status: DeliveryStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What occurred last decides, whichever key it has; the codec is not asked."""
    monkeypatch.setattr("replay.bulk.join.decode_delivery", _unasked)
    with DecisionLog.open(tmp_path, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
        log.record([Proposal(replace(DECISION, decision_id=decision_id(1)))])
        times = {"a": 3, "b": 5, "c": 4, "d": 5}
        received = {"a": 9, "b": 7, "c": 9, "d": 6}
        for name, at in times.items():
            other = next(one for one in DeliveryStatus if one != status)
            log.report_deliveries(
                [
                    replace(
                        DELIVERY,
                        decision_id=decision_id(1),
                        delivery_id=name,
                        status=status if name == "b" else other,
                        occurred_at_ms=START_MS + at,
                        received_at_ms=START_MS + received[name],
                    )
                ]
            )
        (part,) = joined_slices(log, RULE)
    assert FATE_ORDER[part.fate[0]] == FATES[status]


def _unasked(_key: bytes, _value: bytes) -> Delivery:
    raise AssertionError("the codec was asked")
