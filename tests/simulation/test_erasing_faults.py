"""Erasures while decisions are in the making: whichever way they meet, none stays behind."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from decisionlog import Decision, DecisionIds, DecisionLog, Proposal, SubjectErased, erasure
from decisionlog.checking import Finding, check
from replay.ledger import ledger
from tests.decisionlog.samples import CONTACT, DECISION
from tests.shop import shop
from tests.simulation.log_worker import open_log

CALLERS = 8
DECISIONS = 400
SUBJECTS = tuple(bytes([number]) * 16 for number in range(3))
LATEST_S = 0.004
"""So long a decision may be in the making."""


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


def test_what_meets_an_erasure_is_erased_or_refused(tmp_path: Path, rng: random.Random) -> None:
    """Of a subject that was erased nothing is left from before, whenever it came to the log.

    Each decision gets its id, takes its time, and is stored, or refused if its subject was erased
    meanwhile; those of another subject never are.
    """
    ids, waits = DecisionIds(now_ms), [rng.uniform(0, LATEST_S) for _ in range(DECISIONS)]
    with open_log(tmp_path) as log, ThreadPoolExecutor(CALLERS) as pool:

        def decide(number: int) -> str:
            decision_id, subject = ids.new(), SUBJECTS[number % len(SUBJECTS)]
            time.sleep(waits[number])
            return outcome(log, decision_id, subject)

        calls = [pool.submit(decide, number) for number in range(DECISIONS)]
        while not all(call.done() for call in calls):
            erasure.erase(log.store, SUBJECTS[1:], now_ms())
        outcomes = Counter(call.result() for call in calls)
        assert outcomes["refused"] > 0
        buried = {each.subject: each for each in erasure.tombstones(log.store)}
        assert set(buried) == set(SUBJECTS[1:])
        left = Counter(each.decision.subject for each in log.scan())
        assert left[SUBJECTS[0]] == len(range(0, DECISIONS, len(SUBJECTS)))
        for each in log.scan():
            subject, decision_id = each.decision.subject, each.decision.decision_id
            assert subject not in buried or not buried[subject].covers(subject, decision_id)
        findings: list[Finding] = []
        check(log.store, findings.append)
        assert findings == []
        assert ledger(log, shop().reward).balanced


def outcome(log: DecisionLog, decision_id: bytes, subject: bytes) -> str:
    """Record a decision with a contact; tell what became of it."""
    made = replace(DECISION, decision_id=decision_id, subject=subject)
    (found,) = log.record([Proposal(made, contact=replace(CONTACT, decision_id=decision_id))])
    if isinstance(found, Decision):
        return "stored"
    assert isinstance(found, SubjectErased)
    assert subject in SUBJECTS[1:]
    return "refused"
