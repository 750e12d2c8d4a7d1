"""Names of the reward models, and what they need."""

from enum import StrEnum

from replay.errors import SettingError


class Model(StrEnum):
    """A way to foresee rewards."""

    CHAIN = "chain"
    """The chain's own learner: one regression of whole actions in their context."""
    LIGHTGBM = "lightgbm"
    """Gradient-boosted trees."""
    LOGISTIC = "logistic"
    """Logistic regression, for rewards of two values."""
    RIDGE = "ridge"
    """Linear regression with a ridge penalty."""


MODELS = tuple(model.value for model in Model)


class UnknownModelError(SettingError):
    """No reward model has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no reward model {name!r}; there are {', '.join(MODELS)}")
        self.name = name


class ModelMissingError(SettingError):
    """A reward model needs a package that is not installed."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(
            f"the reward model {name!r} needs {package}: python -m pip install {package}; "
            "the model 'chain' needs nothing more"
        )
        self.name = name
        self.package = package


class UnfittingRewardsError(SettingError):
    """A reward model cannot learn such rewards."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"the reward model {name!r} {problem}")
        self.name = name


def model_of(name: str) -> Model:
    """The model of a name.

    Raises:
        UnknownModelError: if there is none.
    """
    if name not in MODELS:
        raise UnknownModelError(name)
    return Model(name)
