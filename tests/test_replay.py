"""Replay: the mathematics of a scan at every look, nothing of the future, and each exchange once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stillwatch.arena import PRESETS, simulate
from stillwatch.cli import app
from stillwatch.examine import Options, Scanned, examine
from stillwatch.families.fragments import Presence
from stillwatch.keys import Keys
from stillwatch.live.history import History
from stillwatch.live.naming import Group, Names
from stillwatch.live.replay import RESULT, Replayed, looks_at, replay
from stillwatch.live.step import Live, Look, Looking
from stillwatch.rejects import RejectLog, TooManyRejectsError
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool
from stillwatch.streams import DAY_US, HOUR_US
from tests.scans import TEST_KEY

KEYS = Keys(local=TEST_KEY)
EAGER = Looking(step_us=DAY_US, margin_bits=0.0, looks=1)
"""Accuses as a scan does, at every look."""
RARELY = replace(EAGER, step_us=2 * DAY_US)
"""As eager, at half of the looks, each of which takes as long as a scan."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    simulate(PRESETS["tiny"], folder / "log")
    return folder / "log" / "exchanges.parquet"


def spooled(path: Path, spool: Spool) -> Presence:
    presence = Presence(Options().rule.least_principals)
    for batch in sketch_log(Source((path,)), KEYS, RejectLog(None)):
        spool.write(batch)
        presence.observe(batch)
    return presence


def last_look(path: Path, folder: Path, looking: Looking) -> tuple[Live, list[Look]]:
    folder.mkdir(exist_ok=True)
    with Spool(folder) as spool, History(folder) as history:
        spooled(path, spool)
        live = Live(history, KEYS, Options(), looking)
        return live, list(looks_at(live, spool, looking.step_us))


def replayed(path: Path, out: Path, looking: Looking = EAGER) -> Replayed:
    return replay(Source((path,)), out, KEYS, Options(), looking)


def by_id(scanned: Scanned) -> dict[str, set[str]]:
    """Families of each exchange."""
    ids = scanned.sketches["exchange_id"].to_pylist()
    names = scanned.families.identify()
    found: dict[str, set[str]] = {}
    for row, family in zip(scanned.families.row.tolist(), scanned.families.family.tolist(), strict=True):
        found.setdefault(ids[row], set()).add(names[family])
    return found


@pytest.mark.parametrize("step_us", [HOUR_US * 40, DAY_US * 400])
def test_the_last_look_has_the_families_signals_and_bits_of_a_scan(
    log: Path, tmp_path: Path, step_us: int
) -> None:
    with Spool(tmp_path) as spool:
        presence = spooled(log, spool)
        scanned = examine(spool, presence, Options())
        found = last_look(log, tmp_path / "live", Looking(step_us, 4000 * DAY_US))[1][-1].scanned
        assert found is not None
        assert by_id(found) == by_id(scanned)
        for name in ("by_family", "by_group"):
            one, other = getattr(found, name), getattr(scanned, name)
            np.testing.assert_array_equal(one.value, other.value)
            np.testing.assert_array_equal(one.n, other.n)
            np.testing.assert_array_equal(one.bits, other.bits)
        np.testing.assert_array_equal(found.groups.label, scanned.groups.label)


def test_flags_know_nothing_of_the_future(log: Path, tmp_path: Path) -> None:
    whole = replayed(log, tmp_path / "whole", RARELY).flags
    assert len(whole) > 0
    middle = whole["flagged_at"][len(whole) // 2].as_py()
    table = pq.read_table(log)
    pq.write_table(table.filter(pc.less(table["started_at"], middle)), tmp_path / "first.parquet")
    first = replayed(tmp_path / "first.parquet", tmp_path / "first", RARELY).flags
    expected = whole.filter(pc.less_equal(whole["flagged_at"], middle))
    for name in ("account_id", "end_user_id", "campaign_id", "flagged_at", "evidence_bits"):
        assert first[name].to_pylist() == expected[name].to_pylist(), name


def test_who_is_flagged_is_planted_and_nobody_is_flagged_twice(log: Path, tmp_path: Path) -> None:
    flags = replayed(log, tmp_path / "out", Looking(step_us=DAY_US)).flags
    truth = pq.read_table(log.parent / "truth.parquet").to_pylist()
    ids = dict(
        zip(
            *(pq.read_table(log, columns=["exchange_id", "account_id"])[n].to_pylist() for n in (0, 1)),
            strict=True,
        )
    )
    planted = {ids[row["exchange_id"]] for row in truth if row["extraction"]}
    flagged = flags["account_id"].to_pylist()
    assert flagged
    assert set(flagged) <= planted
    assert len(set(flagged)) == len(flagged)


def test_looks_come_sooner_where_a_campaign_comes_near_the_bar_and_then_no_more(
    log: Path, tmp_path: Path
) -> None:
    rarely, sooner = (
        replayed(log, tmp_path / str(count), Looking(DAY_US, margin_bits=0.0, sooner=count))
        for count in (1, 6)
    )
    first = [pc.min(one.flags["flagged_at"]).as_py() for one in (rarely, sooner)]
    assert first[1] < first[0]
    assert set(rarely.flags["account_id"].to_pylist()) <= set(sooner.flags["account_id"].to_pylist())
    looks = [one.overview["looks"] for one in (rarely, sooner)]
    assert looks[0] < looks[1] < looks[0] + 12
    assert sooner.overview["looking"]["soonest_s"] == 4 * 3600


def test_traffic_at_rest_is_looked_at_no_sooner(tmp_path: Path) -> None:
    recipe = replace(PRESETS["tiny"], operators=())
    simulate(recipe, tmp_path / "log")
    log = tmp_path / "log" / "exchanges.parquet"
    looks = [
        replayed(log, tmp_path / str(count), Looking(2 * DAY_US, sooner=count)).overview["looks"]
        for count in (1, 6)
    ]
    assert looks[0] == looks[1] > 5


@pytest.mark.slow
def test_order_and_repetition_of_a_log_change_nothing(log: Path, tmp_path: Path) -> None:
    plain = replayed(log, tmp_path / "plain")
    table = pq.read_table(log)
    mixed = pa.concat_tables([table, table.slice(0, 500)])
    order = np.random.default_rng(3).permutation(len(mixed))
    pq.write_table(mixed.take(pa.array(order)), tmp_path / "mixed.parquet")
    other = replayed(tmp_path / "mixed.parquet", tmp_path / "mixed")
    assert other.flags.equals(plain.flags)
    assert other.looks.equals(plain.looks)
    assert other.overview["exchanges"]["repeated"] == 500
    assert other.overview["exchanges"]["taken"] == len(table)


def test_a_replay_of_rubbish_leaves_an_earlier_result_but_for_the_list(tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    out.mkdir()
    for name in RESULT:
        (out / name).write_bytes(b"of before")
    log.write_bytes(b'{"exchange_id": "x", "messages": 1}\n' * 50)
    with pytest.raises(TooManyRejectsError, match="50 of 50 records"):
        replay(Source((log,), format="native-jsonl"), out, KEYS, Options(), EAGER)
    assert len((out / "rejected.jsonl").read_bytes().splitlines()) == 50
    assert {(out / name).read_bytes() for name in set(RESULT) - {"rejected.jsonl"}} == {b"of before"}
    assert sorted(path.name for path in out.iterdir()) == sorted(RESULT)


def test_what_comes_late_counts_from_the_next_look_on(log: Path, tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, History(tmp_path) as history:
        spooled(log, spool)
        whole = pa.Table.from_batches(list(spool)).combine_chunks().to_batches()[0]
        at = whole["at_us"].to_numpy()
        end = int(at.max()) + 1
        late = np.arange(len(at)) % 7 == 0
        live = Live(history, KEYS, Options(), EAGER)
        live.observe(whole.filter(pa.array(~late)), end)
        before = live.look(end)
        live.observe(whole.filter(pa.array(late)), end + 1)
        after = live.look(end + HOUR_US)
        assert before.scanned is not None
        assert after.scanned is not None
        assert live.counts.late == late.sum()
        presence = Presence(Options().rule.least_principals)
        for batch in spool:
            presence.observe(batch)
        assert by_id(after.scanned) == by_id(examine(spool, presence, Options()))
        assert by_id(before.scanned) != by_id(after.scanned)


def test_a_clock_far_ahead_and_what_is_older_than_the_window_are_left_out_and_counted(
    log: Path, tmp_path: Path
) -> None:
    with Spool(tmp_path) as spool, History(tmp_path) as history:
        spooled(log, spool)
        batches = list(spool)
        at = np.concatenate([batch["at_us"].to_numpy() for batch in batches])
        live = Live(history, KEYS, Options(), Looking(window_us=2 * DAY_US))
        now = int(np.quantile(at, 0.5))
        for batch in batches:
            live.observe(batch, now)
        oldest = (now - 2 * DAY_US) // DAY_US * DAY_US
        assert live.counts.ahead == (at > now + DAY_US).sum() > 0
        assert live.counts.too_old == (at < oldest).sum()
        live.look(now)
        assert history.rows == ((at >= oldest) & (at < now)).sum()
        live.look(now + 10 * DAY_US)
        assert history.rows == 0
        assert live.counts.forgotten == ((at >= oldest) & (at < now)).sum()
        assert live.counts.taken == live.counts.forgotten


def test_a_look_does_not_go_back_in_time(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        live = Live(history, KEYS, Options(), Looking())
        live.look(HOUR_US)
        with pytest.raises(ValueError, match="later"):
            live.look(HOUR_US)


def test_the_folder_of_a_history_is_removed(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert list(tmp_path.iterdir())
    with pytest.raises(KeyError), history:
        history.table(["no such column"])
    assert not list(tmp_path.iterdir())


def fragments(*values: int) -> Group:
    return Group(np.array(values, np.int64), (f"c-{min(values)}",))


def test_a_campaign_keeps_its_name_while_it_grows() -> None:
    names = Names()
    assert [one.name for one in names.give([fragments(5, 6, 7, 8)])] == ["c-5"]
    assert [one.name for one in names.give([fragments(1, 2, 5, 6, 7, 8)])] == ["c-5"]
    assert [one.name for one in names.give([fragments(20, 21), fragments(1, 2, 5, 6, 7, 8)])] == [
        "c-20",
        "c-5",
    ]


def test_two_campaigns_that_turn_out_to_be_one_go_by_the_first_name() -> None:
    names = Names()
    names.give([fragments(5, 6)])
    names.give([fragments(5, 6), fragments(1, 2)])
    (joined,) = names.give([fragments(1, 2, 5, 6)])
    assert joined.name == "c-5"
    assert joined.also == {"c-5", "c-1"}


@pytest.mark.slow
def test_the_margin_and_the_looks_in_a_row_only_delay(log: Path, tmp_path: Path) -> None:
    eager = replayed(log, tmp_path / "eager").flags
    patient = replayed(log, tmp_path / "patient", replace(EAGER, looks=2)).flags
    first = dict(zip(eager["account_id"].to_pylist(), eager["flagged_at"].to_pylist(), strict=True))
    assert len(patient) > 0
    for account, at in zip(patient["account_id"].to_pylist(), patient["flagged_at"].to_pylist(), strict=True):
        assert first[account] < at, "everybody takes part at two looks, whoever was flagged before"


@pytest.mark.parametrize("step", ["1", "0h", "10s", "1w", "-1h"])
def test_a_step_that_is_none_is_refused(log: Path, tmp_path: Path, step: str) -> None:
    result = CliRunner().invoke(app, ["replay", str(log), "--out", str(tmp_path / "out"), f"--step={step}"])
    assert result.exit_code == 2
    assert "30m, 1h or 7d" in result.output
    assert not (tmp_path / "out").exists()


def test_the_command_writes_what_the_contract_names(log: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(TEST_KEY)
    command = ["replay", str(log), "--out", str(tmp_path / "out"), "--step", "2d", "--key", str(key)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "looks from" in result.output
    flags = pq.read_table(tmp_path / "out" / "flags.parquet")
    assert flags.column_names[:4] == ["account_id", "end_user_id", "campaign_id", "flagged_at"]
    assert len(flags) > 0
    assert flags.schema.field("flagged_at").type == pa.timestamp("us", tz="UTC")
    again = CliRunner().invoke(app, [*command[:3], str(tmp_path / "again"), *command[4:]])
    assert again.exit_code == 0
    for name in ("flags.parquet", "looks.parquet", "replay.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
