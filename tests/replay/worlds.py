"""A world with a planted preference, lived through by the real engine."""

from decisionlog import Decision, DeliveryStatus
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


def rate(plan: str, offer: str) -> float:
    """How often a subject of a plan responds to an offer."""
    return RATES.get((plan, offer), OTHERWISE)


def live(past: History, count: int, *, delivered: float = 1.0) -> list[Decision]:
    """Decides for customers who like what their plan says, and reports what they do."""
    decisions = []
    for turn in range(count):
        past.clock.now_ms += 1000
        plan = "young" if turn % 2 else "old"
        name = f"customer-{next(past.numbers)}"
        decision = past.decide(name, request_id=name, features={"plan": plan})
        decisions.append(decision)
        luck = hashed(name.encode(), "luck")
        if hashed(name.encode(), "sent") >= delivered:
            past.deliver(decision, DeliveryStatus.FAILED)
            continue
        past.deliver(decision)
        if luck < rate(plan, offer_of(decision)):
            past.reward(decision)
    return decisions
