"""Parsing an action once gives what parsing it every time gives."""

from collections.abc import Iterator

import numpy as np
import pytest

from replay.simulator.workspace import ActionWorkspace, Workspace

ARGUMENTS = ("--squarecb", "--epsilon 0.2", "--squarecb --gamma_scale 100")


def _rounds(seed: int, count: int) -> Iterator[tuple[str, list[str], int, str]]:
    """A shared line, actions that differ from round to round, the chosen one and its label."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        picked = rng.permutation(9)[: rng.integers(1, 9)]
        actions = [f"|o {action} |n {action % 3}" for action in picked]
        label = f"0:{-float(rng.integers(2))!r}:{rng.uniform(0.05, 1.0)!r}"
        yield f"shared |c plan={rng.integers(4)}", actions, int(rng.integers(len(actions))), label


@pytest.mark.parametrize("options", ARGUMENTS)
def test_kept_actions_change_no_prediction(options: str) -> None:
    """Over many rounds of learning, all predictions equal those of a plain workspace exactly."""
    arguments = f"--cb_explore_adf {options} -q co --cubic con"
    plain, kept = Workspace(arguments), ActionWorkspace(arguments)
    for shared, actions, chosen, label in _rounds(1, 300):
        assert kept.predict(shared, actions) == plain.predict([shared, *actions])
        kept.learn(shared, actions, chosen, label)
        told = list(actions)
        told[chosen] = f"{label} {actions[chosen]}"
        plain.learn([shared, *told])
    plain.close()
    kept.close()
