"""`sendwise simulate`: a policy that learns in a world with known truth."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Format, OutputFormat
from cli.output import line, progress, show, table
from replay.simulator import (
    LEARNERS,
    WORLDS,
    Simulation,
    Trial,
    World,
    make_checked_learner,
    make_learner,
    make_world,
    run_trial,
)
from replay.simulator import simulate as run_in
from replay.simulator.reference import BASE_MAX
from replay.simulator.trial import CASES
from replay.simulator.world import ROUNDS_MAX, SEED_MAX

DEFAULT_POLICY = "chain"


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
        list[str] | None,
        typer.Option(
            help=f"One of {', '.join(LEARNERS)}, or module:Class for a class of your own, "
            "importable from the working directory; may be repeated.",
            show_default=DEFAULT_POLICY,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Check what every policy has to do, in place of a run."),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="File for a picture of the learning curves: .svg, .png or .pdf."),
    ] = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Let policies learn in a world whose truth is known.

    Says how much of what there was to earn each of them captured.
    """
    policies = policy or [DEFAULT_POLICY]
    if check:
        _check(policies, seed, form)
        return
    if plot is not None:
        _check_plot(plot)
    place = make_world(world, base, seed)
    runs = {name: _run(place, name, rounds) for name in policies}
    if plot is not None:
        _plot(runs, plot)
    facts = {
        name: {"policy": name, "base": base, "seed": seed, **run.to_json()}
        for name, run in runs.items()
    }
    show(_several(facts), form, lambda: _text(list(runs.items())))


def _run(place: World, name: str, rounds: int) -> Simulation:
    with (
        closing(make_checked_learner(name)) as learner,
        progress(f"Simulating {name}", rounds) as advance,
    ):
        return run_in(place, learner, rounds, advance)


def _several(facts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """One policy's facts as they are, several by name."""
    return next(iter(facts.values())) if len(facts) == 1 else {"policies": facts}


def _check_plot(path: Path) -> None:
    # Drawing takes a second to import, which a run without a picture should not wait for.
    from replay.simulator.plot import check_picture  # noqa: PLC0415

    check_picture(path)


def _plot(runs: Mapping[str, Simulation], path: Path) -> None:
    from replay.simulator.plot import write_curves  # noqa: PLC0415 - as above

    write_curves(list(runs.items()), path)


def _check(policies: Sequence[str], seed: int, form: Format) -> None:
    """Runs the conformance kit; ends the command with 1 if a property does not hold."""
    trials = [_trial(name, seed) for name in policies]
    facts = {one.policy: {"policy": one.policy, "seed": seed, **one.to_json()} for one in trials}
    show(_several(facts), form, lambda: _findings(trials))
    if not all(trial.held for trial in trials):
        raise typer.Exit(1)


def _trial(name: str, seed: int) -> Trial:
    with progress(f"Checking {name}", CASES) as advance:
        return run_trial(name, lambda: make_learner(name), seed, on_progress=advance)


def _findings(trials: Sequence[Trial]) -> None:
    for trial in trials:
        rows = [(one.name, "held" if one.held else "FAILED") for one in trial.properties]
        table(("property", "finding"), rows)
        for one in trial.properties:
            if not one.held:
                line(f"{one.name}: {one.statement} But in {one.problem}")
        verdict = "conforms" if trial.held else "does not conform"
        line(f"{trial.policy} {verdict}, in {trial.situations} situations")


def _text(runs: Sequence[tuple[str, Simulation]]) -> None:
    for name, result in runs:
        rows = [
            (f"{point.rounds:,}", f"{point.captured:.3f}", f"{point.regret:,.1f}")
            for point in result.curve[1:]
        ]
        table(("rounds", "captured", "regret"), rows)
        line(
            f"{name} captured {result.captured:.3f} of the way from chance to the best "
            f"({result.captured_last_tenth:.3f} in the last tenth), at "
            f"{result.rounds_per_second:,.0f} rounds a second"
        )
