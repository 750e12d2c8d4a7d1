"""The reference tables are complete: keys, defaults, ranges, mistakes, reasons, options."""

import json
import re
from collections import defaultdict

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from benchmarks import size
from cli.app import app
from decisionlog.contacts import STANDING_DAYS, STANDING_LENGTH_MAX
from policy.catalog import CHANNELS_MAX, OFFERS_MAX, WINDOWS_MAX, parse_catalog
from policy.catalog_fields import Name
from policy.errors import CatalogError
from policy.features import CATEGORY_BYTES_MAX, FEATURES_MAX, NAME_BYTES_MAX, NUMBER_MAX
from policy.request import AHEAD_DAYS_MAX
from replay.estimators import ESTIMATORS
from replay.simulator.trial import STATEMENTS
from replay.verdict import (
    ESS_REFUSE,
    ESS_WARN,
    MEAN_GAP_REFUSE,
    MEAN_GAP_WARN,
    MEAN_Z_REFUSE,
    MEAN_Z_WARN,
    SHARE_REFUSE,
    SHARE_WARN,
    UNSUPPORTED_REFUSE,
    UNSUPPORTED_WARN,
)
from server.converters import (
    DETAIL_BYTES_MAX,
    ID_BYTES_MAX,
    LIST_MAX,
    OFFER_FEATURES_MAX,
    SUBJECT_BYTES_MAX,
)
from server.servicers import BATCH_MAX
from server.telemetry.metrics import Metrics
from server.worker import MESSAGE_BYTES_MAX
from tests.docs.catalogs import (
    TOP,
    header_of,
    limits_of,
    models,
    sections_of,
    with_line,
)
from tests.docs.documents import ROOT, code_of, document

CATALOG = document("docs/catalog.md")
OPERATIONS = document("docs/operations.md")
EVALUATION = document("docs/evaluation.md")
README = document("README.md")
SMALLEST = CATALOG.fences("toml")[0].text
SECTIONS = dict(models())
FIELDS = [
    (heading, field.alias or name, field)
    for heading, model in SECTIONS.items()
    for name, field in model.model_fields.items()
]
LIMITS = [
    (heading, name, limit) for heading, name, field in FIELDS for limit in sorted(limits_of(field))
]
MISTAKES = [
    (heading, *map(code_of, row)) for heading in SECTIONS for row in CATALOG.tables(heading)[1]
]


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_the_catalog_is_documented(heading: str) -> None:
    """A section lists the keys of its table, all of them, no others, in their order."""
    keys = [code_of(row[0]) for row in CATALOG.tables(heading)[0]]
    assert keys == [name for section, name, _ in FIELDS if section == heading]


def test_no_section_is_about_a_table_that_is_not_there() -> None:
    """The sections of tables are those of the models, in their order."""
    headings = re.findall(r"^## (`\[.*)$", CATALOG.prose, re.MULTILINE)
    assert sorted(headings) == sorted(set(SECTIONS) - {TOP})


@pytest.mark.parametrize(("heading", "name", "field"), FIELDS)
def test_defaults_are_the_documented_ones(heading: str, name: str, field: FieldInfo) -> None:
    """The default of a key is what the reference says."""
    documented = _row(heading, name)[2]
    if field.is_required():
        assert documented == "required"
    elif isinstance(field.default, BaseModel):
        assert documented == "as below"
    elif field.default in (None, (), PydanticUndefined):
        assert documented == "none"
    elif isinstance(field.default, str | tuple):
        assert documented == f"`{json.dumps(field.default)}`"
    else:
        assert documented == f"`{field.default}`"


@pytest.mark.parametrize(("heading", "name", "limit"), LIMITS)
def test_ranges_are_the_documented_ones(heading: str, name: str, limit: str) -> None:
    """Every limit on a key, and every word it may be, stands in its row."""
    row = " ".join(_row(heading, name)[3:])
    assert re.search(rf"(?<![\d.,]){re.escape(limit)}(?![\d.])", row)


def test_lengths_of_names_and_features_are_the_documented_ones() -> None:
    """The reference says how long names and texts may be, and how many features there may be."""
    (rule,) = Name.__metadata__  # type: ignore[attr-defined]
    (text,) = re.findall(
        r"^## Names and features$(.*?)^## ", CATALOG.prose, re.MULTILINE | re.DOTALL
    )
    plain = " ".join(text.split())
    assert f"have 1 to {rule.max_length} characters" in plain
    assert f"Up to {FEATURES_MAX} of them; names of 1 to {NAME_BYTES_MAX} bytes" in plain
    assert f"texts of 1 to {CATEGORY_BYTES_MAX} bytes" in plain
    assert f"at most {NUMBER_MAX:.0e} in size".replace("e+0", "e") in plain


@pytest.mark.parametrize(("heading", "mistake", "answer"), MISTAKES)
def test_mistakes_are_answered_as_documented(heading: str, mistake: str, answer: str) -> None:
    """A mistake of the reference gets the answer that the reference shows."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(with_line(SMALLEST, header_of(heading), mistake))
    assert answer in [f"{problem.place}: {problem.text}" for problem in caught.value.problems]


@pytest.mark.parametrize("fragment", [fence.text for fence in CATALOG.fences("toml")[2:]])
def test_examples_of_tables_are_valid(fragment: str) -> None:
    """The example of every table makes the smallest catalog another valid one."""
    text = SMALLEST
    tables, brackets, lists_of_tables = fragment.partition("[[")
    for header, lines in sections_of(tables).items():
        for line in lines or [""]:
            text = with_line(text, header, line)
    text += f"\n{brackets}{lists_of_tables}"
    assert parse_catalog(text).version != parse_catalog(SMALLEST).version


def test_every_table_has_an_example() -> None:
    """There is an example for each table of the catalog."""
    examples = "".join(fence.text for fence in CATALOG.fences("toml"))
    for heading in set(SECTIONS) - {TOP}:
        header = re.escape(header_of(heading)).replace(r"channels\.email", r"channels\.\w+")
        assert re.search(rf"^\[{header}\]", examples, re.MULTILINE), heading


def test_every_error_reason_is_documented_with_its_code() -> None:
    """The table of errors names every reason and the code that the proto file states."""
    proto = (ROOT / "proto/sendwise/v1/error_reason.proto").read_text(encoding="utf-8")
    stated = re.findall(r"Code: (\w+)\.(?:(?!Code:).)*?ERROR_REASON_(\w+) = ", proto, re.DOTALL)
    reasons = re.findall(r"ERROR_REASON_(\w+) = [1-9]", proto)
    rows = OPERATIONS.tables("What to do on each error")[0]
    assert [(row[1], code_of(row[0])) for row in rows] == stated
    assert [code_of(row[0]) for row in rows] == reasons


def test_limits_are_the_documented_ones() -> None:
    """The table of limits has the numbers that the program checks, row by row."""
    numbers = [
        (MESSAGE_BYTES_MAX // 2**20,),
        (BATCH_MAX,),
        (SUBJECT_BYTES_MAX,),
        (ID_BYTES_MAX,),
        (FEATURES_MAX, NAME_BYTES_MAX, CATEGORY_BYTES_MAX),
        (LIST_MAX,),
        (OFFER_FEATURES_MAX,),
        (AHEAD_DAYS_MAX,),
        (DETAIL_BYTES_MAX,),
        (OFFERS_MAX, CHANNELS_MAX, WINDOWS_MAX),
    ]
    for row, limits in zip(OPERATIONS.tables("Limits")[0], numbers, strict=True):
        assert {f"{limit:,}" for limit in limits} <= set(re.findall(r"\d[\d,]*\d", row[1]))


def test_bounds_of_standings_are_the_documented_ones() -> None:
    """Operations say how many contacts of a subject are kept, and for how long."""
    plain = " ".join(OPERATIONS.prose.split())
    kept = f"{STANDING_LENGTH_MAX:,}"
    assert f"at most {kept} contacts and {kept} responses are kept" in plain
    assert f"more than {STANDING_DAYS} days before the subject's newest decision" in plain


def test_every_option_of_serve_is_documented() -> None:
    """The table of options names all options of `sendwise serve`."""
    rows = OPERATIONS.tables("Serve")[0]
    options = [option for row in rows for option in re.findall(r"`(--[\w-]+)`", row[0])]
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    assert sorted(options) == sorted(one.opts[0] for one in serve.params)


def test_costs_are_told_for_every_size() -> None:
    """The table of costs has the sizes and the columns of the benchmark that makes it."""
    lines = re.findall(r"^\|.*\|$", size.table(defaultdict(float)), re.MULTILINE)
    columns = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert f"| {' | '.join(columns[0])} |" in OPERATIONS.prose
    rows = OPERATIONS.tables("Cost against size")[0]
    assert [row[0] for row in rows] == [row[0] for row in columns[2:]]
    assert {len(row) for row in rows} == {len(columns[0])}


def test_every_property_of_policies_is_documented() -> None:
    """The table of properties has what the conformance kit checks, in its words and order."""
    rows = EVALUATION.tables("A policy of your own")[0]
    assert [(code_of(name), statement) for name, statement in rows] == [*STATEMENTS.items()]


def test_every_command_is_in_the_readme() -> None:
    """The table of commands names all of them."""
    rows = README.tables("The commands in short")[0]
    names = [code_of(row[0]).split()[1] for row in rows]
    group = typer.main.get_command(app)
    assert sorted(names) == sorted(group.commands)  # type: ignore[attr-defined]


def test_every_metric_is_documented() -> None:
    """The table of series names all that is counted and timed, with its labels."""
    rows = {code_of(row[0]): row[1] for row in OPERATIONS.tables("Metrics and traces")[0]}
    metrics = Metrics()
    measures = [histogram.measure for histogram in metrics.histograms]
    for measure in (*measures, metrics.decisions.measure):
        (labels,) = [
            found for name, found in rows.items() if name.startswith(measure.name.replace(".", "_"))
        ]
        assert re.findall(r"`(\w+)`", labels) == [
            name.replace(".", "_") for name in measure.label_names
        ]


def test_every_estimator_is_documented() -> None:
    """The table of estimators names all of them, with the columns that they need."""
    rows = EVALUATION.tables("Estimators")[0]
    documented = {code_of(row[0]): tuple(re.findall(r"`(\w+)`", row[2])) for row in rows}
    assert documented == {name: kind.needs for name, kind in ESTIMATORS.items()}


@pytest.mark.parametrize(
    ("row", "warn", "refuse"),
    [
        (0, f"below {ESS_WARN:.0f}", f"below {ESS_REFUSE:.0f}"),
        (1, f"above {SHARE_WARN:.0%}", f"above {SHARE_REFUSE:.0%}"),
        (
            2,
            f"{MEAN_Z_WARN:.0f} standard errors *and* {MEAN_GAP_WARN:.0%} off",
            f"{MEAN_Z_REFUSE:.0f} standard errors *and* {MEAN_GAP_REFUSE:.0%} off",
        ),
        (3, f"above {UNSUPPORTED_WARN:.1%}", f"above {UNSUPPORTED_REFUSE:.0%}"),
    ],
)
def test_thresholds_are_the_documented_ones(row: int, warn: str, refuse: str) -> None:
    """The table of verdicts has the thresholds that the rules use."""
    assert EVALUATION.tables("Verdicts")[0][row][1:3] == [warn, refuse]


def test_debian_packages_are_the_ones_that_are_installed() -> None:
    """The README names the packages that `make system` installs."""
    script = (ROOT / "tools/system_packages").read_text(encoding="utf-8")
    listed = re.search(r"<<'LIST'\n(.*?)^LIST", script, re.MULTILINE | re.DOTALL)
    assert listed is not None
    installed = {line.split()[1] for line in listed[1].splitlines()}
    (rows,) = README.tables("Sendwise")
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])} == installed


def test_every_decision_record_is_listed() -> None:
    """The index of decision records links to each of them."""
    index = document("docs/decisions/README.md")
    records = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert set(index.links()) == records


def _row(heading: str, name: str) -> list[str]:
    rows = CATALOG.tables(heading)[0]
    return next(row for row in rows if code_of(row[0]) == name)
