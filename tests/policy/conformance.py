"""The conformance kit under the name by which these tests know it."""

from replay.simulator.conformance import (
    assert_conforms,
    assert_floor,
    frequencies,
    paths,
    stages,
)

__all__ = ["assert_conforms", "assert_floor", "frequencies", "paths", "stages"]
