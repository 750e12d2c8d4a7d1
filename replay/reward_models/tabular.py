"""Reward models of LightGBM and scikit-learn; the one module that imports either."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from policy.draw import hashed
from policy.policies import FloatArray
from policy.situation import Situation
from replay.join import Interaction
from replay.reward_models.encoding import Encoder, Facts, facts_of
from replay.reward_models.leaves import leaves
from replay.reward_models.names import Model, ModelMissingError, UnfittingRewardsError
from replay.sums import Floats

BATCH_ROWS = 65_536
"""Rows foreseen at once."""
ROWS_MAX = 200_000
"""Of more interactions a model learns from a sample by lot, so that memory is bounded."""


class Regressor(Protocol):
    """What both libraries agree on."""

    def fit(self, x: Floats, y: Floats) -> object:
        """Learns rewards y of rows x."""

    def predict(self, x: Floats) -> Floats:
        """Foresees them."""


@dataclass(frozen=True, slots=True)
class TabularModel:
    """A fitted model with its columns; can be pickled."""

    encoder: Encoder
    predict: Callable[[Floats], Floats]

    def ready(self) -> "TabularModel":
        """Itself: it needs nothing of its process."""
        return self

    def values(self, situations: Sequence[Situation]) -> list[FloatArray]:
        """Of all whole actions, in the order of `leaves`."""
        found: list[FloatArray] = []
        for batch in _batches(situations):
            encoded = [self.encoder.encode_all(situation) for situation in batch]
            ends = np.cumsum([len(rows) for rows in encoded])[:-1]
            found += np.split(self.predict(np.concatenate(encoded)), ends)
        return found


def _batches(situations: Sequence[Situation]) -> Iterator[list[Situation]]:
    """Situations together, since a call costs much more than a row, but not too many."""
    batch, rows = list[Situation](), 0
    for situation in situations:
        count = len(leaves(situation.tree))
        if batch and rows + count > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(situation)
        rows += count
    if batch:
        yield batch


class TabularLearner:
    """Keeps rows until they are learned from; see `Learner`."""

    def __init__(self, model: Model) -> None:
        _check_installed(model)
        self._model = model
        self._read = 0
        self._rows: list[tuple[float, bytes, Facts, float]] = []

    def read(self, interaction: Interaction) -> None:
        """See `Learner`."""
        self._read += 1
        decision_id = interaction.decision.decision_id
        # The largest lots go first, so that the sample does not depend on the order of the log.
        lot = -hashed(decision_id, "model sample")
        facts = facts_of(interaction.situation, interaction.path)
        row = (lot, decision_id, facts, interaction.reward)
        if len(self._rows) < ROWS_MAX:
            heapq.heappush(self._rows, row)
        elif row[:2] > self._rows[0][:2]:
            heapq.heapreplace(self._rows, row)

    def learned(self, on_progress: Callable[[int], None]) -> TabularModel:
        """See `Learner`."""
        self._rows.sort(key=lambda row: row[1])
        rows = [facts for _, _, facts, _ in self._rows]
        rewards = np.asarray([reward for *_, reward in self._rows], dtype=np.float64)
        encoder = Encoder()
        encoder.fit(rows)
        predict = _FITS[self._model](encoder, encoder.encode(rows), rewards)
        on_progress(self._read)
        return TabularModel(encoder, predict)

    def close(self) -> None:
        """See `Learner`."""
        self._rows.clear()


def _check_installed(model: Model) -> None:
    package = "lightgbm" if model is Model.LIGHTGBM else "scikit-learn"
    try:
        __import__(_MODULES[package])
    except ImportError:
        raise ModelMissingError(model.value, package) from None


def _fit_lightgbm(encoder: Encoder, x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    import lightgbm  # noqa: PLC0415 - an extra

    low, high = float(y.min()), float(y.max())
    is_binary = high > low and bool(np.isin(y, (low, high)).all())
    settings = {
        "objective": "binary" if is_binary else "regression",
        "num_leaves": 15,
        "learning_rate": 0.05,
        "min_data_in_leaf": 50,
        "lambda_l2": 1.0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbose": -1,
    }
    target = (y - low) / (high - low) if is_binary else y
    data = lightgbm.Dataset(x, target, categorical_feature=encoder.categories)
    booster = lightgbm.train(settings, data, num_boost_round=150)
    scale = (high - low, low) if is_binary else (1.0, 0.0)
    return partial(_lightgbm_values, booster.model_to_string(), *scale)


def _lightgbm_values(text: str, width: float, low: float, x: Floats) -> Floats:
    return np.asarray(low + width * _booster(text).predict(x, num_threads=1), dtype=np.float64)


_loaded: dict[str, Any] = {}
_LOADED_MAX = 32


def _booster(text: str) -> Any:  # noqa: ANN401 - lightgbm ships no types
    """A booster travels as text between processes, and is read once in each."""
    import lightgbm  # noqa: PLC0415 - an extra

    if text not in _loaded:
        if len(_loaded) >= _LOADED_MAX:
            _loaded.clear()
        _loaded[text] = lightgbm.Booster(model_str=text)
    return _loaded[text]


def _fit_ridge(encoder: Encoder, x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    from sklearn.linear_model import Ridge  # noqa: PLC0415 - an extra

    pipeline = _linear(encoder, Ridge(alpha=10.0))
    pipeline.fit(_crossed(encoder, x), y)
    return partial(_ridge_values, pipeline, encoder)


def _ridge_values(pipeline: Any, encoder: Encoder, x: Floats) -> Floats:  # noqa: ANN401 - as above
    return np.asarray(pipeline.predict(_crossed(encoder, x)), dtype=np.float64)


def _fit_logistic(encoder: Encoder, x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - an extra

    levels = np.unique(y)
    if levels.size != 2:  # noqa: PLR2004 - a logistic model tells two apart
        problem = f"needs rewards of two values, here are {levels.size}: take ridge or lightgbm"
        raise UnfittingRewardsError(Model.LOGISTIC.value, problem)
    pipeline = _linear(encoder, LogisticRegression(C=0.1, max_iter=500))
    pipeline.fit(_crossed(encoder, x), (y == levels[1]).astype(int))
    return partial(_logistic_values, pipeline, encoder, float(levels[0]), float(levels[1]))


def _logistic_values(
    pipeline: Any,  # noqa: ANN401 - as above
    encoder: Encoder,
    low: float,
    high: float,
    x: Floats,
) -> Floats:
    shares = pipeline.predict_proba(_crossed(encoder, x))[:, 1]
    return np.asarray(low + (high - low) * shares, dtype=np.float64)


def _crossed(encoder: Encoder, x: Floats) -> Floats:
    """With a column for each category of the context together with the offer: who likes what."""
    offers = x[:, [encoder.columns["offer"]]]
    return np.hstack([x, x[:, encoder.context_categories] * _CROSS + offers])


def _linear(encoder: Encoder, last: Any) -> Any:  # noqa: ANN401 - as above
    """Categories by one column each, numbers around their mean, then a linear model."""
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - an extra
    from sklearn.impute import SimpleImputer  # noqa: PLC0415 - as above
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - as above
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415 - as above

    width = len(encoder.columns)
    crosses = list(range(width, width + len(encoder.context_categories)))
    numbers = [place for place in range(width) if place not in encoder.categories]
    one_hot = OneHotEncoder(handle_unknown="ignore", max_categories=512)
    scaled = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    columns = [("categories", one_hot, [*encoder.categories, *crosses])]
    return make_pipeline(ColumnTransformer([*columns, ("numbers", scaled, numbers)]), last)


_CROSS = 1e5
_MODULES: Mapping[str, str] = {"lightgbm": "lightgbm", "scikit-learn": "sklearn"}
_FITS: Mapping[Model, Callable[[Encoder, Floats, Floats], Callable[[Floats], Floats]]] = {
    Model.LIGHTGBM: _fit_lightgbm,
    Model.LOGISTIC: _fit_logistic,
    Model.RIDGE: _fit_ridge,
}
