"""`sendwise train --policy best_so_far`, and what follows, as for a chain."""

from pathlib import Path

from tests.cli.conftest import AS_OF, DECISIONS, Sendwise


def test_the_best_so_far_is_trained_promoted_and_verified(sendwise: Sendwise, data: Path) -> None:
    """It is registered under its own name, is listed, can be put into force, and all is exact."""
    place = ("--data", data)
    options = (*place, "--as-of", AS_OF, "--policy", "best_so_far", "--format", "json")
    trained = sendwise("train", *options)
    assert trained.code == 0
    version = trained.json["version"]
    assert version.startswith("best_so_far-")
    (listed,) = sendwise("models", *place, "--format", "json").json["models"]
    assert (listed["version"], listed["kind"]) == (version, "best_so_far")
    assert sendwise("promote", version, *place, "--force").code == 0
    evaluated = sendwise("evaluate", *place, "--as-of", AS_OF, "--format", "json").json
    assert 0 < evaluated["n"] < DECISIONS
    assert sendwise("verify", *place).code == 0


def test_another_kind_is_a_usage_error(sendwise: Sendwise, data: Path) -> None:
    """What cannot be trained is told with what can."""
    refused = sendwise("train", "--data", data, "--policy", "uniform")
    assert refused.code == 2
    assert "best_so_far" in refused.err
