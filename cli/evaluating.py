"""`sendwise evaluate` and `report`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.intervals import (
    Cluster,
    Interval,
    Level,
    MaxWeight,
    RewardBounds,
    against_logging,
    comparison_json,
    interval_settings,
)
from cli.opening import Scope, now, releases, source
from cli.options import (
    DEFAULT_DATA_DIR,
    AsOf,
    CatalogFile,
    DataDir,
    Format,
    OutputFormat,
    Processes,
    Since,
    Until,
    UntilId,
)
from cli.output import line, progress, show, table
from cli.together import refuse_useless
from replay.dsjson import DsjsonPlan, evaluate_dsjson
from replay.dsjson.evaluate import DEFAULT_TARGETS
from replay.dsjson.targets import FORMS
from replay.estimate import DEFAULT_LEVEL, Estimate, optional_json
from replay.estimators import ESTIMATORS, choose_estimators
from replay.evaluation import (
    EvaluationResult,
    evaluate_table,
)
from replay.formats import level as percent
from replay.intervals.quantiles import check_level
from replay.intervals.settings import Method
from replay.join import Left
from replay.log_evaluation import LOGGING, Unusable
from replay.log_plan import LogEvaluation, evaluate_source
from replay.predictions import Predictions
from replay.report_data import ReportData
from replay.reward_models import MODELS, CrossFitted, RewardModelPlan, fit
from replay.reward_models.crossfit import FOLDS
from replay.reward_models.names import Model
from replay.source import Source
from replay.stages import STAGE_PROBABILITIES, STAGE_VALUES
from replay.summary import READINGS, Subject, default_policies, report_facts, summarise
from replay.table_report import summarise_table

Estimators = Annotated[
    list[str] | None,
    typer.Option(
        "--estimator",
        help="Name of an estimator; may be repeated. `all`: every one whose columns are there.",
    ),
]


ON_TABLES = frozenset(
    {
        "file",
        "estimator",
        "interval",
        "level",
        "cluster",
        "bounds",
        "max_weight",
        "processes",
        "form",
    }
)
"""Options of `evaluate` that say something of a table; it names no policies, models or moments."""
ON_DSJSON = ON_TABLES - {"file", "processes"} | {"dsjson", "policy"}
"""Those that say something of others' logs."""
ON_TABLE_REPORTS = frozenset({"file", "out", "form"})


def evaluate(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A version, `uniform`, `fixed/OFFER[/CHANNEL]`, `logging`, or module:Class for a "
            "class of your own; may be repeated.",
            show_default="the champion",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--table", help="Evaluate a table (Parquet or CSV: reward, p_log, p_target, …) instead."
        ),
    ] = None,
    dsjson: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate a log of Vowpal Wabbit, Personalizer or their like instead: a file or a "
            f"directory of JSON lines, packed by gzip or not. Policies are {FORMS}."
        ),
    ] = None,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    made_by: Annotated[
        str | None, typer.Option(help="Only decisions that this policy version made.")
    ] = None,
    estimator: Estimators = None,
    reward_model: Annotated[
        str | None,
        typer.Option(
            help=f"What dm, dr and their like foresee rewards by: {', '.join(MODELS)}. Each "
            "subject is scored by a model that has not learned from it.",
            show_default="chain, if an estimator needs one",
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Parts of the subjects to fit reward models for.", min=2, max=20)
    ] = FOLDS,
    interval: Interval = Method.SKEW,
    level: Level = DEFAULT_LEVEL,
    cluster: Cluster = None,
    bounds: RewardBounds = None,
    max_weight: MaxWeight = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Say what policies would have earned, and how sure that is."""
    check_level(level)
    intervals = interval_settings(interval, clustered=cluster, bounds=bounds, max_weight=max_weight)
    if file is not None:
        refuse_useless(context, "--table", ON_TABLES)
        with progress("Reading", 1000) as advance:
            found = evaluate_table(
                file,
                estimator,
                _share_of(advance),
                level=level,
                intervals=intervals,
                processes=processes,
            )
        show(found.to_json(), form, lambda: _show_results({file.name: found}))
        return
    if dsjson is not None:
        refuse_useless(context, "--dsjson", ON_DSJSON)
        plan = DsjsonPlan(
            tuple(dict.fromkeys(policy or DEFAULT_TARGETS)),
            choose_estimators(estimator, ()),
            intervals,
            level,
        )
        _evaluate_dsjson(dsjson, plan, form)
        return
    scope = Scope(catalog, as_of, since, until, made_by, until_id)
    chosen = policy or [releases(data).present().champion]
    names = _estimators(estimator, reward_model)
    with source(data, scope) as opened:
        model = _fitted(opened, _model_for(names, reward_model), folds)
        with progress("Evaluating", opened.size) as advance:
            results = evaluate_source(
                opened,
                chosen,
                names,
                level,
                reward_model=model,
                intervals=intervals,
                processes=processes,
                on_progress=advance,
            )

    def text() -> None:
        _show_results({name: results.policies[name].result for name in chosen})
        for name in chosen:
            if name != LOGGING:
                line(against_logging(name, results.policies[name]))
            if unusable := results.policies[name].unusable:
                line(f"{name}: interactions that cannot speak for it: {_in_words(unusable)}")
        if results.left:
            line(f"decisions left out: {_in_words(results.left)}")

    show(_as_json(results, chosen), form, text)


def report(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    data: DataDir = DEFAULT_DATA_DIR,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    file: Annotated[
        Path | None,
        typer.Option("--table", help="Report on a table (Parquet or CSV, as `evaluate`) instead."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A version to evaluate; may be repeated.",
            show_default="uniform, every fixed offer, the champion",
        ),
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(
            help="A feature of the request for the tables of metrics; may be repeated.",
            show_default="some with a few values",
        ),
    ] = None,
    reward_model: Annotated[
        str | None,
        typer.Option(
            help=f"Show doubly robust values, with one of {', '.join(MODELS)}, and how well it "
            "foresaw."
        ),
    ] = None,
    catalog: CatalogFile = None,
    as_of: AsOf = None,
    since: Since = None,
    until: Until = None,
    until_id: UntilId = None,
    processes: Processes = None,
    form: OutputFormat = Format.TEXT,
) -> None:
    """Write all findings to one HTML file.

    Policies, prediction against what came true, course, metrics, verification; and the ledger,
    which is always of the whole log.
    """
    # Drawing takes a second to import, which no other command should have to wait for.
    from replay.report import write_report  # noqa: PLC0415

    if file is not None:
        refuse_useless(context, "--table", ON_TABLE_REPORTS)
        with progress("Reading", 1000) as advance:
            of_table = summarise_table(file, now(), _share_of(advance))
        write_report(of_table, out)
        _show_report(of_table, out, form)
        return

    champion = releases(data).present().champion
    with source(data, Scope(catalog, as_of, since, until, until_id=until_id)) as found:
        subject = Subject(
            title=found.catalog.name,
            champion=champion,
            predicted=Predictions(data).read(champion),
            policies=policy or default_policies(found.catalog, champion),
            reward_model=_fitted(found, reward_model, FOLDS),
            segments=None if segment is None else tuple(dict.fromkeys(segment)),
        )
        with progress("Reporting", READINGS * found.size) as advance:
            gathered = summarise(found, subject, now(), advance, processes=processes)
    write_report(gathered, out)
    _show_report(gathered, out, form)


def _show_report(data: ReportData, out: Path, form: Format) -> None:
    facts = {"report": str(out), **report_facts(data)}
    show(facts, form, lambda: line("\n".join([*data.headlines, f"see {out}"])))


def _evaluate_dsjson(path: Path, plan: DsjsonPlan, form: Format) -> None:
    with progress("Reading", 1000) as advance:
        found = evaluate_dsjson(path, plan, _share_of(advance))

    def text() -> None:
        _show_results(found.policies)
        for reason, damage in found.left.damaged.items():
            named = ", ".join(damage.named)
            line(f"{damage.count:,} lines left out, since the line {reason}: {named}")
        if found.left.unlabelled:
            line(f"{found.left.unlabelled:,} lines are no decisions with an outcome")

    results = {name: one.to_json() for name, one in found.policies.items()}
    several = next(iter(results.values())) if len(results) == 1 else {"policies": results}
    facts = {"lines": found.lines, "log": {"draws": found.draws}, "left_out": found.left_json()}
    show({**several, **facts}, form, text)


def _estimators(asked: Sequence[str] | None, reward_model: str | None) -> Sequence[str]:
    """Those that were asked for; with a reward model those that use it as well."""
    if reward_model is None:
        return choose_estimators(asked, STAGE_PROBABILITIES)
    stages = STAGE_VALUES if reward_model == Model.CHAIN else ()
    columns = (*STAGE_PROBABILITIES, "q_logged", "v_target", *stages)
    return choose_estimators(asked, columns)


def _model_for(estimators: Sequence[str], asked: str | None) -> str | None:
    """The chain, if nobody says which, and one of the estimators cannot do without."""
    needed = any(
        {"q_logged", "v_target", *STAGE_VALUES} & set(ESTIMATORS[name].needs)
        for name in estimators
        if name in ESTIMATORS
    )
    return asked or (Model.CHAIN.value if needed else None)


def _fitted(opened: Source, name: str | None, folds: int) -> CrossFitted | None:
    if name is None:
        return None
    plan = RewardModelPlan(name, folds)
    with progress(f"Fitting {name}", plan.readings * opened.size) as advance:
        return fit(opened, plan, advance)


def _as_json(results: LogEvaluation, chosen: Sequence[str]) -> Mapping[str, Any]:
    """One policy's result as it is, several by name."""
    found = {
        name: {
            **results.policies[name].result.to_json(),
            "difference": optional_json(results.policies[name].difference),
            "comparison": comparison_json(results.policies[name]),
            "unusable": _counts(results.policies[name].unusable),
        }
        for name in chosen
    }
    several = next(iter(found.values())) if len(found) == 1 else {"policies": found}
    model = results.reward_model
    facts = {} if model is None else {"reward_model": model.to_json()}
    return {**several, **facts, "log": results.log.facts, "left_out": _counts(results.left)}


def _counts(counts: Mapping[Left, int] | Mapping[Unusable, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in counts.items()}


def _in_words(counts: Mapping[Left, int] | Mapping[Unusable, int]) -> str:
    return ", ".join(
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in _counts(counts).items()
    )


def _show_results(results: Mapping[str, EvaluationResult]) -> None:
    rows = []
    (level,) = {found.level for found in results.values()}
    for name, found in results.items():
        for estimator in found.estimates:
            estimate = found.headline(estimator)
            shown = (
                ("refused", "") if estimate is None else (f"{estimate.value:.6g}", _span(estimate))
            )
            rows.append(
                (
                    name,
                    estimator + _chosen(estimate),
                    *shown,
                    f"{found.n:,}",
                    f"{found.weights_of(estimator).ess:,.0f}",
                )
            )
    table(("policy", "estimator", "value", f"{percent(level)} interval", "n", "ess"), rows)
    for name, found in results.items():
        for reason in found.diagnosis.reasons:
            line(f"{name}: {found.verdict.value}: {reason}")


def _chosen(estimate: Estimate | None) -> str:
    """What an estimator chose from the data, in brackets; mostly nothing."""
    parameters = {} if estimate is None else estimate.parameters
    words = ", ".join(f"{name} {value:.4g}" for name, value in parameters.items())
    return f" ({words})" if words else ""


def _span(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{low:.6g} to {high:.6g}"


def _share_of(advance: Callable[[int], None]) -> Callable[[int, float], None]:
    """Turns the share of a table that was read into steps of a thousand."""
    shown = 0

    def moved(_rows: int, share: float) -> None:
        nonlocal shown
        steps = int(share * 1000)
        advance(steps - shown)
        shown = steps

    return moved
