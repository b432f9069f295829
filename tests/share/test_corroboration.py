"""A peer's word: what it is found by, what it weighs, and that it never decides."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.circle import templates
from stillwatch.corroboration import HIGHEST_CAP, Word, lean, weigh
from stillwatch.doubts import DOUBTS
from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.memberships import Members
from stillwatch.peers import PeerCampaign, Peers, PeerTemplate, Tlp
from stillwatch.verdict import Bar, Case, Verdict, needed, rule
from tests.share.conftest import CIRCLE, House

AGES = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def members(pairs: list[tuple[int, int]]) -> Members:
    stream, row = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    none = np.empty(0, np.int32)
    return Members(
        stream, row, np.zeros((len(row), 11), np.int8), np.zeros(len(row), np.int32), none, none, none.astype(np.int64)
    )  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(-9, 9), max_size=6) | st.none(), min_size=4, max_size=30),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3]),
)
def test_a_template_is_what_a_plain_count_says(
    lists: list[list[int] | None], random: object, least: int, usual: float
) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    size = len(lists)
    principal = rng.integers(0, 6, size).astype(np.int32)
    pairs = sorted(
        {(int(rng.integers(0, 3)), int(rng.integers(0, size))) for _ in range(2 * size)},
        key=lambda p: p[::-1],
    )
    column = pa.chunked_array(
        [pa.array(lists[:3], pa.list_(pa.int64())), pa.array(lists[3:], pa.list_(pa.int64()))]
    )
    found = templates(column, members(pairs), 3, principal, least, usual=usual)
    everywhere = Counter(value for values in lists for value in set(values or ()))
    for stream in range(3):
        rows = [row for own, row in pairs if own == stream]
        holders: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            for value in set(lists[row] or ()):
                holders[value].append(row)
        expected = {
            value
            for value, held in holders.items()
            if len({int(principal[row]) for row in held}) >= least
            and len(held) >= 0.5 * everywhere[value]
            and len(held) >= usual * len(rows)
        }
        assert set(found[stream].tolist()) == expected
        assert found[stream].view(np.uint64).tolist() == sorted(value & (2**64 - 1) for value in expected)


@settings(deadline=None)
@given(
    st.integers(1, 128).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))),
    st.floats(0, 1),
    st.floats(1e-4, 1),
    st.floats(0, HIGHEST_CAP),
)
def test_a_word_weighs_between_nothing_and_the_cap(
    found: tuple[int, int], confidence: float, share: float, cap: float
) -> None:
    bits = weigh(*found, confidence, share, cap)
    assert 0.0 <= bits <= min(cap, math.log2(1 / share)) + 1e-9
    more = (min(found[0] + 1, found[1]), found[1])
    assert weigh(*more, confidence, share, cap) >= bits - 1e-9


def test_the_highest_cap_is_less_than_half_of_what_an_accusation_takes() -> None:
    assert needed(Bar()) / 2 > HIGHEST_CAP


def case(bits: float, **more: object) -> Case:
    plain = Case(bits, 0.9, 9.0, 5.0, 1.0, 0.9, False, (), 20, 20, 0.0, 0.0, 0.0, 20, 0.0, math.nan, 2)
    return replace(plain, **more)  # type: ignore[arg-type]


def word(bits: float) -> Word:
    template = PeerTemplate("llm-prompt-template--1", "new", None, 20, tuple(f"{n:016x}" for n in range(20)))
    campaign = PeerCampaign(
        "campaign--1", "identity--1", "House A", Tlp.AMBER, 1.0, AGES, AGES, (template,), ()
    )
    return Word(campaign, template, 20, bits, 0)


@settings(deadline=None)
@given(st.floats(-30, 30), st.floats(0, HIGHEST_CAP), st.floats(-5, 9), st.floats(0, 1), st.booleans())
def test_a_word_moves_a_verdict_by_one_step_at_most(
    bits: float, spoken: float, conduct: float, objective: float, silent: bool
) -> None:
    steps = [Verdict.POPULAR_PROMPT, Verdict.UNDETERMINED, Verdict.EXTRACTION]
    own = case(bits, conduct=conduct, objective=objective, silent=silent, doubts=DOUBTS[:1] if silent else ())
    before = rule(own, Bar())
    heard, after, said = lean(own, before, word(spoken), Bar(), calibrated=False)
    assert heard.bits == bits + spoken
    assert said.own_verdict is before.verdict
    assert 0 <= steps.index(after.verdict) - steps.index(before.verdict) <= 1
    if after.verdict is Verdict.EXTRACTION:
        assert conduct >= 0
        assert objective >= Bar().intent
        assert bits >= needed(Bar()) - HIGHEST_CAP


def test_a_word_lifts_what_was_undetermined_and_carries_nothing_across_a_calibrated_bar() -> None:
    own = case(needed(Bar()) - 2)
    before = rule(own, Bar())
    assert before.verdict is Verdict.UNDETERMINED
    assert lean(own, before, word(3.0), Bar(), calibrated=False)[1].verdict is Verdict.EXTRACTION
    # Where nothing passes the gates in any block the calibrated margin is none at all.
    for bar in (Bar(excess=0.0), Bar()):
        ruling = lean(own, rule(own, bar), word(3.0), bar, calibrated=True)[1]
        assert ruling.verdict is Verdict.UNDETERMINED
        assert "calibrated without peers" in ruling.reasons[0]


def test_a_word_alone_accuses_nobody_however_much_it_may_weigh() -> None:
    own = case(3.0)
    ruling = lean(own, rule(own, Bar()), word(50.0), Bar(), calibrated=False)[1]
    assert ruling.verdict is Verdict.UNDETERMINED
    assert "accuses nobody" in ruling.reasons[0]


@pytest.fixture(scope="module")
def alone(quiet: House) -> str:
    """What the second house says by itself."""
    return str(quiet.result.campaigns[0]["verdict"])


def test_what_would_change_the_verdict_counts_what_is_in_doubt(quiet: House) -> None:
    """A fixed text takes more than the bar, and the case says how much is missing of that."""
    (campaign,) = quiet.result.campaigns
    missing = needed(Bar(), doubts=1) - campaign["evidence_bits"]
    assert missing > 0 > needed(Bar()) - campaign["evidence_bits"]
    assert f"{missing:.1f} more bits of evidence would make it extraction" in campaign["would_change"]


def test_the_same_operator_is_found_in_a_second_log_with_other_accounts(
    loud: House, quiet: House, heard: Peers, alone: str
) -> None:
    assert alone == "undetermined"
    assert not loud.operated & quiet.operated
    result = quiet.scan(Options(peers=heard))
    (campaign,) = result.campaigns
    assert campaign["verdict"] == "extraction"
    assert {row["account_id"] for row in campaign["principals"]} <= quiet.operated
    (said,) = campaign["peers"]
    assert said["peer"] == "House A (TLP:AMBER)"
    assert said["own_verdict"] == "undetermined"
    assert said["found"] >= 0.8 * said["of"]
    row = next(row for row in campaign["evidence"] if row["signal"] == "peers")
    assert 3.0 < row["bits"] == said["bits"] <= 4.0
    assert math.isclose(sum(one["bits"] for one in campaign["evidence"]), campaign["evidence_bits"])
    assert any("a peer's word, not evidence of this log" in reason for reason in campaign["reasons"])


def test_nothing_is_found_without_the_key_of_the_circle(quiet: House, heard: Peers) -> None:
    keys = replace(quiet.keys, circle=b"the key of quite another circle")
    # A file of peers of another circle is refused; here it is forced upon the scan, and still nothing is found.
    result = quiet.scan(Options(peers=heard), "stranger", keys)
    assert result.overview["peers"]["found"] == []
    bare = quiet.scan(Options(peers=heard), "bare", Keys(local=quiet.keys.local))
    assert bare.overview["peers"]["found"] == []
    for other in (result, bare):
        assert other.accounts.equals(quiet.result.accounts)


def test_a_scan_with_a_circle_key_says_what_one_without_says(quiet: House) -> None:
    bare = quiet.scan(name="plain", keys=Keys(local=quiet.keys.local))
    assert bare.accounts.equals(quiet.result.accounts)
    assert bare.circle is None
    assert not (quiet.folder / "plain" / "circle.json").exists()
    assert quiet.keys.circle == CIRCLE


def test_what_has_expired_before_the_log_began_weighs_nothing(quiet: House, heard: Peers) -> None:
    old = tuple(replace(one, valid_until=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) for one in heard.campaigns)
    result = quiet.scan(Options(peers=replace(heard, campaigns=old)))
    assert result.overview["peers"]["found"] == []
    assert result.accounts.equals(quiet.result.accounts)


def test_what_another_peer_disputes_is_shown_and_weighs_nothing(quiet: House, heard: Peers) -> None:
    disputed = tuple(replace(one, disputed_by=("identity--3",)) for one in heard.campaigns)
    result = quiet.scan(Options(peers=replace(heard, campaigns=disputed)))
    (campaign,) = result.campaigns
    assert campaign["verdict"] == "undetermined"
    assert campaign["peers"][0]["bits"] == 0
    assert any("another peer disagrees" in row["reason"] for row in campaign["evidence"])


def test_the_name_of_a_peer_who_marked_it_red_is_in_no_report(quiet: House, heard: Peers) -> None:
    red = tuple(replace(one, tlp=Tlp.RED) for one in heard.campaigns)
    quiet.scan(Options(peers=replace(heard, campaigns=red)), "red")
    for file in (quiet.folder / "red").iterdir():
        if file.is_file():
            assert b"House A" not in file.read_bytes(), file.name
    assert "a peer (TLP:RED)" in (quiet.folder / "red" / "report.html").read_text("utf-8")


def test_a_cap_of_nothing_changes_nothing_but_what_is_shown(quiet: House, heard: Peers) -> None:
    result = quiet.scan(Options(peers=heard, peer_bits=0.0))
    assert result.campaigns[0]["verdict"] == "undetermined"
    assert result.campaigns[0]["peers"][0]["bits"] == 0.0
    assert result.accounts.drop_columns("reasons").equals(quiet.result.accounts.drop_columns("reasons"))
