"""Exports interactions as decision-service JSON, for `vw --dsjson --cb_explore_adf`.

A line is the **offer** stage of a decision: its actions are the eligible offers, with the
probabilities of the record, and the cost is the reward, negated. The later stages are what the
logging policy did with the offer. A list of all whole actions would need the channels' and send
times' probabilities under every other offer, which no record holds, and a line of hundreds of
kilobytes for twenty offers.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from decisionlog.ids import to_text
from decisionlog.readable import time_text
from policy.features import Tokens
from policy.situation import Situation
from policy.tokens import context_tokens, request_tokens
from replay.export.files import appearing
from replay.join import Interaction


def export_dsjson(
    interactions: Iterable[Interaction],
    path: Path,
    on_written: Callable[[int], None] | None = None,
) -> int:
    """Writes a line for each interaction; returns how many. The file appears whole or not at all.

    Args:
        interactions: as `join` yields them.
        path: of the file; one that is there is replaced.
        on_written: called with the lines written since the last call.
    """
    count = 0
    with appearing(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        for one in interactions:
            file.write(json.dumps(event_of(one), ensure_ascii=False) + "\n")
            count += 1
            if on_written:
                on_written(1)
    return count


def event_of(one: Interaction) -> Mapping[str, Any]:
    """The event of an interaction."""
    decision, stage = one.decision, one.decision.stages[0]
    ranking = [stage.chosen, *(i for i in range(len(stage.pmf)) if i != stage.chosen)]
    return {
        "_label_cost": -one.reward,
        "_label_probability": stage.probability,
        "_label_Action": stage.chosen + 1,
        "_labelIndex": stage.chosen,
        "Timestamp": time_text(decision.decided_at_ms),
        "Version": "1",
        "EventId": to_text(decision.decision_id),
        "a": [index + 1 for index in ranking],
        "c": {
            "c": _features(context_tokens(one.situation)),
            "_multi": [_action(one.situation, node.offer) for node in one.situation.tree],
        },
        "p": [stage.pmf[index] for index in ranking],
        "VWState": {"m": decision.policy_version},
    }


def _action(situation: Situation, offer: str) -> Mapping[str, Any]:
    of_offer = situation.catalog.offer_tokens[offer]
    of_request = request_tokens(situation, offer)
    return {"o": _features(of_offer)} | ({"r": _features(of_request)} if of_request else {})


def _features(tokens: Tokens) -> Mapping[str, float]:
    """Tokens as numbers by name. VW ignores names that begin with `_`: ours begin with `b` then."""
    return {("b" + name[1:] if name.startswith("_") else name): number for name, number in tokens}
