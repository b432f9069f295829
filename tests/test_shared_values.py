"""What principals share beside the text: against a plain version of itself, and without a value of the log in it."""

from __future__ import annotations

import json
from collections import defaultdict
from math import log2
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stillwatch.fingerprint import sketch
from stillwatch.keys import Keys
from stillwatch.principals import describe_principals
from stillwatch.report.charts import draw_infrastructure
from stillwatch.shared_values import GROUPS, KINDS, LEAST_BITS, NAMED, VALUES, shared_values
from tests.conftest import exchange, to_batch

COLUMNS = {
    "payment": "payment_fingerprint",
    "address": "ip",
    "organization": "organization_id",
    "device": "tls_fingerprint",
    "client": "user_agent",
}
ACCOUNTS = [f"acct-{number:03d}" for number in range(200)]
CAMPAIGN = ACCOUNTS[:30]


def log(seed: int) -> list[dict[str, Any]]:
    """Two hundred accounts with values of their own, of which those of the campaign share a few, and all one client."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(2_000):
        account = ACCOUNTS[number % len(ACCOUNTS)]
        inside = account in CAMPAIGN
        place = int(account[-3:])
        rows.append(
            exchange(
                number,
                account,
                "hello there",
                payment_fingerprint=f"card-{place % 3}" if inside and place < 15 else f"card-of-{account}",
                ip=f"10.1.{place % 4}.{rng.integers(0, 3)}"
                if inside
                else f"192.168.{place}.{rng.integers(0, 2)}",
                organization_id=f"Acme {place // 50}" if place % 2 else None,
                tls_fingerprint=f"device-{rng.integers(0, 40)}",
                user_agent="the client of everybody",
            )
        )
    return rows


def shared(
    rows: list[dict[str, Any]], key: bytes = b"a key for the tests of shared values"
) -> dict[str, Any]:
    keys = Keys(local=key)
    sketches = pa.Table.from_batches([sketch(to_batch(rows[:900]), keys), sketch(to_batch(rows[900:]), keys)])
    principals = describe_principals(sketches)
    inside = [p for p in range(principals.count) if principals.name(p)[0] in CAMPAIGN]
    (found,) = shared_values(sketches, principals, [np.array(inside, np.int32)], keys)
    return found


def plainly(rows: list[dict[str, Any]]) -> tuple[list[tuple[str, int, int, float]], dict[str, int]]:
    """Rare shared values, as kind, holders inside and outside and bits; and of the common ones the count by kind."""
    rare, common = [], defaultdict(int)
    for kind, column in [*COLUMNS.items(), ("network", "ip")]:
        holders = defaultdict(set)
        for row in rows:
            if row[column] is not None:
                value = row[column].rpartition(".")[0] if kind == "network" else row[column]
                holders[value].add(row["account_id"])
        for who in holders.values():
            inside, bits = len(who & set(CAMPAIGN)), log2(len(ACCOUNTS) / len(who))
            if inside >= 2 and bits >= LEAST_BITS:
                rare.append((kind, inside, len(who) - inside, bits))
            elif inside >= 2:
                common[kind] += 1
    return rare, dict(common)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_shared_values_are_those_of_a_plain_count(seed: int) -> None:
    rows = log(seed)
    found = shared(rows)
    rare, common = plainly(rows)
    told = [(one["kind"], one["principals"], one["others"]) for one in found["values"]]
    strongest = sorted(rare, key=lambda one: -(one[1] - 1) * one[3])
    least = (strongest[VALUES - 1][1] - 1) * strongest[VALUES - 1][3]
    certain = [one[:3] for one in strongest if (one[1] - 1) * one[3] > least + 1e-9]
    assert len(told) == VALUES
    assert found["values_cut"] == len(rare) - VALUES
    assert all(told.count(one) >= certain.count(one) for one in certain)
    assert set(told) <= {one[:3] for one in rare}
    assert found["common"] == common
    assert [kind for kind in KINDS.values() if kind in {one[0] for one in told}] == list(
        dict.fromkeys(one[0] for one in told)
    )


def test_every_principal_is_in_one_group_or_alone_or_counted_as_cut() -> None:
    found = shared(log(1))
    assert len(found["groups"]) <= GROUPS
    listed = sum(group["principals"] for group in found["groups"])
    assert found["groups_cut"] > 0 or listed + found["alone"] == len(CAMPAIGN)
    for place, value in enumerate(found["values"]):
        inside = sum(group["principals"] for group in found["groups"] if place in group["values"])
        assert inside <= value["principals"]
        assert found["groups_cut"] or inside == value["principals"]
    names = [one["account_id"] for group in found["groups"] for one in group["names"]]
    assert len(set(names)) == len(names)
    assert set(names) <= set(CAMPAIGN)
    assert all(len(group["names"]) == min(group["principals"], NAMED) for group in found["groups"])


def test_no_value_of_the_log_is_told_and_another_key_tells_the_same_by_other_names() -> None:
    rows = log(1)
    found, other = shared(rows), shared(rows, b"another key for the same log")
    text = json.dumps(found)
    for row in rows:
        for column in COLUMNS.values():
            assert row[column] is None or row[column] not in text
    assert {one["name"] for one in found["values"]}.isdisjoint(one["name"] for one in other["values"])
    counts = [
        sorted((one["kind"], one["principals"], one["others"], one["bits"]) for one in each["values"])
        for each in (found, other)
    ]
    # Of values that weigh the same, the name, and so the key, decides which of them the limit lets in.
    assert sum(left == right for left, right in zip(*counts, strict=True)) >= VALUES - 4
    assert found["common"] == other["common"]


def test_the_order_of_the_rows_says_nothing() -> None:
    rows = log(2)
    turned = [rows[place] for place in np.random.default_rng(5).permutation(len(rows))]
    assert shared(turned) == shared(rows)


def test_a_log_without_such_columns_shares_nothing() -> None:
    rows = [exchange(number, ACCOUNTS[number % 40], "hello there") for number in range(200)]
    found = shared(rows)
    assert (found["values"], found["groups"], found["alone"]) == ([], [], len(CAMPAIGN))
    assert draw_infrastructure("i", found).startswith("<svg")


def test_the_picture_has_every_value_and_every_line() -> None:
    found = shared(log(1))
    drawn = draw_infrastructure("i", found, 720)
    for value in found["values"]:
        assert f"{value['kind']} {value['name']}: {value['principals']} here" in drawn
    assert drawn.count("<path") == sum(len(group["values"]) for group in found["groups"])
    assert "elsewhere" not in draw_infrastructure("n", found, 330)
