"""A blank text names nobody: whoever writes one for what is not set has his log read as if it were null."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.bodies import read_whole
from stillwatch.exchange import EXCHANGE_SCHEMA, REQUIRED
from stillwatch.formats import LineFormat, all_formats, line_formats
from stillwatch.formats._reading import read_records
from stillwatch.identities import IdentityError, read_identities
from stillwatch.rejects import RejectLog
from stillwatch.sources import open_log
from tests.conftest import exchange
from tests.contracts.test_formats import fixture_lines

NAMES = tuple(
    field.name
    for field in EXCHANGE_SCHEMA
    if field.type == pa.string() and field.name not in ("completion", "reasoning")
)
OPTIONAL = tuple(name for name in NAMES if name not in REQUIRED)
BLANK = ("", " \t\u3000")
MUTATED = 3
"""Records of a format whose fields are emptied one after the other."""


def row(**stated: Any) -> dict[str, Any]:
    return {**exchange(1, "acct", "a question about things"), **stated}


def read_table(tmp_path: Path, name: str, rows: list[dict[str, Any]]) -> tuple[pa.Table, RejectLog]:
    pq.write_table(pa.Table.from_pylist(rows, EXCHANGE_SCHEMA), tmp_path / name)
    rejects = RejectLog(None, limit=1.0)
    batches = list(open_log([tmp_path / name], rejects=rejects))
    return pa.Table.from_batches(batches, EXCHANGE_SCHEMA), rejects


def as_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=str).encode()


@pytest.mark.parametrize("blank", BLANK)
def test_a_table_with_blank_names_is_one_with_nulls(blank: str, tmp_path: Path) -> None:
    named = row(**dict.fromkeys(OPTIONAL, "x"))
    null, empty = row(**dict.fromkeys(OPTIONAL)), row(**dict.fromkeys(OPTIONAL, blank))
    found, rejects = read_table(tmp_path, "blank.parquet", [named, empty])
    assert found.equals(read_table(tmp_path, "null.parquet", [named, null])[0])
    assert found.select(OPTIONAL).to_pylist() == [named_as_read(), dict.fromkeys(OPTIONAL)]
    assert not rejects.nulled


def named_as_read() -> dict[str, str]:
    return dict.fromkeys(OPTIONAL, "x") | {"country": "X"}


@pytest.mark.parametrize("blank", BLANK)
def test_what_is_taken_in_live_is_read_alike(blank: str) -> None:
    form = all_formats()["native-jsonl"]
    assert isinstance(form, LineFormat)
    lines = [row(**dict.fromkeys(OPTIONAL, value)) for value in (None, blank)]
    null, empty = (read_whole(as_line(line), form.name).batch for line in lines)
    assert empty.equals(null)


@pytest.mark.parametrize("blank", BLANK)
@pytest.mark.parametrize("name", ["exchange_id", "account_id", "model"])
def test_an_exchange_of_a_blank_name_is_a_reject(name: str, blank: str, tmp_path: Path) -> None:
    found, rejects = read_table(tmp_path, "log.parquet", [row(), row(**{name: blank})])
    assert (len(found), rejects.rejected) == (1, 1)


@pytest.mark.parametrize("form", [pytest.param(form, id=form.name) for form in line_formats()])
def test_no_reader_gives_a_blank_name(form: LineFormat) -> None:
    lines = fixture_lines(form.name)
    for at, record in enumerate(map(msgspec.json.decode, lines[:MUTATED])):
        for path in texts_in(record):
            changed = [*lines[:at], as_line(replaced(record, path, BLANK[1])), *lines[at + 1 : at + MUTATED]]
            batch = read_records((row, form, text) for row, text in enumerate(changed, start=1)).batch
            blank = [name for name in NAMES if any(value == BLANK[1] for value in batch[name].to_pylist())]
            assert not blank, path


def texts_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a record stand."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts_in(inner, (*path, name))


def replaced(record: dict[str, Any], path: tuple[Any, ...], text: str) -> dict[str, Any]:
    changed = copy.deepcopy(record)
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = text
    return changed


def test_a_blank_organization_gives_way_to_the_team() -> None:
    form = next(form for form in line_formats() if form.name == "litellm")
    record = msgspec.json.decode(fixture_lines("litellm")[0])
    for org, team, found in (("", "", None), (" ", "team-1", "team-1"), ("org-1", "team-1", "org-1")):
        record["metadata"] |= {"user_api_key_org_id": org, "user_api_key_team_id": team}
        assert read_records([(1, form, as_line(record))]).batch["organization_id"].to_pylist() == [found]


def test_a_blank_in_the_mapping_of_identities_is_nothing_known(tmp_path: Path) -> None:
    table = tmp_path / "who.csv"
    table.write_text("key,account_id,organization_id\nk1,acme, \nk2,acme,Acme\n")
    columns = {"account_id": pa.array(["k1", "k2"]), "organization_id": pa.array(["said", "said"])}
    filled = read_identities(table).complete({**columns, "end_user_id": pa.nulls(2, pa.string())})
    assert filled["organization_id"].to_pylist() == ["said", "Acme"]
    table.write_text("key,account_id\n ,acme\nk2,acme\n")
    with pytest.raises(IdentityError, match="row 1: key is empty"):
        read_identities(table)


def test_countries_are_in_one_case(tmp_path: Path) -> None:
    found, _ = read_table(tmp_path, "log.parquet", [row(country="vn"), row(country="VN")])
    assert found["country"].to_pylist() == ["VN", "VN"]
