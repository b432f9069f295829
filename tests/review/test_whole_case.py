"""One case, from the flag to the undo, as people live it: four of them at Chromium, before LiteLLM's own proxy.

The steps stand in the order in which pytest runs them, and each goes on where the one before ended. Nothing in it is a
stand-in but the model behind the proxy, which answers by itself.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pytest

from stillwatch.calibration.labels import read_labels
from tests.review.house import House, whole_house
from tests.review.programs import found_programs

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all steps."""
    programs = found_programs()
    with whole_house(tmp_path_factory.mktemp("case"), programs) as there:
        yield there


def test_a_case_is_flagged_and_found_by_keyboard(house: House) -> None:
    ann = house.page("ann")
    rows = ann.locator("[data-item]").count()
    assert rows == 2
    assert "extraction" in ann.locator(".cases").inner_text()
    house.people.picture(ann, "queue")
    # By the account that a colleague asks about: search, account, case.
    ann.keyboard.press("/")
    ann.keyboard.type(min(house.first))
    ann.keyboard.press("Enter")
    ann.wait_for_url("**/search?*")
    ann.keyboard.press("j")
    ann.keyboard.press("Enter")
    ann.wait_for_url("**/account?*")
    house.people.picture(ann, "account")
    ann.keyboard.press("j")
    ann.keyboard.press("Enter")
    ann.wait_for_url(re.compile("/cases/c-"))
    house.case = ann.locator("h1").inner_text()


def test_it_is_reviewed_for_and_against_and_text_is_seen_for_a_reason(house: House) -> None:
    ann = house.page("ann")
    ann.click("form[action$='/take'] button")
    ann.wait_for_selector("text=with you")
    house.people.picture(ann, "case")
    for part in ("What speaks against", "What they share beside the text", "What the transcript buys"):
        assert ann.locator(f"h3:has-text('{part}')").count() == 1, part
    house.people.picture(ann, "shared", "#shared")
    house.people.picture(ann, "buys", "#buys")
    hidden = ann.locator("#text").inner_text()
    ann.fill("#why-text", "to see whether a course sends it")
    ann.click("form[action$='/text'] button")
    ann.wait_for_selector(".revealed mark")
    words = ann.locator(".revealed mark").first.inner_text().strip()[:30]
    assert words
    assert words not in hidden
    house.people.picture(ann, "text", "#text")


def test_it_is_proposed_with_a_preview_of_whom_it_hits_and_changes_nothing(house: House) -> None:
    ann = house.page("ann")
    ann.select_option("#action", "suspend")
    ann.wait_for_selector("#preview .sum:has-text('suspend')")
    ann.select_option("#family", index=1)
    ann.wait_for_selector("#preview :text('Only requests of the family')")
    ann.select_option("#family", index=0)
    ann.wait_for_selector("#preview :text('lie outside of the campaign')")
    ann.check("#follows")
    ann.wait_for_selector("#preview input[name=follows]", state="attached")
    house.people.picture(ann, "decide", "#decide")
    ann.fill("#reason", "one template through many accounts, replaced as they end")
    ann.click("#preview button.grave")
    ann.wait_for_url("**/decisions/1")
    assert ann.locator("text=You proposed it").count() == 1
    house.hit = ann.locator("section[aria-labelledby=hits] tbody th").all_inner_texts()
    assert len(house.hit) >= 20
    assert set(house.hit) <= house.first
    assert house.status(house.hit[0]) == 200


def test_a_second_person_approves(house: House) -> None:
    bob = house.page("bob")
    bob.goto(f"{house.address}/decisions?state=proposed")
    bob.click("[data-item]")
    bob.wait_for_url("**/decisions/1")
    house.people.picture(bob, "approve")
    bob.click("form[action$='/approve'] button")
    bob.wait_for_selector(".state.is-standing")
    bob.goto(f"{house.address}/cases/{house.case}")
    assert bob.locator(".case-head .state.is-decided").count() == 1


def test_the_proxy_enforces_it_on_them_and_on_nobody_else(house: House) -> None:
    assert house.comes_to(house.hit[0], 403)
    assert {house.status(account) for account in house.hit} == {403}
    assert house.status(house.innocent) == 200
    assert house.status(min(house.later)) == 200  # not seen yet


def test_accounts_that_replace_them_inherit_the_case_and_are_enforced(house: House) -> None:
    told = ("--by", "night", "--policy", str(house.folder / "policy.toml"))
    said = house.run("review", "load", str(house.folder / "week-2"), *told)
    assert f"{house.case}: " in said
    ann = house.page("ann")
    ann.goto(f"{house.address}/scans/compare?first=1&second=2&change=kept")
    row = ann.locator(f"tr:has-text('{house.case}')")
    joined = int(row.locator("td").nth(2).inner_text())
    assert joined >= 20
    house.people.picture(ann, "compare")
    ann.goto(f"{house.address}/decisions/1")
    assert f"{joined} principals so far" in ann.locator("dl.facts").inner_text()
    found = ann.request.get(f"{house.address}/decisions/1.json?start=0").json()
    assert found["gained"] == joined
    assert house.comes_to(_replaced(house), 403)
    statuses = {account: house.status(account) for account in sorted(house.later)}
    enforced = [account for account, status in statuses.items() if status == 403]
    assert len(enforced) >= 0.9 * len(house.later), statuses
    assert house.status(house.innocent) == 200


def _replaced(house: House) -> str:
    """An account of the second week that the decision hits."""
    page = house.page("ann")
    found: set[str] = set()
    start = 0
    while True:
        told = page.request.get(f"{house.address}/decisions/1.json?start={start}").json()
        found |= {one["account_id"] for one in told["targets"]}
        start += len(told["targets"])
        if not told["more"]:
            return min(found & house.later)


def test_somebody_who_is_hit_objects_by_their_link(house: House) -> None:
    out = house.folder / "links.csv"
    told = ("--address", house.address, "--account", house.hit[0], "--out", str(out), "--by", "ann")
    house.run("appeal", "invite", "1", *told)
    (row,) = csv.DictReader(out.read_text().splitlines())
    house.link = row["link"].removeprefix(house.address)
    accused = house.people.stranger("accused")
    accused.goto(house.address + house.link)
    text = accused.locator("main").inner_text()
    assert house.case not in text
    assert "bits" not in text
    accused.fill("#objection", "We grade the essays of our own students, with one rubric for all of them.")
    house.people.picture(accused, "objection", "main")
    accused.click("button.chief")
    accused.wait_for_selector("text=We have it since")
    assert house.status(house.hit[0]) == 403


def test_another_person_overturns_it_for_them_alone(house: House) -> None:
    bob, cyd, accused = (house.page(name) for name in ("bob", "cyd", "accused"))
    cyd.goto(f"{house.address}/cases?state=appealed")
    assert house.case in cyd.locator(".cases").inner_text()
    bob.goto(f"{house.address}/appeals/1")
    assert bob.locator("text=another person must answer").count() == 1
    cyd.goto(f"{house.address}/appeals")
    cyd.click("[data-item]")
    cyd.wait_for_url("**/appeals/1")
    cyd.select_option("#outcome", "reversed")
    cyd.fill("#text", "You showed us the course, and we believe you.")
    house.people.picture(cyd, "answer")
    cyd.click("button.grave")
    cyd.wait_for_selector("h1 .state.is-reversed")
    accused.reload()
    assert "The decision does not hold" in accused.locator("main").inner_text()
    assert "We believe you" not in accused.locator("main").inner_text()
    house.people.picture(accused, "answered", "main")
    assert house.comes_to(house.hit[0], 200)
    assert house.status(house.hit[1]) == 403


def test_it_is_taken_back_and_the_proxy_answers_everybody_again(house: House) -> None:
    ann = house.page("ann")
    ann.goto(f"{house.address}/decisions/1")
    ann.fill("#reason", "they showed a contract")
    ann.click("form[action$='/undo'] button")
    ann.wait_for_selector(".state.is-undone")
    house.people.picture(ann, "undo")
    assert house.comes_to(house.hit[1], 200)
    everybody = [*house.hit, *sorted(house.later), house.innocent]
    assert {house.status(account) for account in everybody} == {200}


def test_all_of_it_is_in_the_log_and_feeds_the_next_scan(house: House) -> None:
    root = house.page("admin")
    root.goto(f"{house.address}/audit")
    kinds = {one["kind"] for one in root.request.get(f"{house.address}/audit.json").json()["entries"]}
    assert kinds >= {
        "case.taken", "text.revealed", "decision.proposed", "decision.approved", "case.joined", "appeal.received",
        "appeal.reversed", "decision.undone",
    }  # fmt: skip
    house.people.picture(root, "audit")
    assert "entries, whole" in house.run("audit", "verify")
    labels = house.folder / "labels.parquet"
    house.run("review", "labels", "--out", str(labels), "--by", "ann")
    assert house.hit[0] in {one.subject[2] for one in read_labels(labels).labels}
    assert house.people.complaints == []


def test_it_works_without_scripts(house: House) -> None:
    state = house.page("ann").context.storage_state()
    context = house.people.browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{house.address}/cases/{house.case}")
    page.click("text=Show whom it hits")
    assert page.locator(".preview .sum").inner_text()
    page.fill("#reason", "to mark what they send")
    page.click(".preview button.grave")
    assert "/decisions/2" in page.url
    context.close()


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("laptop", 1280, "light"),
        ("phone", 390, "dark"),
        pytest.param("laptop", 1280, "dark", marks=pytest.mark.slow),
        pytest.param("phone", 390, "light", marks=pytest.mark.slow),
    ],
)
def test_every_page_is_accessible_and_fits(house: House, scheme: str, name: str, width: int) -> None:
    state = house.page("admin").context.storage_state()
    context = house.people.browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True, storage_state=state
    )
    page = context.new_page()
    page.set_default_timeout(120_000)
    wide, wrong = [], []
    for path in _paths(house):
        page.goto(house.address + path)
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        if path.endswith("?text"):
            page.fill("#why-text", "to look at the page")
            page.click("form[action$='/text'] button")
            page.wait_for_selector(".revealed mark")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(path)
        page.evaluate(house.programs.axe)
        found = page.evaluate("axe.run()")["violations"]
        wrong += [f"{path}: {one['id']} ({len(one['nodes'])})" for one in found]
    if (name, scheme) == ("phone", "dark"):
        page.goto(f"{house.address}/cases/{house.case}")
        house.people.picture(page, "phone")
        house.people.picture(page, "phone-shared", "#shared")
    context.close()
    assert (wide, wrong) == ([], [])


def _paths(house: House) -> list[str]:
    """One address of every kind of page."""
    case = f"/cases/{house.case}"
    return [
        "/cases", case, f"{case}?text", f"{case}/preview?action=suspend", f"/account?id={house.hit[0]}", "/decisions",
        "/decisions/1", "/proposals", "/appeals?state=reversed", "/appeals/1", house.link, "/search?words=acct", "/scans",
        "/scans/compare?first=1&second=2&change=kept", "/audit", "/users", "/password", "/session", "/nowhere",
    ]  # fmt: skip


def test_every_page_is_there_as_json(house: House) -> None:
    page = house.page("admin")
    for path in _paths(house):
        place, _, asked = path.partition("?")
        found = page.request.get(f"{house.address}{place}.json{'?' + asked if asked else ''}")
        assert found.headers["content-type"].startswith("application/json"), path
        assert found.status == (404 if path == "/nowhere" else 200), path
        found.json()
    told = page.request.get(f"{house.address}/cases/{house.case}.json").json()
    shared = told["campaign"]["infrastructure"]
    assert shared["values"]
    assert shared["groups"]
    assert told["buys"]["prices"]
    assert told["campaign"]["closest_innocent"]
    assert not any("text" in span for one in told["exemplars"] for span in one["spans"])


def test_a_case_is_read_by_keyboard_alone(house: House) -> None:
    page = house.page("admin")
    page.goto(f"{house.address}/cases/{house.case}")
    seen, unseen, first = set(), set(), ""
    for _ in range(400):
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
    assert first == "To the content"
    assert "Show whom it hits" in seen
    assert any(text.startswith("The same as a table") for text in seen)
    assert unseen == set()
