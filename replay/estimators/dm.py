"""Direct method: what a reward model expects under the target policy."""

from replay.columns import ModelValue
from replay.estimators.base import MeanEstimator


class Dm(MeanEstimator):
    """Direct method (Dudik, Langford and Li 2011, "Doubly robust policy evaluation and learning").

    Formula: V = (1/n) * sum of v_i, with v the mean of the reward model's values over the target
    policy's actions.

    Assumes that the reward model is right, for actions the log seldom holds as well, and that it
    was not fitted on the interactions it scores. The interval knows how contexts vary and nothing
    of the model's own error, so that it is too narrow for a model that is wrong.
    """

    name = "dm"
    needs = ("v_target",)
    method = "mean of modelled values, without the model's own error; Student's t, rows independent"
    score = ModelValue()
