"""The circle's key: what is derived from it, and that a sketch under it is the same in every house."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stillwatch.examine import Options
from stillwatch.fingerprint import sketch
from stillwatch.keys import KeyFileError, Keys, with_circle
from stillwatch.rejects import RejectLog
from stillwatch.scan import scan
from stillwatch.sketching import SketchError, Source, write_sketches
from tests.conftest import exchange, to_batch
from tests.share.conftest import CIRCLE, House

HERE, THERE = (Keys(local=name * 8, circle=CIRCLE) for name in (b"here", b"else"))
TEXT = "grade the answer below against the rubric and say for every point why you gave it"


def circle_of(keys: Keys, *turns: tuple[str, str], **more: object) -> list[int]:
    found: list[int] = sketch(to_batch([exchange(1, "a", turns, **more)]), keys)["circle"].to_pylist()[0]
    return found


def test_two_houses_make_the_same_fragments_of_a_text_and_a_third_others() -> None:
    assert circle_of(HERE, ("user", TEXT)) == circle_of(THERE, ("user", TEXT)) != []
    stranger = replace(HERE, circle=b"the key of quite another circle")
    assert not set(circle_of(stranger, ("user", TEXT))) & set(circle_of(HERE, ("user", TEXT)))
    assert sketch(to_batch([exchange(1, "a", TEXT)]), Keys(local=HERE.local))["circle"].to_pylist() == [None]


def test_nothing_under_the_circle_key_equals_anything_under_the_local_one() -> None:
    twins = Keys(local=CIRCLE, circle=CIRCLE)
    row = sketch(to_batch([exchange(1, "a", TEXT, ip="192.0.2.7")]), twins).to_pylist()[0]
    local = {value for part in row["parts"] for value in part["fragments"]}
    assert local
    assert not (local | set(row["vocabulary"])) & set(row["circle"])


def test_the_role_of_a_text_is_in_its_fragments_and_old_turns_are_left_out() -> None:
    new, system = circle_of(HERE, ("user", TEXT)), circle_of(HERE, ("system", TEXT))
    assert not set(new) & set(system)
    later = circle_of(HERE, ("user", TEXT), ("assistant", "good"), ("user", "go on"), conversation_id="one")
    assert not set(later) & set(new)
    assert set(circle_of(HERE, ("system", TEXT), ("user", TEXT))) == set(new) | set(system)


def test_an_address_is_the_same_mark_in_every_house_and_no_hash_that_can_be_tried() -> None:
    rows = [
        exchange(1, "a", TEXT, ip="192.0.2.7"),
        exchange(2, "a", TEXT, ip=None),
        exchange(3, "b", TEXT, ip="192.0.2.7"),
    ]
    marks = sketch(to_batch(rows), HERE)["circle_ip"].to_pylist()
    assert marks[0] == marks[2] == THERE.mark("address", "192.0.2.7")
    assert marks[1] is None
    assert marks[0] != replace(HERE, circle=b"the key of quite another circle").mark("address", "192.0.2.7")
    assert HERE.mark("account", "192.0.2.7") != marks[0]


def test_a_circle_key_is_never_made_and_never_the_local_one(tmp_path: Path) -> None:
    assert with_circle(HERE, None) is HERE
    with pytest.raises(KeyFileError, match=r"cannot read the circle key .*head -c 32 /dev/urandom"):
        with_circle(HERE, tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(KeyFileError, match="the circle key holds 5 bytes"):
        with_circle(HERE, tmp_path / "key")
    (tmp_path / "key").write_bytes(HERE.local)
    with pytest.raises(KeyFileError, match="never leaves the house"):
        with_circle(HERE, tmp_path / "key")
    (tmp_path / "key").write_bytes(CIRCLE)
    keys = with_circle(Keys(local=HERE.local), tmp_path / "key")
    assert keys == HERE
    assert CIRCLE.decode() not in repr(keys)
    with pytest.raises(KeyFileError, match="name its file with --circle-key"):
        Keys(local=HERE.local).mark("account", "a")


def test_sketches_of_a_circle_are_scanned_like_a_log_and_only_with_its_key(
    quiet: House, tmp_path: Path
) -> None:
    stored = tmp_path / "sketches.parquet"
    write_sketches(Source((quiet.log,)), quiet.keys, stored, RejectLog(None, limit=1.0))
    result = scan(Source((stored,)), tmp_path / "result", quiet.keys, Options())
    assert result.circle == quiet.result.circle
    assert result.accounts.equals(quiet.result.accounts)
    other = replace(quiet.keys, circle=b"the key of quite another circle")
    with pytest.raises(SketchError, match="another circle key"):
        scan(Source((stored,)), tmp_path / "other", other, Options())
    assert pq.read_schema(stored).metadata[b"stillwatch.circle"].decode() == quiet.keys.circle_name
    assert scan(Source((stored,)), tmp_path / "bare", Keys(local=quiet.keys.local), Options()).circle is None
