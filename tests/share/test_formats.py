"""Every format: valid by its own validator, marked, and with nothing of the log in it but what is keyed."""

from __future__ import annotations

import csv
import datetime as dt
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytest.importorskip("stix2")
pytest.importorskip("pymisp")

from pymisp import MISPEvent
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule

from stillwatch.cli.share import FORMATS
from stillwatch.keys import Keys
from stillwatch.peers import Tlp
from stillwatch.share import ShareError
from stillwatch.share.caveat import ATLAS
from stillwatch.share.finding import Answer, Shared, gather
from stillwatch.share.stix import bundle
from stillwatch.share.tlp import MARKS
from tests.share.conftest import AT, House, asked

WINDOW = 24
"""Characters of a stretch of text that must not be found in a bundle."""
NAMES = (
    "account_id", "end_user_id", "exchange_id", "organization_id", "conversation_id", "ip", "payment_fingerprint",
    "tls_fingerprint", "user_agent",
)  # fmt: skip
EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)


def written(name: str, shared: Shared, folder: Path) -> bytes:
    importlib.import_module(FORMATS[name][0]).write(shared, folder / name)
    return (folder / name).read_bytes()


@cache
def texts(log: Path) -> frozenset[str]:
    """Every text of a log, once."""
    found: set[str] = set()
    for row in pq.read_table(log, columns=["messages", "completion", "reasoning", "tools"]).to_pylist():
        found.update(message["content"] or "" for message in row["messages"])
        found.update(text for text in (row["completion"], row["reasoning"], *(row["tools"] or ())) if text)
    return frozenset(found)


@cache
def names(log: Path) -> frozenset[str]:
    """Every name, address and mark of a log, once."""
    table = pq.read_table(log, columns=list(NAMES))
    return frozenset(str(value) for column in NAMES for value in table[column].unique().to_pylist() if value)


def stretches(text: str, length: int, step: int = 1) -> Iterator[str]:
    return (text[at : at + length] for at in range(0, len(text) - length + 1, step))


def found_of(log: Path, data: bytes) -> set[str]:
    """Names and stretches of text of a log that stand in some bytes."""
    told = data.decode()
    found = {
        name
        for name in names(log)
        if name in told and re.search(rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])", told)
    }
    whole, half = set(stretches(told, WINDOW)), set(stretches(told, WINDOW // 2))
    for text in texts(log):
        # Each stretch of a text holds one of these halves, so that where none is told, no stretch is.
        if not half.isdisjoint(stretches(text, WINDOW // 2, WINDOW // 2)):
            found |= whole.intersection(stretches(text, WINDOW))
    return found


@EVERY_FORMAT
def test_no_account_address_mark_of_payment_or_text_is_in_a_bundle(
    name: str, shared: Shared, loud: House, tmp_path: Path
) -> None:
    assert shared.findings[0].addresses
    assert shared.findings[0].accounts
    assert found_of(loud.log, written(name, shared, tmp_path)) == set()


def test_nor_is_any_in_what_a_result_keeps_for_peers_and_the_search_finds_them_where_they_are(
    loud: House,
) -> None:
    assert found_of(loud.log, (loud.folder / "result" / "circle.json").read_bytes()) == set()
    found = found_of(loud.log, (loud.folder / "result" / "campaigns.json").read_bytes())
    assert loud.operated & found
    assert any(len(one) == WINDOW and " " in one for one in found)


@EVERY_FORMAT
def test_a_format_gives_the_same_bytes_for_the_same_export(name: str, shared: Shared, tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    assert written(name, shared, tmp_path) == written(name, shared, tmp_path / "once")


def objects(shared: Shared) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bundle(shared).serialize())["objects"]
    return found


def test_the_bundle_passes_the_validator_of_oasis(shared: Shared, tmp_path: Path) -> None:
    import stix2validator  # seconds, which no other process of the tests needs

    answered = replace(
        shared, answers=(Answer(f"campaign--{'0' * 8}-0000-4000-8000-{'0' * 12}", "none", 9, 10, Tlp.AMBER),)
    )
    for one in (shared, answered):
        told = written("stix", one, tmp_path).decode()
        result = stix2validator.validate_string(told, stix2validator.ValidationOptions(version="2.1"))
        assert result.is_valid, result.errors


def test_the_bundle_holds_what_a_peer_needs(shared: Shared) -> None:
    held = objects(shared)
    kinds = {one["type"] for one in held}
    assert kinds >= {
        "campaign", "attack-pattern", "infrastructure", "indicator", "observed-data", "user-account", "sighting",
        "autonomous-system", "llm-prompt-template", "llm-caller-address", "extension-definition", "course-of-action",
        "note", "marking-definition", "relationship", "identity",
    }  # fmt: skip
    references = {ref["external_id"] for one in held for ref in one.get("external_references", [])}
    assert references == {number for number, _ in ATLAS} | {"AML.CS0056"}
    known = {one["id"] for one in held}
    for link in (one for one in held if one["type"] == "relationship"):
        assert {link["source_ref"], link["target_ref"]} <= known
    assert all(
        one.get("extension_types") == ["new-sco"] for one in held if one["type"] == "extension-definition"
    )


def test_an_indicator_of_an_address_ends_within_days_and_one_of_a_template_within_months(
    shared: Shared,
) -> None:
    last = shared.findings[0].last_seen
    for one in (one for one in objects(shared) if one["type"] == "indicator"):
        lasts = dt.datetime.fromisoformat(one["valid_until"]) - last
        assert lasts <= (
            dt.timedelta(days=3) if "caller-address" in one["pattern"] else dt.timedelta(days=180)
        )


@pytest.mark.parametrize("level", Tlp)
def test_everything_that_says_something_bears_the_mark(level: Tlp, shared: Shared) -> None:
    held = objects(replace(shared, tlp=level))
    (mark,) = [one for one in held if one["type"] == "marking-definition"]
    assert (mark["id"], mark["name"]) == (MARKS[level], f"TLP:{level.upper()}")
    # Who speaks, what techniques there are and what the format means is nobody's secret.
    public = {"marking-definition", "extension-definition", "attack-pattern", "identity"}
    assert all(one["object_marking_refs"] == [MARKS[level]] for one in held if one["type"] not in public)


def test_a_later_export_is_a_new_version_of_the_same_objects(shared: Shared) -> None:
    later = objects(replace(shared, made_at=AT + dt.timedelta(days=1)))
    assert {one["id"] for one in later} == {one["id"] for one in objects(shared)}
    campaign = next(one for one in later if one["type"] == "campaign")
    assert (
        campaign["modified"] > next(one for one in objects(shared) if one["type"] == "campaign")["modified"]
    )


@pytest.mark.parametrize(
    ("verdict", "opinion"), [("extraction", "agree"), ("undetermined", "neutral"), ("none", "disagree")]
)
def test_an_answer_is_an_opinion_of_the_own_evidence(verdict: str, opinion: str, shared: Shared) -> None:
    peer = f"campaign--{'0' * 8}-0000-4000-8000-{'0' * 12}"
    held = objects(replace(shared, findings=(), answers=(Answer(peer, verdict, 9, 10, Tlp.AMBER),)))
    (said,) = [one for one in held if one["type"] == "opinion"]
    assert (said["opinion"], said["object_refs"]) == (opinion, [peer])
    assert len([one for one in held if one["type"] == "sighting"]) == (opinion != "disagree")


def test_the_detection_finding_is_one_of_ocsf(shared: Shared, tmp_path: Path) -> None:
    (line,) = written("ocsf", shared, tmp_path).splitlines()
    told = json.loads(line)
    required = {
        "activity_id",
        "category_uid",
        "class_uid",
        "finding_info",
        "metadata",
        "severity_id",
        "time",
        "type_uid",
    }
    assert required <= set(told)
    assert (told["class_uid"], told["type_uid"]) == (2004, 2004 * 100 + told["activity_id"])
    assert told["metadata"]["product"]["name"]
    assert told["metadata"]["version"]
    assert told["finding_info"]["uid"]
    from py_ocsf_models.events.findings.detection_finding import DetectionFinding

    read = DetectionFinding.model_validate(told)
    assert read.class_uid == 2004


def test_the_event_is_one_of_misp(shared: Shared, tmp_path: Path) -> None:
    written("misp", shared, tmp_path)
    told = MISPEvent()
    told.load_file(str(tmp_path / "misp"))
    names = [one.name for one in told.objects]
    assert names.count("user-account") == len(shared.findings[0].accounts)
    assert {"intrusion-set", "ai-chat-prompt"} <= set(names)
    assert "tlp:amber" in {tag.name for tag in told.tags}
    for one in told.objects:
        assert not one.to_dict().get("deleted")
    prompt = next(one for one in told.objects if one.name == "ai-chat-prompt")
    assert prompt.get_attributes_by_relation("prompt")[0].value.startswith(f"minhash:{shared.circle}:")


def test_the_correlation_is_one_of_sigma(shared: Shared, tmp_path: Path) -> None:
    rules = SigmaCollection.from_yaml(written("sigma", shared, tmp_path).decode())
    assert not rules.errors
    base, correlation = rules.rules
    assert isinstance(correlation, SigmaCorrelationRule)
    assert correlation.rules[0].rule is base
    assert correlation.condition.count == 8


def test_the_rows_are_what_is_shared(shared: Shared, tmp_path: Path) -> None:
    rows = list(csv.DictReader(written("csv", shared, tmp_path).decode().splitlines()))
    (finding,) = shared.findings
    kinds = [row["kind"] for row in rows]
    assert kinds.count("template_fragment") == sum(len(one.sketch) for one in finding.templates)
    assert kinds.count("account_hmac") == len(finding.accounts)
    assert kinds.count("address_hmac") == len(finding.addresses)
    assert {row["tlp"] for row in rows} == {"TLP:AMBER"}


def test_what_is_refused_is_refused_in_words(loud: House, quiet: House, tmp_path: Path) -> None:
    name = loud.result.campaigns[0]["campaign_id"]
    folder = loud.folder / "result"
    with pytest.raises(ShareError, match=f"it has: {name}"):
        gather(folder, asked(("c-0",)), loud.keys, AT)
    with pytest.raises(ShareError, match="nothing to export"):
        gather(folder, asked((), answers=True), loud.keys, AT)
    with pytest.raises(ShareError, match="key of another circle"):
        gather(folder, asked((name,)), replace(loud.keys, circle=b"the key of another circle"), AT)
    with pytest.raises(ShareError, match="made without a circle's key"):
        gather(tmp_path, asked((name,)), loud.keys, AT)
    quiet.scan(name="uncircled", keys=Keys(local=quiet.keys.local))
    with pytest.raises(ShareError, match="scan the log again with --circle-key"):
        gather(quiet.folder / "uncircled", asked((name,)), quiet.keys, AT)


def test_accounts_that_are_left_out_are_counted(loud: House) -> None:
    name = loud.result.campaigns[0]["campaign_id"]
    (finding,) = gather(loud.folder / "result", asked((name,), most_accounts=4), loud.keys, AT).findings
    assert len(finding.accounts) == 4
    assert finding.accounts_cut == finding.principals - 4
