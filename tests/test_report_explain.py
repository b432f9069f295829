"""The terminal: the summary of a scan, and why one id was judged as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.outputs import write_table
from stillwatch.report.explain import FILES, MissingResultError, UnknownIdError, explain
from stillwatch.report.headline import headline
from stillwatch.report.summary import COLUMNS, summary
from stillwatch.report.wording import percent
from tests.test_report_examples import campaigns, iso, overview

TIMES = ("first_seen", "last_seen")


def account(
    account_id: str, end_user_id: str | None, verdict: str, campaign_id: str | None, reasons: list[str]
) -> dict:
    return {
        "account_id": account_id,
        "end_user_id": end_user_id,
        "verdict": verdict,
        "campaign_id": campaign_id,
        "probability": 0.998 if campaign_id else 0.0,
        "evidence_bits": 18.9 if campaign_id else 0.0,
        "exchanges": 240,
        "extraction_exchanges": 121 if campaign_id else 0,
        "first_seen": iso(1),
        "last_seen": iso(90),
        "reasons": reasons,
    }


ACCOUNTS = [
    account(
        "acct-0017",
        None,
        "extraction",
        "c-5f0a12cd",
        ["121 of its 240 exchanges come from the campaign's template."],
    ),
    account("acct-0018", None, "none", None, []),
    account("reseller/eu", None, "none", None, []),
    account(
        "reseller/eu",
        "user/9",
        "extraction",
        "c-5f0a12cd",
        ["A campaign's template, sent through a reseller."],
    ),
    account("odd\x1b[31m", None, "none", None, []),
]
FAMILIES = [
    {
        "family_id": "f-3b70aa91",
        "role": "system",
        "verdict": "shared_client",
        "campaign_id": None,
        "exchanges": 4210,
        "principals": 187,
        "accounts": 187,
        "evidence_bits": 6.2,
        "first_seen": iso(1),
        "last_seen": iso(90),
        "objective": "none",
        "reasons": ["A public client sends it for all of its users."],
    }
]


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    (tmp_path / "campaigns.json").write_text(json.dumps(campaigns()), encoding="utf-8")
    table = pa.Table.from_pylist(ACCOUNTS)
    for place, name in enumerate(table.column_names):
        if name in TIMES:
            table = table.set_column(place, name, table[name].cast(pa.timestamp("us", tz="UTC")))
    pq.write_table(table, tmp_path / "accounts.parquet")
    pq.write_table(pa.Table.from_pylist(FAMILIES), tmp_path / "families.parquet")
    (tmp_path / "overview.json").write_text(json.dumps(overview()), encoding="utf-8")
    (tmp_path / "report.html").write_text("<!doctype html>", encoding="utf-8")
    return tmp_path


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_a_campaign_is_explained_with_the_reasons_of_the_page(out_dir):
    for case in campaigns():
        text = unwrapped(explain(out_dir, case["campaign_id"]))
        lines = case["reasons"] + case["counter_evidence"] + case["would_change"]
        lines += [item["reason"] for item in case["evidence"]] + [item["why"] for item in case["silent"]]
        assert [line for line in lines if line not in text] == []


def test_an_account_is_told_its_own_reasons_and_what_speaks_against_the_campaign(out_dir):
    text = unwrapped(explain(out_dir, "acct-0017"))
    assert text.startswith("Account acct-0017: extraction 240 exchanges, 121 of them in extraction campaigns")
    assert "121 of its 240 exchanges come from the campaign's template." in text
    assert "It belongs to campaign c-5f0a12cd: extraction, 99.9%" in text
    assert campaigns()[1]["counter_evidence"][0] in text
    assert campaigns()[1]["would_change"][0] in text


def test_an_account_without_a_finding_says_so(out_dir):
    text = explain(out_dir, "acct-0018")
    assert text.startswith("Account acct-0018: no finding\n")
    assert "no finding speaks about it" in text
    assert "campaign c-" not in text


def test_slashes_in_an_account_or_its_end_user_do_not_confuse(out_dir):
    whole = unwrapped(explain(out_dir, "reseller/eu"))
    assert whole.startswith("Account reseller/eu: no finding")
    assert "reseller/eu/user/9: extraction" in whole
    one = explain(out_dir, "reseller/eu/user/9")
    assert one.startswith("End user reseller/eu/user/9: extraction")


def test_a_family_is_explained(out_dir):
    text = explain(out_dir, "f-3b70aa91")
    assert text.startswith("Family f-3b70aa91: shared client\n")
    assert "A public client sends it for all of its users." in text


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("acct-00l7", "acct-0017"),
        ("c-5f0a12dc", "c-5f0a12cd"),
        ("f-3b70aa9", "f-3b70aa91"),
        ("reseller/eu/user/8", "user/9"),
    ],
)
def test_an_unknown_id_names_the_closest(out_dir, wanted, near):
    with pytest.raises(UnknownIdError) as caught:
        explain(out_dir, wanted)
    told = str(caught.value)
    assert repr(wanted) in told
    assert near in told.split("The closest: ")[1]
    assert "All ids are in campaigns.json, families.parquet and accounts.parquet." in told


def test_an_id_like_no_other_is_told_so(out_dir):
    with pytest.raises(UnknownIdError, match="Nothing in it is close"):
        explain(out_dir, "zzzzzzzzzzzzzzzzzzzzzzzz")


def test_a_terminal_is_never_steered_by_an_id(out_dir):
    assert "\x1b" not in explain(out_dir, "odd\x1b[31m")
    with pytest.raises(UnknownIdError) as caught:
        explain(out_dir, "odd\x1b[32m")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_result_that_lacks_a_file_is_incomplete(out_dir, name):
    (out_dir / name).unlink()
    with pytest.raises(
        MissingResultError, match=rf"is incomplete, it has no {name}: .*; run `stillwatch scan`"
    ):
        explain(out_dir, "acct-0017")


def test_a_folder_without_a_result_says_what_to_give(tmp_path):
    with pytest.raises(
        MissingResultError,
        match=r"has no campaigns\.json; give a folder that `stillwatch scan LOG --out DIR`",
    ):
        explain(tmp_path, "acct-0017")


def test_a_table_with_a_torn_page_is_named(out_dir):
    table = pq.read_table(out_dir / "accounts.parquet")
    write_table(table, out_dir / "accounts.parquet")
    data = bytearray((out_dir / "accounts.parquet").read_bytes())
    ids = pq.read_metadata(out_dir / "accounts.parquet").row_group(0).column(0)
    data[ids.dictionary_page_offset + ids.total_compressed_size // 2] ^= 1
    (out_dir / "accounts.parquet").write_bytes(data)
    with pytest.raises(MissingResultError, match=r"accounts\.parquet cannot be read as Parquet"):
        explain(out_dir, "acct-0018")


def test_a_damaged_result_is_named(out_dir):
    (out_dir / "families.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(MissingResultError, match=r"families\.parquet cannot be read as Parquet"):
        explain(out_dir, "acct-0017")
    (out_dir / "campaigns.json").write_text("[", encoding="utf-8")
    with pytest.raises(MissingResultError, match=r"campaigns\.json is not JSON"):
        explain(out_dir, "acct-0017")


def test_the_summary_fits_a_terminal_and_leads_with_the_finding():
    text = summary(overview(), campaigns())
    assert text.startswith("Two extraction campaigns found\n")
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert (
        text.index("c-5f0a12cd  extraction") < text.index("c-b3902e11  extraction") < text.index("c-0d77f3a0")
    )
    assert "principals listed per campaign: 212 past the limit of 200" in text
    said = " ".join(text.split())
    assert (
        "values that made no sense left out: temperature 3; records that are no exchange passed over" in said
    )
    assert "a call that asks for no text 40; 1 exchange of keys that the identities lack" in said
    assert "2 more in campaigns.json" in summary(overview(), campaigns(), most=1)


def test_one_campaign_and_none_read_as_sentences():
    one = headline(overview(), campaigns()[1:2])
    assert one.title == "One extraction campaign found"
    assert one.found.startswith("It sent 50,112 exchanges (25.6% of the log) through 412 accounts")
    assert "it would stand at 91.8% and not be accused" in one.certainty
    none = headline(overview(), campaigns()[2:])
    assert none.title == "No extraction campaigns found"
    assert "One more group of accounts remains undetermined and is not accused" not in none.found
    assert "One group of accounts remains undetermined" in none.found


@pytest.mark.parametrize(("bits", "told"), [(20.0, True), (1.0, False)])
def test_an_innocent_family_with_the_bits_is_told_what_else_it_takes(bits, told):
    given = overview()
    nearest = {**given["innocent"][0], "evidence_bits": bits}
    against = headline({**given, "innocent": [nearest]}, campaigns()[1:2]).against
    assert "an accusation takes +14.5" in against
    assert ("and conduct as of one hand" in against) is told


def test_the_innocent_family_that_came_closest_lacks_the_fewest_bits():
    given = overview()
    most, least = given["innocent"]
    least = {**least, "evidence_bits": 4.8, "needed_bits": 8.5}
    against = headline({**given, "innocent": [most, least]}, campaigns()[1:2]).against
    assert f"came closest, {least['family_id']} (evaluation), has +4.8 bits" in against
    assert "an accusation takes +8.5." in against


def test_the_bits_of_an_innocent_family_stand_beside_what_an_accusation_of_it_takes(out_dir):
    text = " ".join(explain(out_dir, campaigns()[1]["campaign_id"]).split())
    assert "f-3b70aa91 (shared client, +6.2 bits; an accusation takes +14.5); differs: " in text


@pytest.mark.parametrize(("takes", "holds"), [(0.9, True), (0.99, False)])
def test_whether_it_would_be_accused_is_asked_of_what_an_accusation_of_it_takes(takes, holds):
    """At a rarer prior it stands at 91.8%; what is in doubt raises the threshold of this campaign alone."""
    one = {**campaigns()[1], "threshold_probability": takes}
    certainty = headline(overview(), [one]).certainty
    assert f"an accusation takes {percent(takes)}" in certainty
    assert f"at 91.8% and {'still' if holds else 'not'} be accused" in certainty


def test_what_accusations_take_is_a_span_where_one_has_more_in_doubt_than_another():
    both = [
        {**one, "threshold_probability": takes}
        for one, takes in zip(campaigns()[:2], (0.999, 0.95), strict=True)
    ]
    assert "an accusation takes 95% to 99.9%." in headline(overview(), both).certainty


def test_results_of_before_doubts_were_counted_can_be_read():
    old = {name: value for name, value in campaigns()[1].items() if name != "threshold_probability"}
    given = overview()
    nearest = {name: value for name, value in given["innocent"][0].items() if name != "needed_bits"}
    told = headline({**given, "innocent": [nearest]}, [old])
    assert "an accusation takes 99%" in told.certainty
    assert "bits of evidence; an accusation takes +" in told.against
