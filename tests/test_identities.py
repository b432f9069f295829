from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.identities import IdentityError, read_identities
from stillwatch.rejects import RejectLog
from stillwatch.sources import open_log

ROWS: list[dict[str, Any]] = [
    {"key": "k1", "account_id": "acme", "organization_id": "Acme", "account_created_at": "2025-01-02"},
    {"key": "k2", "account_id": "acme", "organization_id": None, "account_created_at": None},
]


def write(path: Path) -> None:
    if path.suffix == ".csv":
        lines = [",".join(ROWS[0]), *(",".join(str(value or "") for value in row.values()) for row in ROWS)]
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    else:
        table = pa.Table.from_pylist(ROWS)
        opened = pa.array([dt.datetime(2025, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC"))
        pq.write_table(table.set_column(3, "account_created_at", opened), path)


@pytest.mark.parametrize("name", ["who.csv", "who.jsonl", "who.parquet"])
def test_what_the_mapping_knows_replaces_what_the_log_says(name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    said = {"started_at": "2026-02-01T10:00:00Z", "model": "m", "messages": [], "organization_id": "said"}
    log = tmp_path / "log.jsonl"
    log.write_text(
        "\n".join(json.dumps({"exchange_id": key, "account_id": key, **said}) for key in ("k1", "k2", "k3"))
    )
    rejects = RejectLog(None)
    batch = next(open_log([log], rejects=rejects, identities=tmp_path / name))
    found = pa.Table.from_batches([batch]).select(["account_id", "organization_id", "account_created_at"])
    list(open_log([log], rejects=rejects, identities=tmp_path / name))
    opened = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("acme", "Acme", opened),
        ("acme", "said", None),
        ("k3", "said", None),
    ]
    assert rejects.unmapped == 1


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        (
            "who.csv",
            "key,organisation_id,account_id\nk,o,a\n",
            " has the unknown column organisation_id; required are key, account_id, allowed are "
            "organization_id, end_user_id, account_created_at, country, payment_fingerprint. "
            "Rename or remove the column.",
        ),
        (
            "who.csv",
            "key\nk\n",
            " lacks the column account_id; required are key, account_id, allowed are organization_id, "
            "end_user_id, account_created_at, country, payment_fingerprint. Rename or remove the column.",
        ),
        ("who.csv", "key,account_id\n", " holds no identity; it needs the columns key, account_id."),
        ("who.csv", "key,account_id\nk,a\nk,b\n", ", row 2: the key stands there twice. Keep one row a key."),
        ("who.csv", "key,account_id\nk,a\nl,\n", ", row 2: account_id is empty. Fill it in."),
        (
            "who.csv",
            "key,account_id,account_created_at\nk,a,soon\n",
            ", row 1: account_created_at is no time. Write it as ISO 8601.",
        ),
        ("who.csv", 'key,account_id\n"k,a\n', " cannot be read as csv. Check that it exists and is whole."),
        ("who.csv", "key,account_id,key\nk,a,l\n", " names a column twice. Rename or remove one."),
        (
            "who.csv",
            "key,account_id\nk,a\nl,b,c\n",
            ", row 2: it has more values than the header has names. Quote values that hold a comma.",
        ),
        ("who.jsonl", "{", ", row 1: not a JSON object. Repair the line or remove it."),
        (
            "who.jsonl",
            '{"key": "k", "account_id": "a"}\n{"key": "l", "account_id": "b"},\n',
            ", row 2: not a JSON object. Repair the line or remove it.",
        ),
        (
            "who.jsonl",
            '{"key": 5, "account_id": "a"}\n{"key": 6.0, "account_id": "b"}\n',
            ", row 2: key is float, not a text. Write it as one.",
        ),
        (
            "who.jsonl",
            '{"key": "k", "account_id": ["a"]}\n',
            ", row 1: account_id is list, not a text. Write it as one.",
        ),
        ("who.xlsx", "x", " is no mapping of identities; give .csv, .jsonl or .parquet."),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(name: str, text: str, error: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(IdentityError) as caught:
        read_identities(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}{error}"
