"""A world with a planted preference, lived through by the real engine."""

from collections.abc import Mapping

from decisionlog import Decision, Delivery, DeliveryStatus, Reward
from policy.draw import hashed
from tests.replay.history import History, offer_of
from tests.shop import CATALOG

# One channel and one window: the offer alone decides.
WORLD = (
    CATALOG.replace('channels = ["email", "push"]', 'channels = ["email"]')
    .replace("windows = 6", "windows = 1")
    .replace("[no_send]\n", "")
)
RATES = {("young", "spring"): 0.8, ("old", "loyal"): 0.8}
OTHERWISE = 0.1
BATCH = 20


def rate(plan: str, offer: str) -> float:
    """How often a subject of a plan responds to an offer."""
    return RATES.get((plan, offer), OTHERWISE)


def live(past: History, count: int, *, delivered: float = 1.0) -> list[Decision]:
    """Decides for customers who like what their plan says, and reports what they do.

    Args:
        past: where it is logged, `BATCH` customers every `BATCH` seconds.
        count: how many customers.
        delivered: share of the deliveries that do not fail.
    """
    decisions: list[Decision] = []
    while len(decisions) < count:
        past.clock.now_ms += 1000 * BATCH
        names = [
            f"customer-{next(past.numbers)}" for _ in range(min(BATCH, count - len(decisions)))
        ]
        decided = past.decide_all(
            [past.ask(name, request_id=name, features={"plan": plan_of(name)}) for name in names]
        )
        _report(past, dict(zip(names, decided, strict=True)), delivered)
        decisions += decided
    return decisions


def plan_of(name: str) -> str:
    """The plan of a customer."""
    return "young" if hashed(name.encode(), "plan") < 0.5 else "old"


def _report(past: History, decided: Mapping[str, Decision], delivered: float) -> None:
    deliveries, rewards = [], []
    for name, decision in decided.items():
        at_ms = decision.decided_at_ms + 1000
        is_sent = hashed(name.encode(), "sent") < delivered
        status = DeliveryStatus.SENT if is_sent else DeliveryStatus.FAILED
        deliveries.append(Delivery(decision.decision_id, "d", status, at_ms, at_ms))
        if is_sent and hashed(name.encode(), "luck") < rate(plan_of(name), offer_of(decision)):
            rewards.append(Reward(decision.decision_id, "r", "visit", 1.0, at_ms, at_ms))
    past.engine.report_deliveries(deliveries)
    past.engine.report_rewards(rewards)
