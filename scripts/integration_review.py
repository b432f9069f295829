"""The pages of review in a real browser: what ``scripts/integration review`` runs inside an environment with Playwright.

    integration_review.py ADDRESS PASSWORD BROWSER [--axe FILE] [--images DIR]

ADDRESS is a server that was started for the first time and filled with the demo, PASSWORD the one that it printed,
BROWSER the path of Chromium, FILE axe.min.js. One case goes from the queue through review, proposal and approval to the
undo, by three people; with DIR it leaves the pictures of the analyst's guide there. Prints one line a check, and leaves
with 1 where one failed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

OWN = "four quiet herons and an owl"
"""The password that each of them sets."""
WIDTHS = {"phone": 390, "laptop": 1280}
SCHEMES = ("light", "dark")
PLACE = {"width": 1280, "height": 860}
Check = tuple[str, str]
"""What was checked, and what is wrong; empty where all is well."""


class People:
    """Browsers of several users of one server, each with a session of its own, and what their pages complained of."""

    def __init__(self, browser: Browser, address: str, images: Path | None) -> None:
        self.browser, self.address, self.images = browser, address, images
        self.contexts: dict[str, BrowserContext] = {}
        self.complaints: list[str] = []

    def come(self, name: str, given: str) -> Page:
        """Log in with a one-time password, set another, and stand before the queue."""
        context = self.browser.new_context(viewport=PLACE)
        self.contexts[name] = context
        page = context.new_page()
        page.on("console", lambda said: self.complaints.append(f"{name}: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"{name}: {error}"))
        page.on("request", self._note)
        page.goto(f"{self.address}/")
        page.fill("#name", name)
        page.fill("#password", given)
        page.click("button.chief")
        page.wait_for_url("**/password")
        page.fill("#old", given)
        page.fill("#new", OWN)
        page.fill("#again", OWN)
        page.click("button.chief")
        page.wait_for_url("**/cases")
        return page

    def _note(self, request: Any) -> None:
        if not request.url.startswith(self.address + "/"):
            self.complaints.append(f"asked {request.url}")

    def picture(self, page: Page, name: str, part: str = "") -> None:
        """Leave a picture of what is seen, or of a part of the page."""
        if self.images is not None:
            file = self.images / f"review-{name}.png"
            page.locator(part).screenshot(path=file) if part else page.screenshot(path=file)


def journey(people: People, password: str) -> Iterator[Check]:
    """One case from the flag to the undo."""
    root = people.come("admin", password)
    given = {
        name: _added(root, people.address, name, role)
        for name, role in (("ann", "analyst"), ("bob", "approver"))
    }
    ann = people.come("ann", given["ann"])
    people.picture(ann, "queue")
    ann.keyboard.press("j")
    ann.keyboard.press("Enter")
    ann.wait_for_url(re.compile("/cases/c-"))
    yield "a case is opened by keyboard", ""
    case = ann.url
    ann.click("form[action$='/take'] button")
    ann.wait_for_selector("text=with you")
    people.picture(ann, "case")
    hidden = ann.locator("#text").inner_text()
    ann.fill("#why-text", "to see whether a course sends it")
    ann.click("form[action$='/text'] button")
    ann.wait_for_selector(".revealed mark")
    words = ann.locator(".revealed mark").first.inner_text().strip()[:30]
    yield "text is hidden before it is asked for", words if words in hidden else ""
    people.picture(ann, "text", "#text")
    ann.select_option("#action", "throttle")
    ann.wait_for_selector("#preview .sum")
    ann.fill("#requests_per_minute", "2")
    ann.press("#requests_per_minute", "Tab")
    ann.wait_for_selector("#preview .sum:has-text('requests per minute 2')")
    yield from _narrow(ann)
    people.picture(ann, "decide", "#decide")
    ann.fill("#reason", "one template through many accounts, replaced as they end")
    ann.click("#preview button.grave")
    ann.wait_for_url("**/decisions/1")
    waits = ann.locator("text=You proposed it").count()
    yield "who proposes does not approve", "" if waits else "the page does not say so"

    yield from _second_person(people, given["bob"], case)
    root.goto(f"{people.address}/audit")
    log = root.locator("table").inner_text()
    kinds = ("case.taken", "text.revealed", "decision.proposed", "decision.approved", "decision.undone")
    yield "the audit log has it all", ", ".join(kind for kind in kinds if kind not in log)
    people.picture(root, "audit")
    yield "no page complains, and none asks elsewhere", "; ".join(people.complaints)
    yield from _without_scripts(people, case)


def _second_person(people: People, given: str, case: str) -> Iterator[Check]:
    """Another one approves, and whoever proposed takes it back."""
    ann = people.contexts["ann"].pages[0]
    bob = people.come("bob", given)
    bob.goto(f"{people.address}/decisions?state=proposed")
    bob.click("[data-item]")
    bob.wait_for_url("**/decisions/1")
    people.picture(bob, "approve")
    bob.click("form[action$='/approve'] button")
    bob.wait_for_selector(".state.is-standing")
    yield "a second person approves", ""
    bob.goto(case)
    yield "the case is decided", "" if bob.locator(".case-head .state.is-decided").count() else "it is not"

    ann.goto(f"{people.address}/decisions/1")
    ann.fill("#reason", "they showed a contract")
    ann.click("form[action$='/undo'] button")
    ann.wait_for_selector(".state.is-undone")
    people.picture(ann, "undo")
    yield "it is taken back", ""


def _added(root: Page, address: str, name: str, role: str) -> str:
    root.goto(f"{address}/users")
    root.fill("#name", name)
    root.select_option("#role", role)
    root.click("form[action='/users'] button")
    return root.locator(".told code").inner_text()


def _narrow(page: Page) -> Iterator[Check]:
    """A family narrows the preview while one chooses."""
    page.select_option("#family", index=1)
    page.wait_for_selector("#preview :text('Only requests of the family')")
    yield "the preview follows what is chosen", ""
    page.select_option("#family", index=0)
    page.wait_for_selector("#preview :text('lie outside of the campaign')")


def _without_scripts(people: People, case: str) -> Iterator[Check]:
    context = people.browser.new_context(
        java_script_enabled=False, storage_state=people.contexts["ann"].storage_state()
    )
    page = context.new_page()
    page.goto(case)
    page.click("text=Show whom it hits")
    hits = page.locator(".preview .sum").inner_text()
    page.fill("#reason", "to mark what they send")
    page.click(".preview button.grave")
    yield "it works without scripts", "" if hits and "/decisions/2" in page.url else page.url
    context.close()


def look(people: People, axe: str | None) -> Iterator[Check]:
    """Every kind of page in both colours on a phone and a laptop: accessibility, width."""
    paths = _paths(people)
    state = people.contexts["admin"].storage_state()
    for scheme in SCHEMES:
        for name, width in WIDTHS.items():
            size = {"width": width, "height": 900}
            context = people.browser.new_context(
                viewport=size, color_scheme=scheme, bypass_csp=True, storage_state=state
            )
            page = context.new_page()
            wide, wrong = [], []
            for path in paths:
                page.goto(people.address + path)
                page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    wide.append(path)
                if axe is not None:
                    page.evaluate(axe)
                    found = page.evaluate("axe.run()")["violations"]
                    wrong += [f"{path}: {one['id']} ({len(one['nodes'])})" for one in found]
            yield f"no sideways scrolling, {name}, {scheme}", ", ".join(wide)
            if axe is not None:
                yield f"axe on {len(paths)} pages, {name}, {scheme}", ", ".join(wrong)
            if (name, scheme) == ("phone", "dark"):
                page.goto(people.address + paths[1])
                people.picture(page, "phone")
            context.close()


def _paths(people: People) -> list[str]:
    """One address of every kind of page."""
    page = people.contexts["admin"].pages[0]
    page.goto(f"{people.address}/cases")
    case = str(page.locator("[data-item]").first.get_attribute("href"))
    page.goto(people.address + case)
    account = str(page.locator("#principals th a").first.get_attribute("href"))
    return [
        "/cases", case, f"{case}/preview?action=suspend", account, "/decisions", "/decisions/1", "/search?words=acct",
        "/scans", "/scans/compare?first=1&second=1&change=kept", "/audit", "/users", "/password", "/nowhere",
    ]  # fmt: skip


def by_keyboard(people: People, *, most: int = 300) -> Iterator[Check]:
    """Tab through the page of a case: past the head first, the focus always seen, to the button that previews."""
    page = people.contexts["admin"].pages[0]
    page.goto(people.address + _paths(people)[1])
    seen, unseen, first = set(), set(), ""
    for _ in range(most):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "(() => { const one = document.activeElement, look = getComputedStyle(one); return {tag: one.tagName,"
            " text: one.innerText, end: one === document.body,"
            " seen: look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) > 0}; })()"
        )
        if at["end"]:
            break
        first = first or at["text"]
        seen.add(at["text"])
        if not at["seen"]:
            unseen.add(at["tag"])
    yield "Tab comes to a link past the head first", "" if first == "To the content" else first
    yield "Tab comes to the preview", "" if "Show whom it hits" in seen else "it does not"
    yield "the focus is always seen", ", ".join(sorted(unseen))


@contextmanager
def opened(browser_path: str) -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        yield browser
        browser.close()


def check(address: str, password: str, browser_path: str, axe: str | None, images: Path | None,
          say: Callable[[str], None] = print) -> int:  # fmt: skip
    """Run every check; return how many failed."""
    failed = 0
    with opened(browser_path) as browser:
        people = People(browser, address, images)
        for checks in (journey(people, password), look(people, axe), by_keyboard(people)):
            for name, wrong in checks:
                say(f"{'FAIL' if wrong else 'ok':4}  {name}{f': {wrong}' if wrong else ''}")
                failed += bool(wrong)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("address", "password", "browser"):
        parser.add_argument(name)
    parser.add_argument("--axe", type=Path)
    parser.add_argument("--images", type=Path)
    chosen = parser.parse_args()
    axe = chosen.axe.read_text("utf-8") if chosen.axe else None
    failed = check(chosen.address, chosen.password, chosen.browser, axe, chosen.images)
    print(f"{failed} failed, {0 if axe else 1} skipped")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
