"""Operators: every way of hiding does what it says."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stillwatch.arena import Operator, Recipe, RecipeError, Release, generate
from stillwatch.objective.classes import OBJECTIVES

DAY_US = 86_400_000_000


def run(innocents: int = 0, text: str = "a", **fields: Any) -> tuple[pa.Table, pa.Table]:
    operator = Operator(**{"accounts": 30, "exchanges_per_account": 20, "camouflage": 0.0, **fields})
    recipe = Recipe(seed=2, text=text, innocents=innocents, exchanges=innocents * 15, operators=(operator,))
    return generate(recipe)


def planted(log: tuple[pa.Table, pa.Table]) -> pa.Table:
    exchanges, truth = log
    return exchanges.filter(truth["extraction"])


def new_text(table: pa.Table) -> list[str]:
    return [messages[-1]["content"] for messages in table["messages"].to_pylist()]


def seeds(table: pa.Table) -> list[str]:
    return [text.split("\n\n", 1)[1] for text in new_text(table)]


def hours(table: pa.Table) -> np.ndarray:
    moments = table["started_at"].cast(pa.int64()).to_numpy()
    return np.bincount((moments % DAY_US) // (DAY_US // 24), minlength=24)


def spread(counts: Any) -> float:
    values = np.asarray(list(counts), dtype=float)
    return float(values.std() / values.mean())


@pytest.mark.parametrize("text", ["a", "b"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_asked_for_with_fresh_seeds(text, objective):
    table = planted(run(text=text, objectives=(objective,), accounts=4, exchanges_per_account=6))
    texts = new_text(table)
    assert table.num_rows == 24
    assert len(set(texts)) == 24
    words = [set(t.split()) for t in texts]
    assert len(set.intersection(*words)) >= 3


def test_camouflage_is_whole_sessions_of_others(tmp_path):
    exchanges, truth = run(innocents=300, camouflage=0.8, accounts=20, exchanges_per_account=20)
    ours = exchanges.filter(pc.equal(truth["operator_id"], "operator-1"))
    extraction = pc.sum(truth["extraction"].cast(pa.int64())).as_py()
    assert extraction == pytest.approx(400, abs=10)
    assert ours.num_rows == pytest.approx(extraction / 0.2, rel=0.12)
    per_account = collections.Counter(ours["account_id"].to_pylist())
    assert len(per_account) == 20
    by_conversation = collections.defaultdict(set)
    for row in (
        ours.filter(pc.is_valid(ours["conversation_id"]))
        .select(["conversation_id", "account_id"])
        .to_pylist()
    ):
        by_conversation[row["conversation_id"]].add(row["account_id"])
    assert all(len(accounts) == 1 for accounts in by_conversation.values())


def test_wordings_are_recombined():
    for wordings, low, high in ((1, 1, 1), (2, 4, 16), (6, 150, 600)):
        rows = planted(run(wordings=wordings, position="system"))["messages"].to_pylist()
        assert low <= len({row[0]["content"] for row in rows}) <= high


def test_seeds_are_used_once_or_as_often_as_said():
    once = collections.Counter(seeds(planted(run(prompt="Explain fully."))))
    assert set(once.values()) == {1}
    table = planted(run(seed_repeats=4, prompt="Explain fully."))
    four = collections.Counter(seeds(table))
    assert set(four.values()) == {4}
    askers = collections.defaultdict(set)
    for seed, account in zip(seeds(table), table["account_id"].to_pylist(), strict=True):
        askers[seed].add(account)
    assert np.mean([len(accounts) for accounts in askers.values()]) > 3.5


def test_dispatch_and_hours():
    even = planted(run())
    heavy = planted(run(dispatch="heavy_tailed"))
    assert spread(collections.Counter(even["account_id"].to_pylist()).values()) < 0.15
    assert spread(collections.Counter(heavy["account_id"].to_pylist()).values()) > 0.6
    assert spread(hours(even)) < 0.3
    human = planted(run(hours="human", reach="odd", exchanges_per_account=60))
    assert spread(hours(human)) > 0.38
    paced = planted(run(hours="paced", accounts=5, exchanges_per_account=100))
    one = paced.filter(pc.equal(paced["account_id"], paced["account_id"][0]))
    gaps = np.diff(one["started_at"].cast(pa.int64()).to_numpy())
    assert spread(gaps) < 0.35


@pytest.mark.parametrize(("share", "low", "high"), [("none", 0.95, 1.0), ("all", 0.0, 0.3)])
def test_payment_and_address_sharing(share, low, high):
    table = planted(run(share_payment=share, share_network=share, share_address=share))
    accounts = table.group_by("account_id").aggregate([("payment_fingerprint", "min"), ("ip", "min")])
    for name in ("payment_fingerprint_min", "ip_min"):
        assert low <= pc.count_distinct(accounts[name]).as_py() / accounts.num_rows <= high


@pytest.mark.parametrize("how", ["after_exchanges", "random_days"])
def test_banned_accounts_are_replaced_within_hours(how):
    per = 120
    table = planted(
        run(
            replacement=how,
            ban_after=per // 4,
            accounts=6,
            exchanges_per_account=per,
            camouflage=0.3,
            innocents=60,
        )
    )
    counts = collections.Counter(table["account_id"].to_pylist())
    assert len(counts) > 6
    if how == "after_exchanges":
        assert max(counts.values()) <= per // 4
        assert len(counts) == pytest.approx(24, abs=6)
    spans = table.group_by("account_id").aggregate(
        [("started_at", "min"), ("started_at", "max"), ("account_created_at", "min")]
    )
    fresh = spans.filter(
        pc.greater(
            spans["account_created_at_min"],
            pa.scalar("2026-03-02T00:00:00Z").cast(spans["started_at_min"].type),
        )
    )
    assert fresh.num_rows >= 3
    ends = spans["started_at_max"].cast(pa.int64()).to_numpy()
    for opened in fresh["account_created_at_min"].cast(pa.int64()).to_numpy():
        assert np.abs(ends - opened).min() < 0.5 * DAY_US


@pytest.mark.parametrize("start_day", [0.0, 13.0])
def test_a_run_breaks_off_where_the_account_is_banned(start_day):
    """Of a run of 25 the first six are sent, the rest follows from replacements, opened before they send."""
    table = planted(
        run(
            replacement="after_exchanges",
            ban_after=6,
            in_a_row=25,
            exchanges_per_account=25,
            accounts=8,
            hours="bursts",
            start_day=start_day,
        )
    )
    counts = collections.Counter(table["account_id"].to_pylist())
    assert sum(counts.values()) == 200
    assert max(counts.values()) == 6
    assert pc.all(pc.less_equal(table["account_created_at"], table["started_at"])).as_py()


def test_pivot_is_at_once_and_together():
    operator = Operator(accounts=40, exchanges_per_account=40, camouflage=0.0)
    shares = {}
    for pivot in (True, False):
        recipe = Recipe(
            innocents=0,
            operators=(Operator(**{**vars_of(operator), "pivot": pivot}),),
            release=Release("next", 7.0),
        )
        table, _ = generate(recipe)
        after = table.filter(pc.greater(table["started_at"].cast(pa.int64()), recipe.start_us + 8 * DAY_US))
        shares[pivot] = pc.mean(pc.equal(after["model"], "next").cast(pa.float64())).as_py()
    assert shares[True] == 1.0
    assert shares[False] < 0.5


def vars_of(operator: Operator) -> dict[str, Any]:
    return {name: getattr(operator, name) for name in Operator.__slots__}


def test_positions():
    system = planted(run(position="system"))
    rows = system["messages"].to_pylist()
    assert all(len(row) == 2 and row[0]["role"] == "system" for row in rows)
    assert len({row[0]["content"] for row in rows}) == 1
    assert not set(rows[0][0]["content"].split(". ")) & set(rows[0][1]["content"].split(". "))
    split = planted(run(position="split"))["messages"].to_pylist()
    assert all(row[0]["role"] == "system" and len(row) == 2 for row in split)
    assert len({row[1]["content"] for row in split}) == len(split)


def test_inside_an_agent_and_through_a_reseller():
    exchanges, truth = run(innocents=600, venue="agent")
    ours = exchanges.filter(truth["extraction"])
    prompt = {row[0]["content"] for row in ours["messages"].to_pylist()}
    assert len(prompt) == 1
    assert ours["tools"].null_count == 0
    agents = exchanges.filter(pc.equal(truth["population"], "agent"))
    assert prompt <= {row[0]["content"] for row in agents["messages"].to_pylist()}

    exchanges, truth = run(innocents=600, venue="reseller", camouflage=0.5)
    ours = truth.filter(truth["extraction"])
    customers = truth.filter(pc.equal(truth["population"], "reseller"))
    assert set(ours["account_id"].to_pylist()) == set(customers["account_id"].to_pylist())
    assert pc.count_distinct(ours["end_user_id"]).as_py() == 30
    assert not set(ours["end_user_id"].to_pylist()) & set(customers["end_user_id"].to_pylist())

    with pytest.raises(RecipeError, match="needs an innocent population of that kind"):
        run(venue="agent")


def test_harvest_asks_for_more():
    table = planted(run(harvest=True))
    assert pc.min(table["sample_count"]).as_py() >= 4
    assert pc.count_distinct(table["temperature"]).as_py() >= 4
    assert pc.max(table["top_logprobs"]).as_py() == 20
    assert planted(run())["sample_count"].null_count == 600


def test_objectives_share_accounts_unless_kept_apart():
    kinds = ("elicited_reasoning", "rubric_grading")
    for disjoint, expected in ((False, 2), (True, 1)):
        _, truth = run(objectives=kinds, disjoint=disjoint)
        templates = collections.defaultdict(set)
        for row in truth.select(["account_id", "template_id"]).to_pylist():
            templates[row["account_id"]].add(row["template_id"])
        assert pytest.approx(np.mean([len(t) for t in templates.values()]), abs=0.1) == expected


def test_own_text_and_many_accounts():
    table = planted(run(prompt="You are an expert data analyst.", objectives=("data_analysis",), accounts=50))
    assert all(text.startswith("You are an expert data analyst.\n\n") for text in new_text(table))
    assert len(set(new_text(table))) == table.num_rows


@pytest.mark.parametrize("language", ["zh", "ja", "th", "code"])
def test_languages(language):
    objective = "coding_drill" if language == "code" else "rubric_grading"
    table = planted(run(text="b", language=language, objectives=(objective,), wordings=6))
    texts = new_text(table)
    assert len(set(texts)) == len(texts)
    if language != "code":
        outside = np.mean([sum(ord(c) > 0x0E00 for c in text) / len(text) for text in texts])
        assert outside > 0.7
    with pytest.raises(RecipeError, match="has no template for"):
        run(text="a", language="th")


def test_staggered_accounts_do_not_start_together():
    def first_days(opened: str) -> np.ndarray:
        spans = planted(run(accounts_opened=opened)).group_by("account_id").aggregate([("started_at", "min")])
        return spans["started_at_min"].cast(pa.int64()).to_numpy() / DAY_US

    assert first_days("together").std() < 1.0 < first_days("organic").std()


def moments_by_account(table: pa.Table) -> list[np.ndarray]:
    moments = table["started_at"].cast(pa.int64()).to_numpy()
    accounts = np.array(table["account_id"].to_pylist())
    return [np.sort(moments[accounts == account]) for account in np.unique(accounts)]


HOURS = ("round_the_clock", "human", "paced", "nightly", "bursts", "sittings")


@pytest.mark.parametrize("opened", ["together", "organic"])
@pytest.mark.parametrize("kind", HOURS)
def test_runs_of_exchanges_with_all_hours(kind, opened):
    """Six exchanges of an account stand together, a gap of 5 to 120 s apart; the runs lie far apart."""
    table = planted(run(hours=kind, in_a_row=6, exchanges_per_account=18, accounts_opened=opened))
    assert table.num_rows == 540
    gaps = np.concatenate([np.diff(at) for at in moments_by_account(table)]) / 1e6
    short = gaps[gaps <= 120.0]
    assert 0.75 * 540 * 5 / 6 < len(short) < 1.1 * 540 * 5 / 6
    assert np.percentile(short, 90) < 2.2 * np.percentile(short, 10)
    single = planted(run(hours=kind, exchanges_per_account=18, accounts_opened=opened))
    alone = np.concatenate([np.diff(at) for at in moments_by_account(single)]) / 1e6
    assert np.mean(alone <= 120.0) < (0.6 if kind == "sittings" else 0.1)


def test_a_sticky_dispatcher_takes_turns():
    """Everybody's first run is over before the second ones begin."""
    accounts = moments_by_account(planted(run(in_a_row=25, exchanges_per_account=50, accounts=20)))
    first, last = [at[0] for at in accounts], [at[-1] for at in accounts]
    assert np.quantile(first, 0.9) < np.quantile(last, 0.1)


def test_nights_of_one_time_zone_and_batches_of_all():
    night = hours(planted(run(hours="nightly", exchanges_per_account=100)))
    assert np.count_nonzero(night) == 8 + int(np.count_nonzero(night) == 9)
    table = planted(run(hours="bursts", exchanges_per_account=100))
    moments = table["started_at"].cast(pa.int64()).to_numpy()
    edges = np.flatnonzero(np.diff(moments) > 0.5 * DAY_US / 24) + 1
    batches = np.split(moments, edges)
    assert 5 <= len(batches) <= 12
    assert sum(at[-1] - at[0] for at in batches) < 12 * DAY_US / 4
    assert (
        len({a for at in moments_by_account(table) for a in np.searchsorted(moments[edges], at, "right")}) > 4
    )
    busiest = max(batches, key=len)
    present = [np.any((at >= busiest[0]) & (at <= busiest[-1])) for at in moments_by_account(table)]
    assert np.mean(present) > 0.9


def test_sittings_are_of_three_to_eight_and_follow_the_account():
    accounts = moments_by_account(planted(run(hours="sittings", exchanges_per_account=60)))
    sizes = []
    for at in accounts:
        sizes += [len(part) for part in np.split(at, np.flatnonzero(np.diff(at) > DAY_US / 72) + 1)]
    assert 3 <= np.median(sizes) <= 8
    days = [len(np.unique(at // DAY_US)) for at in accounts]
    assert np.std(days) > 1.0


def test_nightly_needs_a_night():
    with pytest.raises(RecipeError, match=r"'nightly' needs a day at work at least, 'operator-1' has 0\.25"):
        run(hours="nightly", days=0.25)
