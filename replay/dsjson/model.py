"""A model file of Vowpal Wabbit as a policy for decision-service JSON.

The third of the modules that import `vowpalwabbit`: it reads models that others have trained, with
whatever options they carry.
"""

from pathlib import Path

import vowpalwabbit

from replay.dsjson.features import question_of
from replay.dsjson.lines import DamagedLineError, Draw
from replay.errors import SettingError


class BadModelError(SettingError):
    """A file holds no model of Vowpal Wabbit's that can choose among the actions of a line."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class VwModel:
    """Asks a model for each line; nothing is learned."""

    def __init__(self, path: Path) -> None:
        """Loads it.

        Raises:
            BadModelError: if that fails.
        """
        if not path.is_file():
            raise BadModelError(path, "there is no such file")
        self._path = path
        try:
            arguments = ["--dsjson", "--testonly", "--quiet", "--initial_regressor", str(path)]
            self._workspace = vowpalwabbit.Workspace(arg_list=arguments)
        except RuntimeError as error:
            raise BadModelError(path, f"Vowpal Wabbit cannot load it: {error}") from error

    def pmf(self, draw: Draw) -> list[float]:
        """What it would do: its probabilities, or all on the least cost if it gives costs.

        Raises:
            BadModelError: if it gives neither.
            DamagedLineError: if the line is not such that a model can be asked.
        """
        if "_outcomes" in draw.event:
            raise BadModelError(self._path, "only lines of one decision can be asked of a model")
        found = self._asked(question_of(draw))
        if not isinstance(found, list) or len(found) != len(draw.actions):
            raise BadModelError(self._path, "it does not give a number for each action")
        scores = [float(found[action - 1]) for action in draw.actions]
        if self._workspace.get_prediction_type() == vowpalwabbit.PredictionType.ACTION_PROBS:
            return [min(score, 1.0) for score in scores]
        best = min(scores)
        count = scores.count(best)
        return [(score == best) / count for score in scores]

    def _asked(self, question: str) -> object:
        try:
            examples = self._workspace.parse(question)
        except RuntimeError as error:
            raise DamagedLineError("cannot be read by Vowpal Wabbit") from error
        try:
            return self._workspace.predict(examples)
        except RuntimeError as error:
            raise BadModelError(self._path, f"it cannot choose among actions: {error}") from error
        finally:
            self._workspace.finish_example(examples)
