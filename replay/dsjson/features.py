"""What Vowpal Wabbit reads of a line, and nothing else: unforeseen shapes end its process."""

import json
import math
from collections.abc import Mapping
from typing import Any

from replay.dsjson.lines import DamagedLineError, Draw

TEXTS = ("_tag", "_text")
"""The only reserved names that say something of features; Vowpal Wabbit leaves others out."""
DEEPEST = 64
BY_REFERENCE = "__aid"


def question_of(draw: Draw) -> str:
    """A line of decision-service JSON that asks what a draw's line asked.

    Its label is made up: it has to be there, and says nothing to a model that does not learn.

    Raises:
        DamagedLineError: if the line has no features for each of its actions, or such as cannot
            be read.
    """
    context = draw.event.get("c")
    context = context if isinstance(context, dict) else {}
    actions = context.get("_multi")
    if not isinstance(actions, list) or len(actions) != len(draw.actions):
        raise DamagedLineError("has not as many actions in c (_multi) as in a")
    if not all(isinstance(action, dict) for action in actions):
        raise DamagedLineError("has an action in c (_multi) that is no JSON object")
    if max(draw.actions) > len(actions):
        raise DamagedLineError("names an action in a that c (_multi) does not have")
    features = {**_object(context, 0), "_multi": [_object(action, 0) for action in actions]}
    ids = list(range(1, len(actions) + 1))
    pmf = [1.0] + [0.0] * (len(actions) - 1)
    label = {"_label_cost": 0.0, "_label_probability": 1.0, "_label_Action": 1, "_labelIndex": 0}
    question = json.dumps({**label, "a": ids, "c": features, "p": pmf}, ensure_ascii=False)
    try:
        question.encode()
    except UnicodeEncodeError:  # half a character, which JSON can say and UTF-8 cannot
        raise DamagedLineError("has features (c) that are no text") from None
    return question


def _object(features: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if BY_REFERENCE in features:
        raise DamagedLineError(f"has features by reference ({BY_REFERENCE}), which are elsewhere")
    return {
        name: _readable(value, depth)
        for name, value in features.items()
        if not name.startswith("_") or (name in TEXTS and isinstance(value, str))
    }


def _readable(value: Any, depth: int) -> Any:  # noqa: ANN401 - of JSON
    """A namespace or a feature: a scalar, an object, or a list of numbers or of objects."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if depth < DEEPEST and isinstance(value, dict):
        return _object(value, depth + 1)
    if depth < DEEPEST and isinstance(value, list):
        if all(isinstance(one, dict) for one in value):
            return [_object(one, depth + 1) for one in value]
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            return [_number(one) for one in value]
    raise DamagedLineError("has features (c) in a shape that Vowpal Wabbit does not read")


def _number(value: float) -> float:
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise DamagedLineError("has a feature (c) that is no finite number")
    return found
