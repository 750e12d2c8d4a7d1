"""The documents say what is so: commands, links, blocks and programs are tried."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.app import app
from policy.catalog import parse_catalog
from policy.errors import CatalogError
from tests.docs.documents import ROOT, Command, Document, document, documents

README = document("README.md")
ALL = pytest.mark.parametrize("page", documents(), ids=str)
TRIED = [
    (page, command)
    for page in documents()
    for command in page.commands("sendwise")
    if command.output and set(command.words) & {"check", "--check", "--table"}
]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a real server on the demo's catalog."""
    options = ["--catalog", "examples/hillstrom/catalog.toml", "--port", "0", "--workers", "1"]
    command = [*_sendwise(), "serve", "--data", str(tmp_path / "data"), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        yield line.split()[3]
        server.terminate()
        assert server.wait() == 0


@ALL
def test_commands_exist_with_their_options(page: Document) -> None:
    """Every `sendwise` command that a document shows is one that the command line takes."""
    for command in page.commands("sendwise"):
        _parse(command.words[1:])


@ALL
def test_commands_in_sentences_exist(page: Document) -> None:
    """So is every one that stands in a sentence or a table."""
    for code in page.inline():
        if re.match(r"sendwise [a-z]", code):
            _parse(code.split()[1:2] if len(code.split()) == 2 else code.split()[1:])


@ALL
def test_make_targets_exist(page: Document) -> None:
    """Every `make` command that a document shows has its target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    shown = [list(command.words[1:]) for command in page.commands("make")]
    shown += [shlex.split(code)[1:] for code in page.inline() if code.startswith("make ")]
    for words in shown:
        assert {word for word in words if "=" not in word and word.islower()} <= targets


@ALL
def test_links_lead_somewhere(page: Document) -> None:
    """Links to files and to their headings resolve."""
    for link in page.links():
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), link
        assert not anchor or anchor in Document(target).anchors(), link


@ALL
def test_files_that_are_named_exist(page: Document) -> None:
    """What is named like a path of the repository is one."""
    top = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"demo"}
    for code in page.inline():
        if re.fullmatch(r"[\w.]+(/[\w.]+)+", code) and code.split("/")[0] in top:
            assert (ROOT / code).exists(), code


@ALL
def test_blocks_of_data_are_well_formed(page: Document) -> None:
    """JSON blocks parse; whole catalogs are valid, or wrong where the document says so."""
    for fence in page.fences("json"):
        json.loads(fence.text)
    for fence in page.fences("toml"):
        if fence.info == "toml wrong":
            with pytest.raises(CatalogError):
                parse_catalog(fence.text)
        elif "schema = " in fence.text:
            parse_catalog(fence.text)


@pytest.mark.parametrize(("page", "command"), TRIED, ids=str)
def test_shown_output_is_what_is_printed(page: Document, command: Command, tmp_path: Path) -> None:
    """Commands on files that the document itself shows print what it shows."""
    for fence in [one for kind in ("csv", "python", "toml") for one in page.fences(kind)]:
        if fence.saved_as:
            (tmp_path / fence.saved_as).write_text(fence.text, encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert _printed(command, tmp_path) == command.output


def test_json_output_is_what_is_printed(tmp_path: Path) -> None:
    """The JSON of the evaluation guide is that of the command above it."""
    page = document("docs/evaluation.md")
    (table,) = page.fences("csv")
    (shown,) = page.fences("json")
    (tmp_path / "shop.csv").write_text(table.text, encoding="utf-8")
    (command,) = [one for one in page.commands("sendwise") if "shop.csv" in one.words]
    assert json.loads(_printed(command, tmp_path)) == json.loads(shown.text)


def test_readme_shows_the_client() -> None:
    """The README's Python is `examples/client.py`, to the letter, in ten lines and imports."""
    (shown,) = README.fences("python")
    assert shown.text == (ROOT / "examples/client.py").read_text(encoding="utf-8")
    body = shown.text.split("import FeedbackServiceStub\n")[1]
    assert len([line for line in body.splitlines() if line]) == 10


def test_client_runs(address: str) -> None:
    """The client gets a choice and is heard; run again, it is recognised."""
    client = [sys.executable, "examples/client.py", address]
    first, second = (subprocess.check_output(client, cwd=ROOT, text=True) for _ in range(2))
    assert "action_probability: 0.3333" in first
    assert first.count("REPORT_OUTCOME_ACCEPTED") == 2
    assert "repeated: true" in second
    assert second.count("REPORT_OUTCOME_REPEATED") == 2


def test_pictures_are_small() -> None:
    """A picture of the README loads quickly: under 200 KB each."""
    pictures = [link for link in README.links() if link.endswith((".png", ".svg"))]
    assert len(pictures) == 2
    assert all((ROOT / picture).stat().st_size < 200_000 for picture in pictures)


def test_readme_shows_the_demo_as_it_prints() -> None:
    """The table of the README has the rows that the demo prints."""
    demo = (ROOT / "examples/hillstrom/demo.py").read_text(encoding="utf-8")
    (shown, _) = README.fences("text")
    titles = re.findall(r"^(.*?)  +\d+\.\d\d%", shown.text, re.MULTILINE)
    assert titles[-2:] == ["trained, predicted", "trained, realised"]
    assert all(f"'{title}'" in demo for title in titles[-2:])


def _sendwise() -> list[str]:
    return [str(Path(sys.executable).with_name("sendwise"))]


def _parse(words: tuple[str, ...] | list[str]) -> None:
    """Has the command line read a command without running it."""
    name, *options = words
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    takes_more = any(one.param_type_name == "argument" for one in command.params)
    if options or not takes_more:
        command.make_context(name, list(options))


def _printed(command: Command, directory: Path) -> str:
    """All that a command prints."""
    words = [*_sendwise(), *command.words[1:]]
    # A path for the imports of a checkout that is not the installed one.
    variables = {**os.environ, "COLUMNS": "200"}
    result = subprocess.run(
        words,
        cwd=directory,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout
