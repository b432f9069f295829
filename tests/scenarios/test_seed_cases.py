"""The prompts that this project began with: once, many times, licensed, shared by a client, under one key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stillwatch.arena import Operator, Recipe, Shares, generate
from stillwatch.examine import Options
from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.findings import Result
from stillwatch.registry import read_registry
from tests.conftest import START, exchange, words
from tests.scans import extraction_campaigns, having, operated, scan_log, to_log, verdicts

DAYS = 14
ANALYST = (
    "You are an expert data analyst. Deliver data-driven insights grounded in complete and transparent "
    "reasoning."
)
ELICIT = (
    "Imagine and articulate the internal reasoning behind a completed response and write it out step by step."
)
GRADE = (
    "Grade the response below against the rubric. Score every criterion from 1 to 5, justify each score in "
    "one sentence and give the total."
)


@dataclass(frozen=True)
class Seed:
    """One prompt, what it is for, and the size at which it is a campaign here."""

    prompt: str
    objective: str
    accounts: int
    each: int


SEEDS = {
    "analyst": Seed(ANALYST, "data_analysis", 500, 100),
    "reasoning": Seed(ELICIT, "elicited_reasoning", 80, 40),
    "grading": Seed(GRADE, "rubric_grading", 80, 40),
}
EVERY_SEED = pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS.keys())


@pytest.fixture(scope="module")
def ordinary() -> pa.Table:
    """Two weeks of ordinary traffic of all kinds, nobody's campaign."""
    return generate(Recipe(seed=9401, days=DAYS, innocents=1_200, exchanges=20_000))[0]


def asked_for(seed: Seed, accounts: int, each: float, recipe_seed: int = 9402) -> pa.Table:
    """The prompt with varied data from so many accounts, dealt out as a dispatcher does: the worst case."""
    operator = Operator(
        prompt=seed.prompt, objectives=(seed.objective,), accounts=accounts, exchanges_per_account=each,
        camouflage=0.0,
    )  # fmt: skip
    return generate(Recipe(seed=recipe_seed, days=DAYS, innocents=0, exchanges=0, operators=(operator,)))[0]


def under_one_key(log: pa.Table, account: str, organization: str | None, *, end_users: bool) -> pa.Table:
    """The same exchanges, all from one key; their accounts become its end users, or are not named."""
    same = pa.array([account] * log.num_rows, pa.string())
    users = log["account_id"] if end_users else pa.nulls(log.num_rows, pa.string())
    firm = pa.array([organization] * log.num_rows, pa.string())
    changed = {"account_id": same, "end_user_id": users, "organization_id": firm}
    alike = (
        "account_created_at",
        "payment_fingerprint",
        "user_agent",
        "tls_fingerprint",
        "asn",
        "country",
        "ip",
    )
    changed |= {
        name: pa.array([log[name][0].as_py()] * log.num_rows, log.schema.field(name).type) for name in alike
    }
    return replace(log, changed)


def replace(log: pa.Table, columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    arrays = [columns.get(name, log[name]) for name in EXCHANGE_SCHEMA.names]
    return pa.table(arrays, schema=EXCHANGE_SCHEMA)


def together(*logs: pa.Table) -> pa.Table:
    """One log out of several, in order of time, with ids of its own."""
    joined = pa.concat_tables(logs).sort_by([("started_at", "ascending"), ("exchange_id", "ascending")])
    ids = pa.array([f"x{number:07d}" for number in range(joined.num_rows)])
    return replace(joined, {"exchange_id": ids})


def client_of(seed: Seed, recipe_seed: int = 9403) -> pa.Table:
    """The users of one public client whose system prompt is the prompt: own data, own hours, in sittings."""
    none = {name: 0.0 for name in Shares.__dataclass_fields__}
    shares = Shares(**{**none, "client": 1.0})
    log, _ = generate(Recipe(seed=recipe_seed, days=DAYS, innocents=400, exchanges=12_000, shares=shares))
    messages = [
        [{**turn, "content": seed.prompt} if turn["role"] == "system" else turn for turn in turns]
        for turns in log["messages"].to_pylist()
    ]
    return replace(log, {"messages": pa.array(messages, EXCHANGE_SCHEMA.field("messages").type)})


def paste_of(seed: Seed, accounts: int = 150) -> pa.Table:
    """People whose client puts the prompt before what they paste: own matter, a few sittings, own hours."""
    rng = np.random.default_rng(9404)
    rows = []
    for person in range(accounts):
        own = rng.integers(0, 60_000, 150)
        hour = int(rng.integers(7, 22))
        for _ in range(int(rng.integers(2, 6))):
            begin = (int(rng.integers(0, DAYS)) * 24 + hour) * 3600 + int(rng.integers(0, 2400))
            for turn in range(int(rng.integers(3, 9))):
                text = " ".join(f"word{own[place]}" for place in rng.integers(0, len(own), 60))
                at = START + np.timedelta64(begin + 180 * turn, "s").item()
                row = exchange(len(rows), f"person-{person:03d}", f"{seed.prompt}\n\n{text}.", started_at=at)
                rows.append(row | {"conversation_id": None})
    return to_log(rows)


def accounts_of(log: pa.Table) -> set[tuple[str, None]]:
    return {(account, None) for account in pc.unique(log["account_id"]).to_pylist()}


def nobody_is_accused(result: Result) -> bool:
    return (
        not having(result, "extraction") and not extraction_campaigns(result) and not result.matches.num_rows
    )


def most_shared(result: Result) -> int:
    """Principals of the family that most of them share."""
    return int(pc.max(result.families["principals"]).as_py())


def test_of_ordinary_traffic_alone_nobody_is_accused(ordinary: pa.Table, tmp_path: Path) -> None:
    assert nobody_is_accused(scan_log(ordinary, tmp_path))


@EVERY_SEED
def test_once_is_nothing(seed: Seed, ordinary: pa.Table, tmp_path: Path) -> None:
    someone = ordinary["account_id"][7].as_py()
    rows = [
        exchange(1, "newcomer", f"{seed.prompt}\n\n{words(np.random.default_rng(1), 60)}"),
        exchange(2, someone, f"{seed.prompt}\n\n{words(np.random.default_rng(2), 60)}"),
    ]
    now = [ordinary["started_at"][500].as_py(), ordinary["started_at"][900].as_py()]
    rows = [row | {"started_at": at} for row, at in zip(rows, now, strict=True)]
    (tmp_path / "without").mkdir()
    before = verdicts(scan_log(ordinary, tmp_path / "without"))
    result = scan_log(together(ordinary, to_log(rows)), tmp_path)
    assert verdicts(result) == before | {("newcomer", None): "none"}
    assert nobody_is_accused(result)


@EVERY_SEED
def test_from_many_accounts_it_is_one_campaign_of_exactly_those(
    seed: Seed, ordinary: pa.Table, tmp_path: Path
) -> None:
    campaign = asked_for(seed, seed.accounts, seed.each)
    assert campaign.num_rows == seed.accounts * seed.each
    result = scan_log(together(ordinary, campaign), tmp_path)
    assert extraction_campaigns(result) == [accounts_of(campaign)]
    assert having(result, "extraction") == accounts_of(campaign)
    assert len(accounts_of(campaign)) == seed.accounts
    # All that it sent, and nothing else.
    assert result.matches.num_rows == campaign.num_rows


def test_an_account_of_a_campaign_that_also_serves_ordinary_customers_is_in_it(tmp_path: Path) -> None:
    operator = Operator(
        prompt=ANALYST, objectives=("data_analysis",), accounts=100, exchanges_per_account=30, camouflage=0.6
    )
    log, truth = generate(Recipe(seed=9405, innocents=800, exchanges=12_000, operators=(operator,)))
    result = scan_log(log, tmp_path)
    assert extraction_campaigns(result) == list(operated(truth).values())


@EVERY_SEED
def test_from_the_key_of_a_registered_integrator_it_is_licensed(
    seed: Seed, ordinary: pa.Table, tmp_path: Path
) -> None:
    users = 3_000 if seed.accounts == 500 else 400
    log = under_one_key(asked_for(seed, users, 5), "acct-integrator", "org-insight", end_users=True)
    registry = tmp_path / "registry.toml"
    registry.write_text('[[organization]]\nid = "org-insight"\nmay = ["data_generation"]\n')
    result = scan_log(together(ordinary, log), tmp_path, Options(registry=read_registry(registry)))
    assert nobody_is_accused(result)
    assert verdicts(result)["acct-integrator", None] == "licensed"
    assert {account for account, _ in having(result, "licensed")} == {"acct-integrator"}
    assert not any("acct-integrator" in str(campaign) for campaign in result.campaigns)


def test_a_licence_covers_its_own_and_not_who_sends_the_same(ordinary: pa.Table, tmp_path: Path) -> None:
    seed = SEEDS["reasoning"]
    firm = under_one_key(asked_for(seed, 300, 10, 9406), "acct-integrator", "org-insight", end_users=True)
    campaign = asked_for(seed, seed.accounts, seed.each)
    registry = tmp_path / "registry.toml"
    registry.write_text('[[organization]]\naccounts = ["acct-integrator"]\n')
    result = scan_log(together(ordinary, firm, campaign), tmp_path, Options(registry=read_registry(registry)))
    assert verdicts(result)["acct-integrator", None] == "licensed"
    assert extraction_campaigns(result) == [accounts_of(campaign)]


@pytest.mark.parametrize("until", ["2026-03-01", "2026-03-14"])
def test_a_licence_that_ran_out_covers_nothing(until: str, ordinary: pa.Table, tmp_path: Path) -> None:
    # The log begins on the second of March and ends on the fifteenth.
    log = under_one_key(asked_for(SEEDS["reasoning"], 300, 15), "acct-key", "org-insight", end_users=True)
    registry = tmp_path / "registry.toml"
    registry.write_text(f'[[organization]]\nid = "org-insight"\nuntil = {until}\n')
    result = scan_log(together(ordinary, log), tmp_path, Options(registry=read_registry(registry)))
    assert verdicts(result)["acct-key", None] != "licensed"
    assert nobody_is_accused(result)


@EVERY_SEED
@pytest.mark.parametrize("log_of", [client_of, paste_of])
def test_from_the_users_of_one_public_client_it_is_no_extraction(
    seed: Seed, log_of, ordinary: pa.Table, tmp_path: Path
) -> None:
    users = log_of(seed)
    result = scan_log(together(ordinary, users), tmp_path)
    assert nobody_is_accused(result)
    # It was seen that they share it: the case is not passed by looking away.
    assert most_shared(result) >= 0.9 * len(accounts_of(users))


@EVERY_SEED
@pytest.mark.parametrize("organization", [None, "org-unknown"])
def test_from_one_unregistered_key_with_end_users_it_is_at_most_undetermined(
    seed: Seed, organization: str | None, ordinary: pa.Table, tmp_path: Path
) -> None:
    log = under_one_key(asked_for(seed, 300, 15), "acct-key", organization, end_users=True)
    result = scan_log(together(ordinary, log), tmp_path)
    assert nobody_is_accused(result)
    own = {verdict for (account, _), verdict in verdicts(result).items() if account == "acct-key"}
    assert own <= {"none", "undetermined", "integrator"}
    assert most_shared(result) >= 290


@EVERY_SEED
def test_from_one_unregistered_key_without_end_users_it_is_at_most_undetermined(
    seed: Seed, ordinary: pa.Table, tmp_path: Path
) -> None:
    log = under_one_key(asked_for(seed, 300, 15), "acct-key", None, end_users=False)
    result = scan_log(together(ordinary, log), tmp_path)
    assert nobody_is_accused(result)
    assert verdicts(result)["acct-key", None] in ("none", "undetermined", "integrator")


def test_one_hand_that_asks_for_nothing_is_undetermined(tmp_path: Path) -> None:
    prompt = "List three places nearby that are open in the evening and easy to reach by tram"
    operator = Operator(prompt=prompt, accounts=80, exchanges_per_account=25, camouflage=0.5)
    log, truth = generate(Recipe(seed=9407, innocents=800, exchanges=12_000, operators=(operator,)))
    result = scan_log(log, tmp_path)
    assert nobody_is_accused(result)
    (own,) = operated(truth).values()
    assert len(own & having(result, "undetermined")) >= 0.95 * len(own)
    assert "asks for no training data" in str(result.campaigns)


def test_who_sends_a_sentence_of_the_template_now_and_then_is_not_in_the_campaign(tmp_path: Path) -> None:
    sentence = (
        "Please act as an impartial judge and weigh the two answers that an assistant gave to the question"
    )
    rest = "Write down every step of your reasoning, then score clarity, depth and honesty from one to ten"
    operator = Operator(
        prompt=f"{sentence}. {rest}.", objectives=("rubric_grading",), accounts=80,
        exchanges_per_account=15, camouflage=0.5,
    )  # fmt: skip
    log, truth = generate(Recipe(seed=9408, innocents=800, exchanges=12_000, operators=(operator,)))
    begin, end = (bound.as_py() for bound in pc.min_max(log["started_at"]).values())
    rng = np.random.default_rng(9408)
    rows = [
        exchange(number, f"evaluator-{number % 12}", f"{sentence}\n\n{words(rng, 60)}")
        | {"started_at": begin + float(rng.uniform()) * (end - begin)}
        for number in range(36)
    ]
    result = scan_log(together(log, to_log(rows)), tmp_path)
    assert extraction_campaigns(result) == list(operated(truth).values())
    assert not any(account.startswith("evaluator") for account, _ in having(result, "extraction"))
