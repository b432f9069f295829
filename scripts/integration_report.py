"""The report in a real browser: what ``scripts/integration report`` runs inside an environment with Playwright.

    integration_report.py REPORT AXE BROWSER

REPORT is report.html, AXE the file axe.min.js, BROWSER the path of Chromium. Prints one line a check, and leaves
with 1 where one failed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS = {"phone": 390, "laptop": 1280}
SCHEMES = ("light", "dark")
# Room for a report of many campaigns; a page that swallows the key goes on for ever.
MOST_TABS = 400
FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return {
    tag: element.tagName, href: element.getAttribute("href"), at: element === document.body,
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
  };
}"""


def opened(browser: Browser, report: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        bypass_csp=True,
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    return page, asked


def look(browser: Browser, report: Path, axe: str) -> Iterator[tuple[str, str]]:
    """Accessibility, requests and width, in both colours on a phone and a laptop: check and what is wrong."""
    for scheme in SCHEMES:
        for name, width in WIDTHS.items():
            page, asked = opened(browser, report, width, scheme)
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            wide = page.evaluate("document.documentElement.scrollWidth")
            page.evaluate(axe)
            found: list[dict[str, Any]] = page.evaluate("axe.run()")["violations"]
            where = f"{name}, {scheme}"
            yield f"axe, {where}", ", ".join(f"{one['id']} ({len(one['nodes'])})" for one in found)
            yield f"no sideways scrolling, {where}", f"{wide} > {width}" if wide > width else ""
            yield f"no request, {where}", ", ".join(asked[1:])
            page.context.close()


def by_keyboard(browser: Browser, report: Path) -> Iterator[tuple[str, str]]:
    """Tab from the top to the bottom: a way past the head first, every part that opens, the focus always seen."""
    page, _ = opened(browser, report, WIDTHS["laptop"], "light")
    summaries = page.evaluate("document.querySelectorAll('summary').length")
    reached, unseen = 0, set()
    first = None
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["at"]:
            break
        first = first or focus
        reached += focus["tag"] == "SUMMARY"
        if not focus["seen"]:
            unseen.add(focus["tag"])
    skips = first is not None and (first["href"] or "").startswith("#")
    yield "Tab comes to a link past the head first", "" if skips else f"{first}"
    yield f"Tab comes to all {summaries} parts that open", "" if reached >= summaries else f"{reached}"
    yield "the focus is always seen", ", ".join(sorted(unseen))
    part = page.locator("summary").first
    before = part.evaluate("part => part.parentElement.open")
    part.focus()
    page.keyboard.press("Enter")
    yield (
        "Enter opens a part",
        "" if part.evaluate("part => part.parentElement.open") != before else "it does not",
    )
    page.context.close()


def on_paper(browser: Browser, report: Path) -> Iterator[tuple[str, str]]:
    page, _ = opened(browser, report, WIDTHS["laptop"], "dark")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.pdf"
        page.pdf(path=file, format="A4")
        size = file.stat().st_size
    yield "prints", "" if size > 10_000 else f"a PDF of {size} bytes"
    page.context.close()


def main() -> None:
    report, axe, browser_path = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).read_text("utf-8"), sys.argv[3]
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        print(f"Chromium {browser.version}")
        for check in (look(browser, report, axe), by_keyboard(browser, report), on_paper(browser, report)):
            for name, wrong in check:
                print(f"{'FAIL' if wrong else 'ok':4}  {name}{f': {wrong}' if wrong else ''}")
                failed += bool(wrong)
        browser.close()
    print(f"{failed} failed, 0 skipped")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
