"""What is taken of a peer's objects, and what is not."""

from __future__ import annotations

import datetime as dt
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("stix2")

from stillwatch.outputs import write_json
from stillwatch.peers import Peers, PeersError, Tlp, identity_of, merge, read_peers, to_json
from stillwatch.share import ShareError
from stillwatch.share.finding import Answer, Shared, gather
from stillwatch.share.intake import read_bundle, take
from stillwatch.share.stix import bundle
from stillwatch.share.tlp import MARKS
from tests.share.conftest import AT, House, asked

Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def told(shared: Shared) -> Objects:
    objects: Objects = json.loads(bundle(shared).serialize())["objects"]
    return objects


def changed(told: Objects, kind: str, **more: Any) -> Objects:
    return [one | more if one["type"] == kind else one for one in told]


def test_what_was_shared_is_taken(told: Objects, shared: Shared) -> None:
    taken = take(told, shared.circle, AT)
    (campaign,) = taken.peers.campaigns
    (finding,) = shared.findings
    assert [one.sketch for one in campaign.templates] == [one.sketch for one in finding.templates]
    assert campaign.confidence == int(100 * finding.probability) / 100
    assert (campaign.peer_name, campaign.tlp) == ("House A", Tlp.AMBER)
    assert campaign.valid_until == finding.last_seen + dt.timedelta(days=180)
    assert (taken.expired, taken.foreign, taken.unread) == (0, 0, 0)


def test_addresses_are_taken_while_they_are_valid(told: Objects, shared: Shared) -> None:
    soon = shared.findings[0].last_seen
    (campaign,) = take(told, shared.circle, soon).peers.campaigns
    assert {one.mark for one in campaign.addresses} == {one.mark for one in shared.findings[0].addresses}
    (later,) = take(told, shared.circle, soon + dt.timedelta(days=4)).peers.campaigns
    assert later.addresses == ()


def test_what_has_expired_is_not_taken(told: Objects, shared: Shared) -> None:
    taken = take(told, shared.circle, AT + dt.timedelta(days=400))
    assert (taken.peers.campaigns, taken.expired) == ((), 1)


def test_what_is_under_the_key_of_another_circle_is_counted_and_not_taken(told: Objects) -> None:
    taken = take(told, "0123456789abcdef", AT)
    assert (taken.peers.campaigns, taken.foreign) == ((), 1)


def test_what_bears_no_mark_is_taken_to_be_strict_and_of_several_the_strictest_holds(
    told: Objects, shared: Shared
) -> None:
    bare = [{key: value for key, value in one.items() if key != "object_marking_refs"} for one in told]
    assert take(bare, shared.circle, AT).peers.campaigns[0].tlp is Tlp.AMBER_STRICT
    red = changed(told, "llm-prompt-template", object_marking_refs=[MARKS[Tlp.RED]])
    assert take(red, shared.circle, AT).peers.campaigns[0].tlp is Tlp.RED


def test_what_a_peer_took_back_is_gone(told: Objects, shared: Shared) -> None:
    taken = take(changed(told, "campaign", revoked=True), shared.circle, AT)
    assert taken.peers.campaigns == ()
    assert taken.revoked == {one["id"] for one in told if one["type"] == "campaign"}
    assert take(changed(told, "indicator", revoked=True), shared.circle, AT).peers.campaigns == ()


def test_the_newest_version_counts_in_any_order(told: Objects, shared: Shared) -> None:
    newer = [
        one | {"modified": "2026-05-01T00:00:00Z", "confidence": 12}
        for one in told
        if one["type"] == "campaign"
    ]
    for objects in (told + newer, newer + told):
        assert take(objects, shared.circle, AT).peers.campaigns[0].confidence == 0.12
    before, after = (take(part, shared.circle, AT).peers for part in (told, told + newer))
    assert merge(shared.circle, [after, before]) == merge(shared.circle, [before, after])
    assert merge(shared.circle, [after, before]).campaigns[0].confidence == 0.12


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llm-prompt-template", {"minhash": ["xyz"]}),
        ("llm-prompt-template", {"minhash": []}),
        ("llm-prompt-template", {"minhash": [f"{n:016x}" for n in range(129)], "fragment_count": 500}),
        ("llm-prompt-template", {"minhash": ["0" * 16, "0" * 16]}),
        ("llm-prompt-template", {"fragment_count": 1}),
        ("llm-prompt-template", {"circle": 7}),
        ("observed-data", {"object_refs": "none"}),
        ("campaign", {"confidence": "high"}),
        ("campaign", {"modified": "yesterday"}),
    ],
)
def test_what_is_malformed_is_counted_and_left_out(
    kind: str, more: dict[str, Any], told: Objects, shared: Shared
) -> None:
    taken = take(changed(told, kind, **more), shared.circle, AT)
    assert taken.peers.campaigns == ()
    assert taken.unread == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_object_brings_an_import_down(data: st.DataObject, told: Objects, shared: Shared) -> None:
    objects: list[Any] = deepcopy(told)
    for _ in range(data.draw(st.integers(1, 6))):
        one = objects[data.draw(st.integers(0, len(objects) - 1))]
        if isinstance(one, dict) and data.draw(st.booleans()):
            one[data.draw(st.sampled_from(sorted(one) or ["id"]))] = data.draw(JSON)
        else:
            objects.append(data.draw(JSON))
    taken = take(objects, shared.circle, AT)
    # What is taken can be kept and read again.
    assert all(0 <= one.confidence <= 1 for one in taken.peers.campaigns)


def test_a_disagreement_reaches_a_campaign_that_came_before_or_after(told: Objects, shared: Shared) -> None:
    name = next(one["id"] for one in told if one["type"] == "campaign")
    answer = replace(
        shared,
        identity=identity_of("another house"),
        findings=(),
        answers=(Answer(name, "popular_prompt", 9, 10, Tlp.AMBER),),
    )
    said = take(json.loads(bundle(answer).serialize())["objects"], shared.circle, AT).peers
    first = take(told, shared.circle, AT).peers
    for parts in ([said, first], [first, said]):
        (campaign,) = merge(shared.circle, parts).campaigns
        assert campaign.disputed_by == (answer.identity,)
        assert merge(shared.circle, parts, own=answer.identity).campaigns[0].disputed_by == ()


def test_nobody_is_a_peer_of_itself(heard: Peers, loud: House) -> None:
    assert merge(heard.circle, [heard], own=identity_of(loud.keys.name)).campaigns == ()


def test_a_file_of_peers_is_read_as_it_was_written(heard: Peers, tmp_path: Path) -> None:
    write_json(to_json(heard), tmp_path / "peers.json")
    assert read_peers(tmp_path / "peers.json", heard.circle) == heard
    with pytest.raises(PeersError, match="key of another circle"):
        read_peers(tmp_path / "peers.json", "0123456789abcdef")
    with pytest.raises(PeersError, match="name it with --circle-key"):
        read_peers(tmp_path / "peers.json", None)
    for text, why in (
        ("{", "no file of peers"),
        ('{"version": 9}', "of version 9"),
        ('{"version": 1}', "damaged"),
    ):
        (tmp_path / "peers.json").write_text(text)
        with pytest.raises(PeersError, match=why):
            read_peers(tmp_path / "peers.json", heard.circle)


@pytest.mark.parametrize("text", ["", "[]", '{"type": "report"}', '{"type": "bundle"}', "[" * 100_000])
def test_what_is_no_bundle_is_refused_in_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text(text)
    with pytest.raises(ShareError, match=r"give a bundle of STIX 2\.1"):
        read_bundle(tmp_path / "bundle")


def test_what_leans_on_a_strict_peer_is_not_marked_more_openly(quiet: House, heard: Peers) -> None:
    from stillwatch.examine import Options

    strict = tuple(replace(one, tlp=Tlp.AMBER_STRICT) for one in heard.campaigns)
    (campaign,) = quiet.scan(Options(peers=replace(heard, campaigns=strict)), "strict").campaigns
    name, folder = (campaign["campaign_id"],), quiet.folder / "strict"
    with pytest.raises(ShareError, match=r"mark it --tlp amber\+strict or stricter"):
        gather(folder, asked(name, tlp=Tlp.AMBER), quiet.keys, AT)
    shared = gather(folder, asked(name, tlp=Tlp.AMBER_STRICT, answers=True), quiet.keys, AT)
    assert [one.verdict for one in shared.answers] == ["undetermined"]
    # What a peer said is the peer's to share: it is neither in the evidence nor in the sum.
    assert shared.findings[0].own_bits == pytest.approx(
        campaign["evidence_bits"] - campaign["peers"][0]["bits"]
    )
    assert "peers" not in dict(shared.findings[0].evidence)
    assert gather(folder, asked((), tlp=Tlp.AMBER_STRICT, answers=True), quiet.keys, AT).answers
    with pytest.raises(ShareError, match="nothing to export"):
        gather(folder, asked((), tlp=Tlp.AMBER, answers=True), quiet.keys, AT)
