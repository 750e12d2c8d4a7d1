"""`sendwise metrics` as a person uses it."""

from pathlib import Path

from tests.cli.conftest import AS_OF, DECISIONS, Sendwise


def test_metrics_in_words(sendwise: Sendwise, lived: Path) -> None:
    """A table of all, one for each dimension, and how the many intervals are to be read."""
    ended = sendwise(
        "metrics", "--data", lived, "--as-of", AS_OF, "--by", "offer", "--segment", "plan"
    )
    assert (ended.code, ended.err) == (0, "")
    for word in ("ctr", "value per subject", "precision@1", "spring", "young", "Bonferroni"):
        assert word in ended.out


def test_metrics_in_json(sendwise: Sendwise, lived: Path) -> None:
    """By arm if nothing is said; rates lie in their intervals."""
    found = sendwise("metrics", "--data", lived, "--as-of", AS_OF, "--format", "json").json
    assert found["overall"]["n"] == DECISIONS
    assert list(found["by"]) == ["arm"]
    assert found["comparisons"] == {"arm": 1}
    ctr = found["by"]["arm"]["champion"]["metrics"]["ctr"]
    assert 0 < ctr["interval"][0] < ctr["value"] < ctr["interval"][1] < 1


def test_rewards_that_are_asked_for(sendwise: Sendwise, lived: Path) -> None:
    """--revenue says what is money; --k how long a ranking is looked at."""
    options = ("--revenue", "visit", "--k", "2", "--level", "0.9", "--format", "json")
    found = sendwise("metrics", "--data", lived, "--as-of", AS_OF, *options).json
    metrics = found["overall"]["metrics"]
    assert metrics["revenue"]["value"] == metrics["ctr"]["value"]
    assert metrics["precision@2"]["value"] <= 1
    assert "precision@1" not in metrics
    assert found["level"] == 0.9


def test_refused_metrics_are_withheld(sendwise: Sendwise, lived: Path) -> None:
    """In words there is the reason and no number; JSON has both."""
    common = ("metrics", "--data", lived, "--policy", "uniform", "--as-of", "2020-01-01")
    ended = sendwise(*common)
    assert ended.code == 0
    assert "refuse: there are no interactions" in ended.out
    assert "withheld" in ended.out
    found = sendwise(*common, "--format", "json").json
    assert (found["verdict"], found["overall"]["n"]) == ("refuse", 0)


def test_unknown_dimensions(sendwise: Sendwise, lived: Path) -> None:
    """One line that says what there is, exit code 1."""
    ended = sendwise("metrics", "--data", lived, "--by", "plan")
    assert (ended.code, ended.out) == (1, "")
    assert "for a feature of the request say --segment" in ended.err
