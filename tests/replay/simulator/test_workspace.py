"""Parsing an action once gives what parsing it every time gives."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from replay.simulator.workspace import ActionWorkspace, Workspace

BITS = 12
ARGUMENTS = ("--squarecb", "--epsilon 0.2", "--squarecb --gamma_scale 100")


def _rounds(seed: int, count: int) -> Iterator[tuple[str, list[str], int, str]]:
    """A shared line, actions that differ from round to round, the chosen one and its label."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        picked = rng.permutation(9)[: rng.integers(1, 9)]
        actions = [f"|o {action} |n {action % 3}" for action in picked]
        label = f"0:{-float(rng.integers(2))!r}:{rng.uniform(0.05, 1.0)!r}"
        yield f"shared |c plan={rng.integers(4)}", actions, int(rng.integers(len(actions))), label


def _weights(workspace: Workspace | ActionWorkspace) -> NDArray[np.float64]:
    """Every weight with what its step sizes depend on; some must have been learned."""
    get = workspace._workspace.get_weight
    found = np.array([[get(place, part) for part in range(3)] for place in range(1 << BITS)])
    assert np.count_nonzero(found) > 100
    return found


@pytest.mark.parametrize("options", ARGUMENTS)
def test_kept_actions_change_neither_predictions_nor_weights(options: str) -> None:
    """Over many rounds of learning all predictions are a plain workspace's; so are all weights."""
    arguments = f"--cb_explore_adf {options} -q co --cubic con -b {BITS}"
    plain, kept = Workspace(arguments), ActionWorkspace(arguments)
    for shared, actions, chosen, label in _rounds(1, 300):
        assert kept.predict(shared, actions) == plain.predict([shared, *actions])
        kept.learn(shared, actions, chosen, label)
        told = list(actions)
        told[chosen] = f"{label} {actions[chosen]}"
        plain.learn([shared, *told])
    np.testing.assert_array_equal(_weights(kept), _weights(plain))
    plain.close()
    kept.close()
