"""The log that is written: its schema, its order, its history, the same bytes for the same recipe."""

from __future__ import annotations

import dataclasses
import gzip
import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import Operator, Recipe, RecipeError, generate, simulate
from stillwatch.arena.log import TRUTH_SCHEMA
from stillwatch.arena.recipe import WITHHOLDABLE, load
from stillwatch.exchange import EXCHANGE_SCHEMA, REQUIRED

SMALL = Recipe(
    seed=5,
    innocents=320,
    exchanges=5_000,
    operators=(Operator(accounts=15, exchanges_per_account=8, camouflage=0.5),),
)


@pytest.fixture(scope="module")
def small() -> tuple[pa.Table, pa.Table]:
    return generate(SMALL)


def test_schema_order_and_truth(small):
    exchanges, truth = small
    assert exchanges.schema.equals(EXCHANGE_SCHEMA)
    assert truth.schema.equals(TRUTH_SCHEMA)
    for name in REQUIRED:
        assert exchanges[name].null_count == 0
    assert pc.count_distinct(exchanges["exchange_id"]).as_py() == exchanges.num_rows
    times = exchanges["started_at"].cast(pa.int64()).to_numpy()
    assert (times[1:] >= times[:-1]).all()
    assert times[0] >= SMALL.start_us
    assert times[-1] < SMALL.start_us + SMALL.days * 86_400_000_000
    for name in ("exchange_id", "account_id", "end_user_id"):
        assert exchanges[name].equals(truth[name])


def test_accounts_are_opened_before_they_are_used(small):
    exchanges, _ = small
    assert pc.all(pc.less_equal(exchanges["account_created_at"], exchanges["started_at"])).as_py()


def test_rows_are_not_all_of_one_kind(small):
    exchanges, truth = small
    assert set(truth["population"].unique().to_pylist()) >= {
        *("chat", "library", "viral", "client", "agent", "integrator", "reseller", "benchmark", "grader"),
        *("pipeline", "assignment", "pool", "enthusiast", "tenant", "job", "operator", "camouflage"),
    }
    assert pc.count_distinct(exchanges["country"]).as_py() > 8
    assert exchanges["tools"].null_count < exchanges.num_rows
    roles = {m["role"] for row in exchanges["messages"].to_pylist() for m in row}
    assert roles == {"system", "user", "assistant", "tool"}


def test_history_repeats_earlier_turns(small):
    exchanges, _ = small
    last: dict[str, dict] = {}
    checked = 0
    for row in exchanges.select(["conversation_id", "messages", "completion"]).to_pylist():
        name, messages = row["conversation_id"], row["messages"]
        if name is None:
            continue
        turns = [m for m in messages if m["role"] != "system"]
        if name in last:
            earlier = [m for m in last[name]["messages"] if m["role"] != "system"]
            expected = [*earlier, {"role": "assistant", "content": last[name]["completion"]}]
            kept = len(turns) - 1
            assert turns[:-1] == expected[len(expected) - kept :]
            checked += 1
        last[name] = row
    assert checked > 200


def test_same_recipe_same_bytes_and_another_seed_another_log(tmp_path):
    first = simulate(SMALL, tmp_path / "one")
    second = simulate(SMALL, tmp_path / "two")
    assert first.exchanges_path.read_bytes() == second.exchanges_path.read_bytes()
    assert first.truth_path.read_bytes() == second.truth_path.read_bytes()
    assert load(first.recipe_path) == SMALL
    assert first.extraction_exchanges == 120
    assert first.operator_principals == 15
    assert pq.read_table(first.exchanges_path).num_rows == first.exchanges
    other = simulate(dataclasses.replace(SMALL, seed=6), tmp_path / "three")
    assert other.exchanges_path.read_bytes() != first.exchanges_path.read_bytes()
    assert not list(tmp_path.rglob("*.tmp"))


def test_slicing_does_not_change_the_log(small):
    exchanges, truth = generate(dataclasses.replace(SMALL, slice_rows=777))
    assert exchanges.equals(small[0])
    assert truth.equals(small[1])


def test_withheld_columns_are_null_and_nothing_else_changes(small):
    exchanges, truth = generate(
        dataclasses.replace(SMALL, withhold=("identities", "network", "payment", "ages"))
    )
    hidden = {name for group in ("identities", "network", "payment", "ages") for name in WITHHOLDABLE[group]}
    for name in EXCHANGE_SCHEMA.names:
        if name in hidden:
            assert exchanges[name].null_count == exchanges.num_rows
        else:
            assert exchanges[name].equals(small[0][name])
    assert truth.equals(small[1])


def test_prompts_of_a_file_are_asked(tmp_path):
    lines = [f"Is sentence {n} of the file asked at all, number {n * 7}?" for n in range(400)]
    path = tmp_path / "prompts.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": line}) + "\n" for line in lines)
    plain = tmp_path / "plain.txt"
    plain.write_text("Only a plain line.\n\n", encoding="utf-8")
    operator = Operator(
        accounts=20, exchanges_per_account=10, camouflage=0.0, prompt="Work this out in full."
    )
    recipe = Recipe(innocents=100, exchanges=2_000, prompts=(str(path), str(plain)), operators=(operator,))
    exchanges, truth = generate(recipe)
    news = [row[-1]["content"] for row in exchanges["messages"].to_pylist()]
    extraction = truth["extraction"].to_pylist()
    chat = [text for text, planted in zip(news, extraction, strict=True) if not planted]
    assert sum(text in set(lines) for text in chat) > 100
    seeds = [text.split("\n\n")[1].strip() for text, planted in zip(news, extraction, strict=True) if planted]
    assert len(set(seeds)) == len(seeds) == 200
    assert set(seeds) <= {*lines, "Only a plain line."}


@pytest.mark.parametrize(
    ("content", "message"), [("", "hold no text"), ('{"txt": 1}\n', "line 1 is no JSON object")]
)
def test_bad_prompt_files_are_named(tmp_path, content, message):
    path = tmp_path / "prompts.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        generate(Recipe(innocents=20, exchanges=100, prompts=(str(path),)))


@pytest.mark.parametrize(
    "objective", ["agentic_trajectory", "data_analysis", "rubric_grading", "maths_drill"]
)
def test_prompts_fill_whichever_slot_takes_text(tmp_path, objective):
    path = tmp_path / "plain.txt"
    lines = [f"zeroth{n} question of somebody real" for n in range(300)]
    path.write_text("\n".join(lines), encoding="utf-8")
    operator = Operator(accounts=5, exchanges_per_account=10, camouflage=0.0, objectives=(objective,))
    exchanges, truth = generate(
        Recipe(innocents=200, exchanges=3_000, prompts=(str(path),), operators=(operator,))
    )
    asked = [
        row[-1]["content"].count("question of somebody real") for row in exchanges["messages"].to_pylist()
    ]
    rows = list(zip(asked, truth["population"].to_pylist(), truth["extraction"].to_pylist(), strict=True))
    assert [count for count, _, planted in rows if planted] == [1] * 50
    assert sum(count for count, population, _ in rows if population == "client") > 20
