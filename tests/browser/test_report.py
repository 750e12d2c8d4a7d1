"""The report looks right in a real browser: light and dark, on a phone and on a desktop."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.report import write_report
from tests.browser.devtools import Page, browser_page
from tests.programs import require_program
from tests.replay.reports import report_data

VIEWPORTS = {"phone": (360, 780), "desktop": (1280, 900)}
BOTH_WAYS = pytest.mark.parametrize("scheme", ["light", "dark"])
EVERY_SIZE = pytest.mark.parametrize("device", VIEWPORTS)

# Contrast as the Web Content Accessibility Guidelines 2.1 define it, for every text on the page.
CONTRASTS = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = parts(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest('title, desc')) continue;
    const style = getComputedStyle(element);
    const colour = element.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(parts(colour)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${element.textContent.slice(0, 40)}`);
  }
  return faint;
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a headless browser."""
    with browser_page(require_program("chromium"), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A full report on disk."""
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(report_data(), path)
    return path.as_uri()


def show(page: Page, url: str, device: str, scheme: str) -> None:
    """Open the report on a device in a colour scheme."""
    page.problems.clear()
    page.emulate(*VIEWPORTS[device], scheme)
    page.open(url)
    # What is folded away must fit as well.
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


@EVERY_SIZE
@BOTH_WAYS
def test_the_console_stays_silent(page: Page, url: str, device: str, scheme: str) -> None:
    """No error, no warning, no blocked or failed load."""
    show(page, url, device, scheme)
    assert page.problems == []


@EVERY_SIZE
@BOTH_WAYS
def test_the_page_fits_its_width(page: Page, url: str, device: str, scheme: str) -> None:
    """Nothing sticks out to the side, and no drawing is larger than its box."""
    show(page, url, device, scheme)
    width = VIEWPORTS[device][0]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    widest = "Math.max(...[...document.querySelectorAll('svg')].map(e => e.clientWidth))"
    assert 200 < page.evaluate(widest) < width


@EVERY_SIZE
@BOTH_WAYS
def test_all_text_has_contrast(page: Page, url: str, device: str, scheme: str) -> None:
    """Every text, in drawings too, has a contrast of 4.5 to 1 against what is behind it."""
    show(page, url, device, scheme)
    assert page.evaluate(CONTRASTS) == []


@EVERY_SIZE
def test_schemes_really_differ(page: Page, url: str, device: str) -> None:
    """Light is light and dark is dark."""
    grounds = []
    for scheme in ("light", "dark"):
        show(page, url, device, scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds.append(sum(int(part) for part in colour[4:-1].split(",")[:3]))
    assert grounds[0] > 700
    assert grounds[1] < 100


@EVERY_SIZE
@BOTH_WAYS
def test_there_is_something_to_see(page: Page, url: str, device: str, scheme: str) -> None:
    """The screenshot is a picture of the device's width and of more than one colour."""
    show(page, url, device, scheme)
    picture = page.screenshot()
    width, height = struct.unpack(">II", picture[16:24])
    assert width == VIEWPORTS[device][0]
    assert height > VIEWPORTS[device][1]
    # An empty page of this size packs into a few thousand bytes.
    assert len(picture) > 50_000


def test_text_in_drawings_can_be_read_on_a_phone(page: Page, url: str) -> None:
    """The smallest text of any drawing is at least nine pixels high on a phone."""
    show(page, url, "phone", "light")
    sizes = page.evaluate("""
        [...document.querySelectorAll('svg text')].map(text => {
            const svg = text.ownerSVGElement;
            return parseFloat(getComputedStyle(text).fontSize)
                * svg.clientWidth / svg.viewBox.baseVal.width;
        })
    """)
    assert min(sizes) >= 9


@EVERY_SIZE
def test_no_text_is_cut_off(page: Page, url: str, device: str) -> None:
    """No text of a drawing reaches beyond it, and on a phone no table has to be moved sideways."""
    show(page, url, device, "light")
    cut = page.evaluate("""
        [...document.querySelectorAll('svg text')].filter(text => {
            const [a, b] = [text, text.ownerSVGElement].map(one => one.getBoundingClientRect());
            return a.left < b.left - 1 || a.right > b.right + 1;
        }).map(text => text.textContent)
    """)
    assert cut == []
    wide = page.evaluate("""
        [...document.querySelectorAll('.scroll')]
            .filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)
    """)
    assert device != "phone" or wide == []


def test_texts_in_drawings_do_not_collide(page: Page, url: str) -> None:
    """No two texts of a drawing lie over each other."""
    show(page, url, "phone", "light")
    collisions = page.evaluate("""
        [...document.querySelectorAll('svg')].flatMap(svg => {
            const boxes = [...svg.querySelectorAll('text')].map(
                text => [text.textContent, text.getBoundingClientRect()]);
            return boxes.flatMap(([one, a], i) => boxes.slice(i + 1)
                .filter(([, b]) => a.left + 1 < b.right && b.left + 1 < a.right
                    && a.top + 1 < b.bottom && b.top + 1 < a.bottom)
                .map(([other]) => `${one} / ${other}`));
        })
    """)
    assert collisions == []


def test_a_script_would_be_noticed(page: Page, tmp_path: Path) -> None:
    """The check for a silent console does hear what a page with a fault says."""
    faulty = tmp_path / "faulty.html"
    faulty.write_text("<!doctype html><script>nothing.here()</script><img src='absent.png'>")
    page.problems.clear()
    page.open(faulty.as_uri())
    assert any("nothing is not defined" in problem for problem in page.problems)
