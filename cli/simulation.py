"""`sendwise simulate`: a policy that learns in a world with known truth."""

from contextlib import closing
from typing import Annotated, Any

import typer

from cli.options import Format, OutputFormat
from cli.output import line, progress, show, table
from replay.simulator import (
    LEARNERS,
    WORLDS,
    Simulation,
    Trial,
    make_learner,
    make_world,
    run_trial,
)
from replay.simulator import simulate as run_in
from replay.simulator.reference import BASE_MAX
from replay.simulator.trial import CASES
from replay.simulator.world import ROUNDS_MAX, SEED_MAX


def simulate(  # noqa: PLR0913 - one parameter an option
    *,
    world: Annotated[str, typer.Option(help=f"One of {', '.join(WORLDS)}.")] = "reference",
    base: Annotated[
        float,
        typer.Option(help="Logit of a reward without effects.", min=-BASE_MAX, max=BASE_MAX),
    ] = -3.2,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same run.", min=0, max=SEED_MAX)
    ] = 0,
    rounds: Annotated[int, typer.Option(help="Decisions to make.", min=1, max=ROUNDS_MAX)] = 20_000,
    policy: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(LEARNERS)}, or module:Class for a class of your own, "
            "importable from the working directory.",
        ),
    ] = "chain",
    check: Annotated[
        bool,
        typer.Option("--check", help="Check what every policy has to do, in place of a run."),
    ] = False,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Let a policy learn in a world with known truth, and say how well it did."""
    if check:
        _check(policy, seed, form)
        return
    stage = make_world(world, base, seed)
    with closing(make_learner(policy)) as found, progress("Simulating", rounds) as advance:
        result = run_in(stage, found, rounds, advance)
    facts: dict[str, Any] = {"policy": policy, "base": base, "seed": seed, **result.to_json()}
    show(facts, form, lambda: _text(result))


def _check(policy: str, seed: int, form: Format) -> None:
    """Runs the conformance kit; ends the command with 1 if a property does not hold."""
    with progress("Checking", CASES) as advance:
        trial = run_trial(policy, lambda: make_learner(policy), seed, on_progress=advance)
    show({"policy": policy, "seed": seed, **trial.to_json()}, form, lambda: _findings(trial))
    if not trial.held:
        raise typer.Exit(1)


def _findings(trial: Trial) -> None:
    rows = [(one.name, "held" if one.held else "FAILED") for one in trial.properties]
    table(("property", "finding"), rows)
    for one in trial.properties:
        if not one.held:
            line(f"{one.name}: {one.statement} But in {one.problem}")
    verdict = "conforms" if trial.held else "does not conform"
    line(f"{trial.policy} {verdict}, in {trial.situations} situations")


def _text(result: Simulation) -> None:
    rows = [
        (f"{point.rounds:,}", f"{point.captured:.3f}", f"{point.regret:,.1f}")
        for point in result.curve[1:]
    ]
    table(("rounds", "captured", "regret"), rows)
    line(
        f"{result.learner} captured {result.captured:.3f} of the way from chance to the best "
        f"({result.captured_last_tenth:.3f} in the last tenth), at "
        f"{result.rounds_per_second:,.0f} rounds a second"
    )
