"""Rules propose, people decide; what is in the shadow is counted and asks nobody."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from stillwatch.response import ResponseError
from stillwatch.response.actions import Action, Finding
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy, read_policy
from stillwatch.response.rules import Facts, Mode, Rule, When, checked, first_that_fits, fits
from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.cases import case, queue, take
from stillwatch.store.database import Store
from stillwatch.store.decisions import decide
from stillwatch.store.loading import Loaded, load
from stillwatch.store.policies import all_policies
from stillwatch.store.proposals import accept, counted, dismiss, propose, waiting
from stillwatch.store.reading import label_rows, snapshot
from tests.review.results import accounts, campaign, write_result

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
RULES = """
version = 1

[[rules]]
name = "suspend what is certain"
action = "suspend"
when = { least_probability = 0.99 }

[[rules]]
name = "narrow"
mode = "propose"
action = "throttle"
scope = "family"
parameters = { requests_per_minute = 2 }
lasts = "14d"
spread = "1h"
when = { least_probability = 0.99, most_principals = 8 }

[[rules]]
name = "ask who they are"
mode = "propose"
action = "step_up"
finding = "unsure"
when = { verdict = ["extraction", "undetermined"] }
"""


def policy_of(folder: Path, text: str = RULES, name: str = "policy.toml") -> Policy:
    path = folder / name
    path.write_text(text)
    return read_policy(path)


def loaded(store: Store, folder: Path, policy: Policy, name: str = "first", days: int = 7) -> Loaded:
    found = [
        campaign("c-1", ["f-a", "f-b"], accounts("small", 6)),
        campaign("c-2", ["f-c"], accounts("large", 12), probability=0.9),
    ]
    return load(
        store, write_result(folder / name, found, days=days), "ann", policy, NOW + dt.timedelta(days=days)
    )


def test_loading_lets_the_rules_look_and_the_first_that_fits_proposes(store: Store, tmp_path: Path) -> None:
    assert loaded(store, tmp_path, policy_of(tmp_path)).proposed == 2
    rows = waiting(store)
    assert [(row["case_id"], row["rule"], row["action"], row["family_id"]) for row in rows] == [
        ("c-1", "narrow", "throttle", "f-a"),
        ("c-2", "ask who they are", "step_up", None),
    ]
    assert rows[1]["expected_innocent"] == pytest.approx(1.2)
    counts = {(one["rule"], one["state"]): one["principals"] for one in counted(store)}
    assert counts == {
        ("suspend what is certain", "shadow"): 6,
        ("narrow", "open"): 6,
        ("ask who they are", "open"): 12,
    }
    assert snapshot(store, NOW).actions == ()
    assert label_rows(store) == []
    assert queue(store)["counts"]["new"] == 2
    assert propose(store, policy_of(tmp_path), "ann", NOW) == []


def test_a_proposal_is_taken_up_by_a_person_with_all_that_it_says(store: Store, tmp_path: Path) -> None:
    policy = policy_of(tmp_path)
    loaded(store, tmp_path, policy)
    small, large = (row["id"] for row in waiting(store))
    seen = case(store, "c-1")["version"]
    number = accept(store, small, "bob", "looked at it, one hand", policy, NOW, seen)
    held = snapshot(store, NOW).actions
    assert {(one.family_id, one.action, one.parameters["requests_per_minute"]) for one in held} == {
        ("f-a", Action.THROTTLE, 2)
    }
    assert all(NOW <= one.starts <= NOW + dt.timedelta(hours=1) for one in held)
    assert {one.until for one in held} == {NOW + dt.timedelta(days=14)}
    with pytest.raises(ConflictError, match="is taken and not open"):
        accept(store, small, "bob", "again", policy, NOW)
    # The second hits too many for one person: taking it up is a proposal of a decision.
    waits = accept(store, large, "bob", "let them show who they are", policy, NOW)
    assert {one["id"]: one["state"] for one in case(store, "c-2")["decisions"]} == {waits: "proposed"}
    entry = next(one for one in audit.entries(store) if one.kind == "proposal.taken")
    assert f'"decision": {number}' in entry.details
    assert audit.verify(store).broken == ""


def test_whoever_is_at_work_on_a_case_is_not_overruled(store: Store, tmp_path: Path) -> None:
    policy = policy_of(tmp_path)
    loaded(store, tmp_path, policy)
    take(store, "c-1", "carol", NOW)
    with pytest.raises(ConflictError, match="carol is at work on c-1"):
        accept(store, waiting(store, "c-1")[0]["id"], "bob", "one hand", policy, NOW)
    assert len(waiting(store, "c-1")) == 1


def test_what_was_turned_down_is_asked_again_when_the_case_is_found_again(
    store: Store, tmp_path: Path
) -> None:
    policy = policy_of(tmp_path)
    loaded(store, tmp_path, policy)
    number = waiting(store, "c-1")[0]["id"]
    with pytest.raises(StoreError, match="say why"):
        dismiss(store, number, "bob", " ", NOW)
    dismiss(store, number, "bob", "a class at a university", NOW)
    assert propose(store, policy, "ann", NOW) == []
    assert loaded(store, tmp_path, policy, "second", days=9).proposed == 2
    assert {row["scan_id"] for row in waiting(store)} == {2}
    states = {one["state"] for one in counted(store) if one["rule"] == "ask who they are"}
    assert states == {"superseded", "open"}


def test_a_decided_case_is_asked_about_no_more(store: Store, tmp_path: Path) -> None:
    policy = policy_of(tmp_path)
    loaded(store, tmp_path, policy)
    number = waiting(store, "c-1")[0]["id"]
    decide(store, Wanted("c-1", Finding.INNOCENT, Action.OBSERVE, "a class"), "bob", policy, NOW)
    assert waiting(store, "c-1") == []
    with pytest.raises(StoreError, match="there is no proposal 99"):
        dismiss(store, 99, "bob", "why", NOW)
    assert loaded(store, tmp_path, policy, "second", days=9).proposed == 1
    with pytest.raises(ConflictError, match="was found by another scan since"):
        accept(store, number, "bob", "one hand", policy, NOW)


OBSERVE = """
version = 1
[[rules]]
name = "mark"
mode = "act"
action = "observe"
finding = "unsure"
"""


def test_a_rule_may_observe_by_itself_and_the_case_still_waits_for_people(
    store: Store, tmp_path: Path
) -> None:
    policy = policy_of(tmp_path, OBSERVE)
    loaded(store, tmp_path, policy)
    held = snapshot(store, NOW + dt.timedelta(days=7)).actions
    assert {(one.account_id[:5], one.action) for one in held} == {("small", Action.OBSERVE)}
    row = case(store, "c-1")
    assert (row["state"], row["assignee"], row["decisions"][0]["asked_by"]) == ("new", None, "rule mark")
    assert {row["decision"] for row in label_rows(store)} == {"unsure"}
    assert propose(store, policy, "ann", NOW) == []


def test_a_change_of_policy_is_an_entry_and_its_text_is_kept(store: Store, tmp_path: Path) -> None:
    first, second = policy_of(tmp_path), policy_of(tmp_path, OBSERVE)
    loaded(store, tmp_path, first)
    propose(store, first, "ann", NOW)
    made = propose(store, second, "bob", NOW)
    assert {one["rule"] for one in made} == {"mark"}
    assert waiting(store) == [row for row in waiting(store) if row["case_id"] == "c-2"]
    assert [(row["digest"], row["text"]) for row in all_policies(store)] == [
        (second.digest, OBSERVE), (first.digest, RULES)
    ]  # fmt: skip
    changes = [one for one in audit.entries(store) if one.kind == "policy.changed"]
    assert [one.actor for one in changes] == ["ann", "bob"]
    assert f'"before": "{first.digest}"' in changes[1].details


FACTS = Facts("extraction", True, 0.95, 500, 12, 0.6, dt.timedelta(days=2))


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        (When(), True),
        (When(verdict=("undetermined",)), False),
        (When(calibrated=True), True),
        (When(calibrated=False), False),
        (When(least_probability=0.95), True),
        (When(least_probability=0.96), False),
        (When(least_exchanges=501), False),
        (When(least_principals=12, most_principals=12), True),
        (When(least_principals=13), False),
        (When(most_principals=11), False),
        (When(most_innocent=0.5), False),
        (When(least_age=dt.timedelta(days=2)), True),
        (When(least_age=dt.timedelta(days=3)), False),
    ],
)
def test_a_condition_says_what_it_means(when: When, answer: bool) -> None:
    assert fits(when, FACTS) is answer


def test_a_rule_in_the_shadow_stands_in_nobodys_way() -> None:
    rules = [
        Rule("a", Action.SUSPEND),
        Rule("b", Action.THROTTLE, Mode.PROPOSE),
        Rule("c", Action.STEP_UP, Mode.PROPOSE),
    ]
    found = first_that_fits(rules, FACTS)
    assert found is not None
    assert found.name == "b"
    checked(rules, dt.timedelta(days=1), dt.timedelta(days=2), dt.timedelta(0))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("action = 'throttle'", "rule 1: Object missing required field `name`"),
        ("name = 'x'", "rule x: Object missing required field `action`"),
        ("name = ' '\naction = 'throttle'", "give it a name"),
        ("name = 'x'\naction = 'ban'", "rule x: Invalid enum value 'ban'"),
        ("name = 'x'\naction = 'throttle'\nspeed = 3", "rule x has no speed; allowed are action, finding"),
        ("name = 'x'\naction = 'throttle'\nwhen = 3", "rule x: when must be a table"),
        ("name = 'x'\naction = 'throttle'\nwhen = { bits = 3 }", "rule x: when has no bits; allowed are calibrated"),
        ("name = 'x'\naction = 'throttle'\nwhen = { verdict = ['none'] }", "verdict must be a list of extraction"),
        ("name = 'x'\naction = 'throttle'\nwhen = { verdict = [] }", "verdict must be a list of extraction"),
        ("name = 'x'\naction = 'throttle'\nwhen = { least_probability = 99 }", "it must be a number from 0 to 1"),
        ("name = 'x'\naction = 'throttle'\nwhen = { most_innocent = nan }", "it must be a number from 0 on"),
        ("name = 'x'\naction = 'throttle'\nlasts = '1 day'", "'1 day' is no span of time"),
        ("name = 'x'\naction = 'throttle'\nlasts = 3", "rule x: "),
        ("name = 'x'\naction = 'throttle'\nlasts = '91d'", "no longer than the policy allows"),
        ("name = 'x'\naction = 'throttle'\nlasts = '1h'", "must be shorter than it lasts"),
        ("name = 'x'\naction = 'throttle'\nmode = 'act'", "only observe may act by itself"),
        ("name = 'x'\naction = 'observe'\nmode = 'act'", "what acts by itself finds nothing"),
        ("name = 'x'\naction = 'throttle'\nfinding = 'unsure'", "throttle takes the finding extraction"),
        ("name = 'x'\naction = 'observe'\nfinding = 'innocent'", "whoever is innocent is found so by people"),
        ("name = 'x'\naction = 'throttle'\nscope = 'principal'", "a rule is about a campaign"),
        ("name = 'x'\naction = 'restrict_tier'", "rule x: restrict_tier: models must be a list"),
        ("name = 'x'\naction = 'observe'\n[[rules]]\nname = 'x'\naction = 'observe'", "two rules are called x"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_refused(tmp_path: Path, rule: str, message: str) -> None:
    with pytest.raises(ResponseError) as raised:
        policy_of(tmp_path, f"version = 1\n[[rules]]\n{rule}\n")
    assert message in str(raised.value)


def test_the_page_of_proposals(tmp_path: Path) -> None:
    from stillwatch.review.settings import Settings
    from stillwatch.store.database import open_store
    from stillwatch.store.users import Role
    from tests.review.serving import Visitor, add_person, served

    policy = policy_of(tmp_path)
    store = open_store(str(tmp_path / "review.db"))
    for name, role in (("vera", Role.VIEWER), ("bob", Role.ANALYST)):
        add_person(store, name, role)
    loaded(store, tmp_path, policy)
    small, large = (row["id"] for row in waiting(store))
    with served(store, Settings(policy=policy, logins_a_minute=10_000)) as address:
        bob, vera = Visitor(address, "bob"), Visitor(address, "vera")
        page = bob.get("/proposals").text
        assert "suspend what is certain" in page  # in the shadow: counted, and not asked
        assert page.count("Decide so") == 2
        assert "Decide so" not in vera.get("/proposals").text
        assert vera.post(f"/proposals/{small}/accept", reason="one hand").status_code == 403
        assert bob.post(f"/proposals/{small}/accept", reason=" ").status_code == 422
        done = bob.post(f"/proposals/{small}/accept", reason="one hand")
        assert (done.status_code, done.headers["location"]) == (303, "/decisions/1")
        assert bob.post(f"/proposals/{small}/accept", reason="again").status_code == 409
        assert bob.post(f"/proposals/{large}/dismiss", reason="a class").status_code == 303
        told = bob.get("/proposals.json").json()
    assert (told["waiting"], told["more"]) == ([], False)
    assert {one["state"] for one in told["counts"]} == {"shadow", "taken", "dismissed"}
    assert case(store, "c-1")["decisions"][0]["asked_by"] == "bob"
    store.close()
