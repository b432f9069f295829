"""The parts of the service by themselves."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stillwatch.arena import PRESETS, simulate
from stillwatch.examine import Options
from stillwatch.gateway.asking import SettingError, Settings
from stillwatch.live.following import Following
from stillwatch.live.matching import RequestError, fragments_of
from stillwatch.live.metrics import Metrics
from stillwatch.live.pace import Pace
from stillwatch.live.serving import ServiceError, address
from stillwatch.live.tokens import May, TokenError, Tokens, add, read, remove
from stillwatch.response.snapshot import Snapshot
from stillwatch.response.template import Templates
from stillwatch.scan import scan
from stillwatch.sketching import Source
from stillwatch.store.templates import template_of
from tests.gateway.watching import KEYS, TEMPLATE, chat, template
from tests.scans import SOURCES

MESSAGES = chat("barley by month", TEMPLATE)["messages"]


def test_plug_ins_need_the_standard_library_alone(tmp_path: Path) -> None:
    """As ``pip install --no-deps`` leaves it: the package, what it says of itself, and nothing else."""
    (tmp_path / "stillwatch").symlink_to(SOURCES / "stillwatch")
    (tmp_path / "stillwatch-0.0.0.dist-info").mkdir()
    (tmp_path / "stillwatch-0.0.0.dist-info" / "METADATA").write_text("Name: stillwatch\nVersion: 0.0.0\n")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "import stillwatch.gateway.asgi, stillwatch.gateway.asking, stillwatch.gateway.streams; "
        "print(sorted(name for name in sys.modules if name.startswith('stillwatch')))"
    )
    # -S leaves out whatever is installed.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, tmp_path], check=True, capture_output=True, text=True
    )
    assert "stillwatch.gateway.asgi" in done.stdout
    assert "stillwatch.live" not in done.stdout


def test_a_request_belongs_to_the_families_that_a_scan_gives_its_exchange(tmp_path: Path) -> None:
    simulate(PRESETS["tiny"], tmp_path / "log")
    log = tmp_path / "log" / "exchanges.parquet"
    scan(Source((log,)), tmp_path / "out", KEYS, Options())
    told = [template_of(row) for row in pq.read_table(tmp_path / "out" / "templates.parquet").to_pylist()]
    assert {one.key for one in told} == {KEYS.name}
    templates = Templates(told)
    matched: dict[str, set[str]] = {}
    for row in pq.read_table(tmp_path / "out" / "matches.parquet").to_pylist():
        matched.setdefault(row["exchange_id"], set()).add(row["family_id"])
    found = {}
    for row in pq.read_table(log).to_pylist():
        request = {name: row[name] for name in ("model", "messages", "tools") if row.get(name) is not None}
        if families := templates.match(fragments_of(request, KEYS)):
            found[row["exchange_id"]] = families
    assert len(matched) > 500
    assert set(found) == set(matched)
    assert all(families & found[name] for name, families in matched.items())


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"model": "m"},
        {"model": 7, "messages": []},
        {"model": "m", "messages": 7},
        {"model": "m", "messages": []},
        {"model": "m", "messages": [7]},
        {"model": "m", "input": {"a": 1}},
    ],
)
def test_a_request_that_cannot_be_read_says_why(request_: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        fragments_of(request_, KEYS)


DEEP: Any = "x"
for _ in range(900):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "odd",
    [
        {"model": None},
        {"messages": [*MESSAGES, {"role": "nobody", "content": "x"}]},
        {"messages": [*MESSAGES, 7, {"content": "x"}]},
        {"messages": [{**MESSAGES[0], "role": "nobody"}]},
        {"messages": [*MESSAGES, {"role": "user", "content": [{"type": "x", "x": DEEP}]}]},
        {"tools": [{"x": DEEP}], "instructions": 7, "system": 7},
        {"messages": chat("hello")["messages"], "input": MESSAGES},
        {"messages": [], "prompt": f"{TEMPLATE} {TEMPLATE}"},
        {"messages": None, "prompt": [[1, 2], TEMPLATE]},
        {"messages": [MESSAGES, [*chat("hello")["messages"], {"role": "assistant", "content": "hello"}]]},
    ],
)
def test_what_is_odd_in_a_request_hides_nothing_else_of_it(odd: dict[str, Any]) -> None:
    whole = fragments_of({"model": "m", "messages": MESSAGES}, KEYS)
    by_a_user = fragments_of({"model": "m", "prompt": TEMPLATE}, KEYS)
    found = fragments_of({"model": "m", "messages": MESSAGES, **odd}, KEYS)
    assert whole <= found or by_a_user <= found


def test_a_request_may_hold_nothing_to_compare() -> None:
    assert not fragments_of(chat("hello"), KEYS)
    assert Templates([template()]).match([]) == frozenset()


def test_no_more_go_in_any_minute_than_may() -> None:
    pace, gone = Pace(), []
    for second in range(600):
        if pace.wait_s([("a", 7), ("b", 60)], second) == 0.0:
            gone.append(second)
    assert max(sum(start <= at < start + 60 for at in gone) for start in range(600)) == 7
    assert len(gone) == 7 * 10
    pace.forget(1000.0)
    assert len(pace) == 0


def test_who_waits_as_long_as_told_goes() -> None:
    pace = Pace()
    for second in (0.0, 1.0, 2.0):
        assert pace.wait_s([("a", 3)], second) == 0.0
    wait = pace.wait_s([("a", 3)], 5.5)
    assert pace.wait_s([("a", 3)], 5.5 + wait - 0.01) > 0
    assert pace.wait_s([("a", 3)], 5.5 + wait) == 0.0


def test_a_store_that_is_away_changes_nothing_and_is_counted() -> None:
    metrics, states = Metrics(), [1, 1, 2]

    def version() -> int:
        if not states:
            raise OSError("gone")
        return states.pop(0)

    made = []

    def snapshot() -> Snapshot:
        made.append(1)
        return Snapshot(dt.datetime.now(dt.UTC), ())

    following = Following(version, snapshot, KEYS.name, metrics)
    assert not following.ready
    assert [following.refresh() for _ in range(5)] == [True, False, True, False, False]
    assert (following.ready, len(made)) == (True, 2)
    assert metrics.registry.get_sample_value("stillwatch_store_failures_total") == 2


def test_a_token_is_kept_as_a_hash_and_shown_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    made = add(file, "litellm-1", [May.DECIDE])
    assert made not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    tokens = Tokens(file)
    assert tokens.holder(made, May.DECIDE) == "litellm-1"
    for given, may in (
        (made, May.METRICS),
        (made + "x", May.DECIDE),
        ("", May.DECIDE),
        ("\ud800", May.DECIDE),
    ):
        assert tokens.holder(given, may) is None
    with pytest.raises(TokenError, match="has a token litellm-1"):
        add(file, "litellm-1", [May.DECIDE])
    other = add(file, "prometheus", [May.METRICS])
    assert tokens.refresh()
    assert tokens.holder(other, May.METRICS) == "prometheus"
    remove(file, "litellm-1")
    assert tokens.refresh()
    assert tokens.holder(made, May.DECIDE) is None
    assert list(read(file)) == ["prometheus"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 2}', '{"version": 1, "tokens": {"a": {"may": ["fly"]}}}']
)
def test_a_file_that_holds_no_tokens_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(TokenError, match=r"is no file of tokens|of version 2"):
        Tokens(tmp_path / "tokens.json")
    with pytest.raises(TokenError, match="a name is 1 to 63"):
        add(tmp_path / "new.json", "Not A Name", [May.DECIDE])


@pytest.mark.parametrize("text", ["", "8470", "localhost", "localhost:http", "localhost:70000", ":1"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ServiceError, match="write HOST:PORT"):
        address(text)


def test_settings_come_by_keyword_then_by_environment() -> None:
    told = Settings.of(
        {"timeout_s": 1}, {"STILLWATCH_URL": "https://watch:1", "STILLWATCH_FAIL_OPEN": "false"}
    )
    assert (told.url, told.timeout_s, told.fail_open) == ("https://watch:1", 1.0, False)
    for given, environment, text in (
        ({"speed": 1}, {}, "there is no setting speed"),
        ({}, {"STILLWATCH_TIMEOUT_S": "soon"}, "timeout_s must be a float"),
        ({}, {"STILLWATCH_FAIL_OPEN": "perhaps"}, "may be true or false"),
        ({"url": "ftp://x"}, {}, "must begin with http"),
    ):
        with pytest.raises(SettingError, match=text):
            Settings.of(given, environment)
    assert Settings.of({}, {}) == Settings()
    assert "STILLWATCH_URL" not in os.environ
