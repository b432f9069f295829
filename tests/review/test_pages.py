"""The pages over HTTP, on the result of a real scan: one case from the queue to the undo, and what no page shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from markupsafe import escape

from stillwatch.arena import PRESETS, simulate
from stillwatch.keys import Keys
from stillwatch.lab.value import read_transcript, value
from stillwatch.lab.value_text import as_record
from stillwatch.response.policy import Policy
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.store import audit
from stillwatch.store.database import Store, open_store
from stillwatch.store.loading import load
from stillwatch.store.reading import snapshot
from stillwatch.store.users import Role
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import NOW, Visitor, add_person, served

KEYS = Keys(local=b"a key for the tests of review")
WHO = {"ann": Role.ANALYST, "bob": Role.APPROVER, "eve": Role.ANALYST, "vic": Role.VIEWER, "root": Role.ADMIN}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan that was told to keep the text, so that there is something to hide."""
    folder = tmp_path_factory.mktemp("pages")
    simulate(PRESETS["tiny"], folder / "log")
    source = Source((folder / "log" / "exchanges.parquet",))
    scan(source, folder / "result", KEYS, Options(show_text=True))
    return folder / "result"


@pytest.fixture
def filled(store: Store, result: Path) -> Store:
    load(store, result, "root", Policy(), NOW)
    for name, role in WHO.items():
        add_person(store, name, role)
    return store


@pytest.fixture
def address(filled: Store) -> Iterator[str]:
    with served(filled) as found:
        yield found


def first_case(person: Visitor) -> dict[str, Any]:
    found: dict[str, Any] = person.get("/cases.json").json()["rows"][0]
    return found


def test_one_case_from_the_queue_to_the_undo(filled: Store, address: str) -> None:
    ann, bob = Visitor(address, "ann"), Visitor(address, "bob")
    case = first_case(ann)
    here = f"/cases/{case['id']}"
    assert case["id"] in ann.get("/cases?state=new&order=size").text
    page = ann.get(here).text
    for words in ("What speaks against", "Evidence from prior to posterior", "Principals by day", "Families"):
        assert words in page
    assert ann.post(f"{here}/take").headers["location"] == here
    assert "with you" in ann.get(here).text
    taken = bob.post(f"{here}/take.json")
    assert (taken.status_code, "ann is at work" in taken.json()["error"]) == (409, True)

    asked = {"action": "throttle", "requests_per_minute": "2", "most": "9", "lasts": "14d"}
    shown = ann.get(f"{here}/preview.json", **asked).json()
    assert shown["principals"] == case["principals"] == len(shown["hits"])
    assert shown["parameters"] == {"requests_per_minute": 2}
    fragment = ann.client.get(f"{here}/preview", params=asked, headers={"hx-request": "true"}).text
    assert f"{case['principals']} principals" in fragment
    assert "<html" not in fragment
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', fragment))
    fields.pop("csrf")
    assert fields["requests_per_minute"] == "2"
    assert snapshot(filled, NOW).actions == ()
    there = ann.post(f"{here}/decide", **fields, reason="one hand").headers["location"]
    assert there == "/decisions/1"
    assert "another person approves it" in ann.get(there).text
    assert ann.post(f"{there}/approve.json").status_code == 403
    assert snapshot(filled, NOW).actions == ()

    assert "decision 1" in bob.get("/decisions?state=proposed").text
    assert bob.post(f"{there}/approve").headers["location"] == there
    held = snapshot(filled, NOW).actions
    assert len(held) == case["principals"]
    assert held[0].parameters == {"requests_per_minute": 2}
    one = ann.get("/account.json", id=held[0].account_id).json()
    assert one["decisions"][0]["action"] == "throttle"
    assert ann.post(f"{there}/undo.json", reason="a class").json()["state"] == "undone"
    assert snapshot(filled, NOW).actions == ()
    assert ann.post(f"{there}/undo.json", reason="again").status_code == 409

    told = [
        (one.actor, one.kind) for one in audit.entries(filled) if one.kind.startswith(("case", "decision"))
    ]
    assert told == [
        ("ann", "case.taken"),
        ("ann", "decision.proposed"),
        ("bob", "decision.approved"),
        ("ann", "decision.undone"),
    ]
    assert audit.verify(filled).broken == ""
    log = bob.get("/audit.json", kind="decision.approved").json()["entries"]
    assert [(one["actor"], one["subject"]) for one in log] == [("bob", "decision 1")]


def test_no_text_of_a_prompt_without_a_reveal_that_is_logged(
    filled: Store, address: str, result: Path
) -> None:
    root, ann, vic = (Visitor(address, name) for name in ("root", "ann", "vic"))
    case = first_case(root)
    found = json.loads((result / "campaigns.json").read_text("utf-8"))[0]
    runs = [" ".join(span["text"].split()[:4]) for turn in found["exemplars"] for span in turn["spans"]]
    runs = [run for run in runs if len(run) > 20]
    assert len(runs) >= 4
    here = f"/cases/{case['id']}"
    member = root.get(f"{here}.json").json()["participants"][0]["account_id"]
    seen = {
        "/cases",
        here,
        f"{here}/preview?action=suspend",
        f"/account?id={member}",
        "/decisions",
        "/audit",
        "/scans",
    }
    for path in sorted(seen):
        for headers in ({}, {"accept": "application/json"}):
            shown = root.client.get(path, headers=headers)
            assert shown.status_code == 200
            words = " ".join(shown.text.split())
            assert not [run for run in runs if run in words], path
    assert all(set(span) == {"shared", "words"} for turn in root.get(f"{here}.json").json()["exemplars"]
               for span in turn["spans"])  # fmt: skip

    why = {"campaign": found["campaign_id"], "reason": "to see whether it is a class"}
    assert vic.post(f"{here}/text.json", **why).status_code == 403
    assert ann.post(f"{here}/text.json", campaign=found["campaign_id"], reason=" ").status_code == 400
    assert ann.post(f"{here}/text.json", campaign="c-none", reason="x").status_code == 400
    assert not [one for one in audit.entries(filled, kind="text.revealed")]
    for _ in range(2):
        shown = ann.post(f"{here}/text.json", **why).json()
        assert shown["turns"] == found["exemplars"]
    logged = list(audit.entries(filled, kind="text.revealed"))
    assert [(one.actor, one.subject) for one in logged] == [("ann", case["id"])] * 2
    assert "to see whether it is a class" in logged[0].details
    assert not [run for run in runs if run in f"{logged}"]


def test_of_two_who_saw_the_same_case_one_decides(address: str) -> None:
    ann, eve = Visitor(address, "ann"), Visitor(address, "eve")
    case = first_case(ann)
    here, asked = f"/cases/{case['id']}", {"action": "suspend"}
    seen = [person.get(f"{here}/preview.json", **asked).json()["version"] for person in (ann, eve)]
    assert ann.post(f"{here}/decide.json", version=seen[0], reason="one hand", **asked).status_code == 200
    late = eve.post(f"{here}/decide.json", version=seen[1], reason="one hand", **asked)
    assert (late.status_code, "has changed since you saw it" in late.json()["error"]) == (409, True)
    withdrawn = eve.post("/decisions/1/refuse.json", reason="no")
    assert (withdrawn.status_code, "takes the role approver" in withdrawn.json()["error"]) == (403, True)
    assert ann.post("/decisions/1/refuse.json", reason="a slip").json()["state"] == "refused"


def test_whoever_is_cleared_from_the_page_of_an_account_is_left_out(filled: Store, address: str) -> None:
    ann = Visitor(address, "ann")
    case = first_case(ann)
    here = f"/cases/{case['id']}"
    member = ann.get(f"{here}.json").json()["participants"][0]["account_id"]
    link = re.search(r'href="(/cases/[^"]+/preview[^"]+)"', ann.get("/account", id=member).text)
    assert link is not None
    page = ann.get(link[1].replace("&amp;", "&")).text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    fields.pop("csrf")
    assert ann.post(f"{here}/decide", **fields, reason="they called").headers["location"] == "/decisions/1"
    shown = ann.get(f"{here}/preview.json", action="suspend").json()
    assert (shown["cleared_left_out"], shown["principals"]) == (1, case["principals"] - 1)
    assert snapshot(filled, NOW).actions == ()


MISTAKES = (
    ("/cases/none", 404, "there is no case none"),
    ("/cases?state=old", 422, "what was sent for state"),
    ("/cases/{case}/preview?action=ban", 422, "what was sent for action"),
    ("/cases/{case}/preview?action=throttle&requests_per_minute=0", 422, "a whole number from 1 to 100000"),
    ("/cases/{case}/preview?action=suspend&finding=innocent", 422, "takes the finding extraction"),
    ("/cases/{case}?campaign=c-none", 404, "has no campaign c-none"),
    ("/decisions/7", 404, "there is no decision 7"),
    ("/account?id=nobody", 404, "no scan that was loaded has the account nobody"),
    ("/scans/compare?first=1&second=9", 404, "there is no scan 9"),
    ("/nowhere", 404, "there is no such page"),
)
"""Address, status and words of the answer."""


def test_what_cannot_be_meant_is_said(address: str) -> None:
    ann = Visitor(address, "ann")
    case = first_case(ann)["id"]
    for path, status, words in MISTAKES:
        where = path.format(case=case)
        shown = ann.get(where)
        assert (shown.status_code, words in shown.text) == (status, True), shown.text
        told = ann.client.get(where, headers={"accept": "application/json"}).json()
        assert (told["status"], words in told["error"]) == (status, True)


def test_names_of_a_log_are_text_and_nothing_else(store: Store, tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>/../&id=x'
    found = [
        campaign("c-1", ["f-1"], [(evil, "user\u202eevil")]),
        campaign("c-2", ["f-2"], accounts("b", 60)),
    ]
    load(store, write_result(tmp_path / "first", found), "root", Policy(), NOW)
    load(store, write_result(tmp_path / "second", found[1:], days=9), "root", Policy(), NOW)
    add_person(store, "vic", Role.VIEWER)
    with served(store) as address:
        vic = Visitor(address, "vic")
        page = vic.get("/search", words='"><s').text
        assert "<script>alert" not in page
        link = re.search(r'href="(/account\?id=[^"]+)"', page)
        assert link is not None
        shown = vic.get(link[1])
        assert shown.status_code == 200
        assert "<script>alert" not in shown.text
        assert "\u202e" not in shown.text
        innocent = vic.get("/account", id="innocent-0").text
        assert "nothing was found" in innocent
        assert "No decision was ever made on it" in innocent
        assert vic.get("/account.json", id=evil).json()["account_id"] == evil
        kept = vic.get("/scans/compare.json", first=1, second=2, change="kept").json()
        assert (kept["counts"], kept["rows"][0]["joined"]) == ({"new": 0, "gone": 1, "kept": 1}, 0)
        assert "c-1" in vic.get("/scans/compare", first=1, second=2, change="gone").text


def test_an_error_of_the_program_tells_nothing_of_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "review.db"))
    add_person(store, "root", Role.ADMIN)
    with served(store) as address:
        root = Visitor(address, "root")
        with store.engine.connect().execution_options(writes=True) as connection, connection.begin():
            connection.execute(sa.text("DROP TABLE campaigns"))
        shown = root.get("/cases/c-secret")
        assert shown.status_code == 500
        assert "c-secret" not in shown.text
        assert "SELECT" not in shown.text
        assert shown.headers["x-content-type-options"] == "nosniff"
    store.close()


def test_what_they_share_and_what_it_buys_is_on_the_page_and_as_json(address: str, result: Path) -> None:
    vic = Visitor(address, "vic")
    case = first_case(vic)
    told = vic.get(f"/cases/{case['id']}.json").json()
    campaign = told["campaign"]
    written = {one["campaign_id"]: one for one in json.loads((result / "campaigns.json").read_text())}
    assert campaign["infrastructure"] == written[campaign["campaign_id"]]["infrastructure"]
    got = read_transcript(result, campaign["campaign_id"])
    assert told["buys"] == json.loads(json.dumps(as_record(value(got))))
    page = vic.get(f"/cases/{case['id']}").text
    for one in campaign["infrastructure"]["values"]:
        assert page.count(f"{one['kind']} {one['name']}: {one['principals']} here") == 1  # the wide picture
        assert f"{one['kind']} <bdi>{one['name']}</bdi>" in page  # the table
    for caveat in told["buys"]["caveats"]:
        assert escape(caveat) in page
    log = pq.read_table(result.parent / "log" / "exchanges.parquet")
    for column in ("ip", "payment_fingerprint", "tls_fingerprint"):
        for hidden in log[column].unique().to_pylist():
            assert hidden is None or hidden not in page, column
