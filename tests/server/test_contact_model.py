"""Engine and log against a plain model of what was sent, reported and answered, step by step."""

import tempfile
from collections import defaultdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from decisionlog import Decision, DecisionIds, DecisionLog, Delivery, DeliveryStatus, Reward
from policy.catalog import NO_SEND, parse_catalog
from policy.registry import Registry
from policy.releases import Releases
from policy.request import Request
from policy.situation import bits
from policy.standing import Spent
from server.asks import Answer, Ask
from server.engine import Engine
from server.serving import Current
from tests.policy.catalogs import minimal, toml
from tests.policy.reference import Plain, Reference, first_moment, utc
from tests.policy.situations import (
    ALL_CONSENTS,
    CONTACTS,
    REWARDS,
    ZONES,
    budget_tables,
    cap_tables,
    catalog_texts,
    cool_down_tables,
    moments_ms,
)
from tests.policy.standings import Contact, Response, Standing, standing_of
from tests.server.service import KEYS, MAP_SIZE_BYTES
from tests.shop import Clock

SUBJECTS = ["alice", "bob"]
HOUR_MS = 3_600_000
STATUSES = [DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SUPPRESSED]


class Shop:
    """A shop on a real log, and beside it, in plain lists, what has happened."""

    def __init__(self, log: DecisionLog, directory: Path, text: str, now_ms: int) -> None:
        self.catalog = parse_catalog(text)
        self._clock = Clock(now_ms)
        registry = Registry(directory)
        Releases(registry, self._clock.now).publish(text)
        self._engine = Engine(log, KEYS, DecisionIds(self._clock), registry, Current(registry))
        self.sent: list[tuple[str, Decision]] = []
        self._contacts: dict[bytes, Contact | None] = {}
        self._decided: dict[bytes, Contact] = {}
        self._responses: dict[str, list[Response]] = defaultdict(list)

    def ask(self, subject: str, *, critical: bool) -> None:
        """Decides; the tree must be what the plain rules leave of what has happened."""
        request = partial(Request, granted_consents=ALL_CONSENTS, critical=critical)
        (answer,) = self._engine.decide(
            [Ask(subject, "", bytes(16), explain=False, request=request)]
        )
        assert isinstance(answer, Answer)
        decision = answer.decision
        asked = request(decision.decided_at_ms)
        expected = Reference(asked, self.catalog, self._standing(subject), self._spent()).tree()
        assert _plain(decision) == expected
        self._keep(subject, decision)

    def report(self, number: int, status: DeliveryStatus) -> None:
        """Says what became of a message; of each but once."""
        _, decision = self.sent[number % len(self.sent)]
        decided = self._decided[decision.decision_id]
        now_ms = self._clock.now_ms
        self._engine.report_deliveries(
            [Delivery(decision.decision_id, "once", status, now_ms, now_ms)]
        )
        if self._contacts[decision.decision_id] == decided and not decided.confirmed:
            is_sent = status is DeliveryStatus.SENT
            kept = Contact(decided.offer, decided.channel, decided.send_time_ms, confirmed=True)
            self._contacts[decision.decision_id] = kept if is_sent else None

    def respond(self, number: int, name: str) -> None:
        """Says what a customer did after a message."""
        subject, decision = self.sent[number % len(self.sent)]
        now_ms, key = self._clock.now_ms, str(len(self._responses[subject]))
        self._engine.report_rewards([Reward(decision.decision_id, key, name, 1.0, now_ms, now_ms)])
        sent = self._decided[decision.decision_id]
        self._responses[subject].append(Response(name, sent.offer, sent.channel, now_ms))

    def wait(self, hours: int) -> None:
        """Lets time pass."""
        self._clock.now_ms += hours * HOUR_MS

    def _keep(self, subject: str, decision: Decision) -> None:
        if decision.no_send_reason:
            return
        name, channels = decision.tree[decision.path[0]]
        channel, mask = channels[decision.path[1]]
        window, grid = bits(mask)[decision.path[2]], decision.grid
        send_time_ms = max(grid.start_ms + window * grid.step_ms, grid.earliest_ms)
        self.sent.append((subject, decision))
        contact = Contact(name, channel, send_time_ms)
        self._contacts[decision.decision_id] = self._decided[decision.decision_id] = contact

    def _standing(self, subject: str) -> Standing:
        contacts = (self._contacts[one.decision_id] for who, one in self.sent if who == subject)
        return standing_of(*filter(None, contacts), *self._responses[subject])

    def _spent(self) -> Spent:
        found: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0] * 25)
        zone = ZoneInfo(self.catalog.send_times.time_zone)
        for one in filter(None, self._contacts.values()):
            day = utc(one.send_time_ms).astimezone(zone).date()
            hour = (utc(one.send_time_ms) - first_moment(day, zone)) // timedelta(hours=1)
            for owner in (("offer", one.offer), ("channel", one.channel)):
                found[(*owner, day.toordinal())][hour] += 1
        return {key: tuple(messages) for key, messages in found.items()}


def _plain(decision: Decision) -> Plain:
    """The tree of a decision as plain values."""
    return {name: {each: bits(mask) for each, mask in nodes} for name, nodes in decision.tree}


asks = st.tuples(st.just("ask"), st.sampled_from(SUBJECTS), st.sampled_from([False, False, True]))
reports = st.tuples(st.just("report"), st.integers(0, 9), st.sampled_from(STATUSES))
responses = st.tuples(st.just("respond"), st.integers(0, 9), st.sampled_from([*REWARDS, "other"]))
waits = st.tuples(st.just("wait"), st.sampled_from([1, 7, 30]))
steps = st.lists(asks | asks | asks | reports | responses | waits, min_size=10, max_size=30)


@st.composite
def lively_texts(draw: st.DrawFn) -> str:
    """A catalog in which little but rules about contacts keeps anything back."""
    offers, channels = ["a", "b", "c"], ["email", "push"]
    rules = {
        "contacts": st.fixed_dictionaries({}, optional=CONTACTS),
        "caps": st.lists(cap_tables(offers, channels), max_size=2),
        "exclusion_groups": st.sampled_from([{}, {"g": {"offers": ["a", "b"], "days": 1}}]),
        "cool_downs": st.lists(cool_down_tables(offers, channels), max_size=2),
    }
    owners = st.fixed_dictionaries({}, optional={"budget": budget_tables(6)})
    send_times = {
        "step_minutes": draw(st.sampled_from([60, 240])),
        "windows": draw(st.integers(1, 12)),
        "time_zone": draw(st.sampled_from(ZONES)),
    }
    tables = minimal(
        channels={name: draw(owners) for name in channels},
        offers={name: {"channels": channels, **draw(owners)} for name in offers},
        send_times=send_times,
        **draw(st.fixed_dictionaries(rules)),
    )
    return toml(tables)


@settings(max_examples=60, deadline=None)
@given(catalog_texts() | lively_texts() | lively_texts(), moments_ms, steps)
def test_every_tree_is_what_the_plain_rules_leave_of_what_has_happened(
    text: str, now_ms: int, steps: list[tuple[object, ...]]
) -> None:
    """Over random catalogs, zones and histories, with what the real log has made of them."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "data"
        with DecisionLog.open(directory, keys=KEYS, map_size_bytes=MAP_SIZE_BYTES) as log:
            shop = Shop(log, directory, text, now_ms)
            for kind, *values in steps:
                _step(shop, str(kind), *values)
    assert all(one.tree[one.path[0]][0] != NO_SEND for _, one in shop.sent)


def _step(shop: Shop, kind: str, *values: object) -> None:
    if kind == "ask":
        subject, critical = values
        shop.ask(str(subject), critical=bool(critical))
    elif kind == "wait":
        shop.wait(int(str(values[0])))
    elif shop.sent:
        getattr(shop, kind)(*values)
