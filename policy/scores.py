"""What a model says of the eligible actions of one stage."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

FloatArray = NDArray[np.float64]


class Scores(NamedTuple):
    """Each action with the best that can follow it; arrays of shape (actions,)."""

    logits: FloatArray
    """Log odds of the reward on its scale from lowest to highest."""
    errors: FloatArray
    """Standard errors of the logits, as far as the stage's own choice makes them; above 0."""

    @property
    def shares(self) -> FloatArray:
        """Expected reward on its scale, from 0 to 1."""
        return np.asarray(expit(self.logits), dtype=np.float64)
