"""How a chain learns: the models it starts from, and the target of each stage."""

from policy.exploration import Exploration
from policy.policies import Chain
from policy.situation import Path, Situation, Stage
from policy.vw import Model

# Coin betting (Orabona and Tommasi 2017) has no learning rate that would have to fit every log.
_COMMON = "--cb_adf --cb_type mtr --coin --hash all -b 18"
# Namespaces as in `policy.examples`: each stage crosses what it chooses with all it knows.
_ARGUMENTS = {
    Stage.OFFER: f"{_COMMON} -q ca -q ra",
    Stage.CHANNEL: f"{_COMMON} -q ca -q oa --cubic coa",
    Stage.SEND_TIME: f"{_COMMON} -q ca -q oa -q ha",
}


def untrained(exploration: Exploration) -> Chain:
    """A chain that has seen nothing: all actions are equally likely."""
    return Chain("untrained", [Model(_ARGUMENTS[stage]) for stage in Stage], exploration, 0)


def learn(chain: Chain, stage: Stage, situation: Situation, path: Path, reward: float) -> None:
    """Updates the model of one stage with an interaction.

    Later stages should have learned before: their values make the target of the earlier ones.

    Args:
        chain: what learns.
        stage: whose model is updated.
        situation: what was known.
        path: the whole choice.
        reward: what it earned.
    """
    if len(situation.names(path[:stage])) == 1:
        return  # nothing to choose, nothing to learn
    goal = target(chain, stage, situation, path, reward)
    chain.learn(situation, path[:stage], path[stage], goal)


def target(chain: Chain, stage: Stage, situation: Situation, path: Path, reward: float) -> float:
    """What a stage's choice is worth if the later stages choose as well as they can.

    Where the logged later choices were the best ones, that is the reward itself. Where one was not,
    the reward tells of another choice, and the best one's value stands in for it (Q-learning whose
    trace is cut at the first choice that is not greedy; Watkins 1989, section 7).
    """
    for later in reversed(range(stage + 1, len(Stage))):
        if len(situation.names(path[:later])) > 1:
            values = chain.values(situation, path[:later])
            if values[path[later]] < values.max():
                reward = float(values.max())
    return reward
