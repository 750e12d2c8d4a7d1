"""The report is one safe file that shows what may be shown and withholds what was refused."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from replay.estimate import Estimate
from replay.report import render_report, write_report
from replay.report_data import PolicyRow, ReportData, Unit
from replay.svg import COLOURS
from replay.verdict import Verdict
from tests.replay.reports import HOSTILE, REFUSAL, estimate, report_data, without

VOID = {"meta", "link", "br", "img", "hr"}


class Outline(HTMLParser):
    """Elements, attributes and text of a page; fails on elements that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        assert self._open, tag
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text that people see."""
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    def values(self, name: str) -> list[str]:
        """Values of an attribute, in order."""
        return [value or "" for key, value in self.attributes if key == name]

    @property
    def text(self) -> str:
        """All visible text."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page() -> str:
    """A full report."""
    return render_report(report_data())


def test_it_needs_no_network_and_no_script(page: str) -> None:
    """Nothing is loaded from anywhere, no script stands in it, and its policy forbids both."""
    outline = Outline(page)
    assert "script" not in outline.tags
    links = outline.values("href") + outline.values("xlink:href") + outline.values("src")
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page


def test_names_are_only_ever_text(page: str) -> None:
    """A policy's name that looks like markup is shown letter for letter, in plots as well."""
    assert "<script" not in page
    assert HOSTILE in Outline(page).text
    assert "&lt;script&gt;alert" in page[page.index("<svg") : page.index("</svg>")]


def test_every_id_is_unique_and_every_reference_has_one(page: str) -> None:
    """Four drawings share one page without sharing ids."""
    outline = Outline(page)
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    wanted = {link[1:] for link in outline.values("xlink:href")}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", page))
    for label in outline.values("aria-labelledby"):
        wanted |= set(label.split())
    assert wanted <= set(ids)


def test_colours_come_from_the_page(page: str) -> None:
    """No colour is fixed in a drawing, so that dark pages are dark throughout."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", drawings)
    for variable in set(re.findall(r"var\(--([a-z0-9-]+)\)", drawings)):
        assert variable in COLOURS
        assert page.count(f"--{variable}:") == 2, f"{variable} for light and for dark"


def test_every_drawing_is_described(page: str) -> None:
    """Those who cannot see a drawing get its title and its numbers in words."""
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 7
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert re.search(r"<title[^>]*>.+?</title>", drawing)
        assert re.search(r"<desc[^>]*>.+?</desc>", drawing)
    assert "always mens: 18.25%" in page


def test_headings_descend_step_by_step(page: str) -> None:
    """One first heading, and no level is skipped."""
    levels = [int(tag[1]) for tag in Outline(page).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_refused_policy_shows_reasons_and_no_number(page: str) -> None:
    """Neither value, interval nor difference of a refused policy is anywhere in the file."""
    drawn = re.compile(r' (?:d|x|y|width|height|points|transform)="[^"]*"')
    said = drawn.sub("", page)  # coordinates of other things may have the same digits
    assert "77.8" not in said
    assert "0.77777" not in said
    assert "63.0" not in said
    text = Outline(page).text
    assert REFUSAL in text
    assert "no estimate" in text


def test_what_was_found_is_there(page: str) -> None:
    """Headlines, values with intervals, differences, ledger and verification are in the text."""
    text = Outline(page).text
    for sentence in report_data().headlines:
        assert sentence in text
    for found in ("18.38%", "17.71% to 19.05%", "+3.70 pp", "balanced", "Joined 4,502"):
        assert found in text
    assert "−0.17 pp (−1.01 to +0.67 pp" in text
    assert "no more than chance allows" in text
    # A difference that stands among all comparisons, and one that stands only by itself.
    assert "all at once: +2.90 to +4.50 pp better, all at once too" in text
    assert "all at once: −0.3 to +4.7 pp better, but not all at once" in text
    assert "With 5 policies some differences look real by luck" in text
    assert "in about 95% of logs, all 5 hold together" in text
    assert "20 November 2026, 14:05 UTC" in text


def test_it_says_when_a_prediction_failed() -> None:
    """A realised value that differs beyond both errors is said to."""
    data = report_data()
    assert data.prediction is not None
    missed = replace(data.prediction, realised=estimate(0.15, 0.001))
    text = Outline(render_report(replace(data, prediction=missed))).text
    assert ": more than chance allows" in text


def test_a_mismatch_is_shown() -> None:
    """An unbalanced ledger and a mismatched probability are called so."""
    data = report_data()
    assert data.ledger is not None
    assert data.verify is not None
    worse = replace(
        data,
        ledger=replace(data.ledger, balanced=False),
        verify=replace(data.verify, mismatched=3, exact=63_997),
    )
    text = Outline(render_report(worse)).text
    assert "not balanced" in text
    assert "mismatch" in text


def test_numbers_without_a_unit_of_rate() -> None:
    """Where the reward is a number nothing is in percent but the confidence level."""
    (row, *_) = report_data().policies
    weightless = replace(
        without(report_data()), unit=Unit.NUMBER, policies=(replace(row, weights=None),)
    )
    text = Outline(render_report(weightless)).text.replace("95%", "")
    assert "%" not in text
    assert "0.1468" in text


def test_the_least_report_is_a_report() -> None:
    """Whatever is absent is left out without a trace or an error."""
    page = render_report(without(report_data()))
    assert "<svg" not in page
    assert "None" not in Outline(page).text


@pytest.mark.parametrize(
    "estimate_",
    [Estimate(0.2, (-float("inf"), float("inf")), ""), Estimate(0.0, (0.0, 0.0), ""), None],
    ids=["unknown", "no width", "none"],
)
def test_strange_estimates_can_be_drawn(estimate_: Estimate | None) -> None:
    """Intervals without end or width, and policies without estimate, make a page all the same."""
    row = PolicyRow("only", 1, estimate_, 1.0, Verdict.WARN)
    data = replace(without(report_data()), policies=(row,), logging=estimate(0.0, 0.0))
    outline = Outline(render_report(data))
    assert "svg" in outline.tags
    assert "nan" not in outline.text


def test_the_same_data_make_the_same_file(page: str) -> None:
    """Nothing random and no clock is in the file."""
    assert render_report(report_data()) == page


def test_the_file_is_written_whole(tmp_path: Path, page: str) -> None:
    """The file replaces an older one and leaves nothing beside it."""
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(report_data(), path)
    assert path.read_text(encoding="utf-8") == page
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_report_leaves_the_old_file(tmp_path: Path) -> None:
    """Data that cannot be rendered do not touch what is there."""
    path = tmp_path / "report.html"
    path.write_text("old")
    broken: ReportData = replace(report_data(), generated_at=None)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        write_report(broken, path)
    assert path.read_text() == "old"


def test_what_happened_is_shown_by_group() -> None:
    """Tables of metrics with their stars, the log's faults, delays and reliability in words."""
    text = render_report(report_data())
    for words in (
        "By arm",
        "By hour",
        "What is wrong with the log",
        "When rewards come",
        "The reward model: lightgbm",
        "41 came later",
        "1,234.50",
        "★",
    ):
        assert words in text
    assert "revenue per subject" in text
    assert "precision@3" not in text  # left to JSON
