"""An option that changes nothing: refused where it is surely a mistake, said where it may be meant."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stillwatch.calibration.labels import read_labels, write_labels
from stillwatch.cli import app
from stillwatch.countries import CODES, code_of
from stillwatch.examine import Options
from stillwatch.registry import Licence, Registry
from tests.conftest import START, exchange
from tests.scans import TEST_KEY, scan_log, to_log, write_parquet

AFTER = START + dt.timedelta(minutes=5)
COLUMNS = {"organization_id": "org-1", "country": "VN"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [exchange(number, f"a{number}", f"question {number}", **COLUMNS) for number in range(9)]
    return write_parquet(to_log(rows), tmp_path / "log.parquet")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(part) for part in arguments], env={"COLUMNS": "400"})


def said(log: Path, tmp_path: Path, *options: str | Path) -> tuple[str, list[str]]:
    """What a scan prints, and the notices of its overview, which its report has too."""
    (tmp_path / "key").write_bytes(TEST_KEY)
    out = tmp_path / "result"
    result = run("scan", log, "--key", tmp_path / "key", "--out", out, *options)
    assert result.exit_code == 0, result.output
    notices: list[str] = json.loads((out / "overview.json").read_text())["notices"]
    page = (out / "report.html").read_text()
    assert all(f"<li>{notice}</li>" in page for notice in notices)
    flat = " ".join(result.output.split())
    assert all(notice in flat for notice in notices)
    return result.output, notices


@pytest.mark.parametrize(
    ("options", "notices"),
    [
        (["--release", f"large-1={AFTER.isoformat()}", "--unsupported-region", "vn"], []),
        (
            ["--release", f"atlas-9={AFTER.isoformat()}"],
            ["--release atlas-9: nobody in the log asked for this model."],
        ),
        (
            ["--release", "large-1=2020-01-01"],
            ["--release large-1: the log begins later, so that nobody can be seen to move to the model."],
        ),
        (
            ["--release", "large-1=2030-01-01"],
            ["--release large-1: the log ends earlier, so that nobody can be seen to move to the model."],
        ),
        (
            ["--unsupported-region", "VN", "--unsupported-region", "KP", "--unsupported-region", "CU"],
            ["--unsupported-region CU, KP: no exchange comes from there."],
        ),
    ],
)
def test_what_a_log_has_nothing_of_is_said(
    options: list[str], notices: list[str], log: Path, tmp_path: Path
) -> None:
    assert said(log, tmp_path, *options)[1] == notices
    assert [
        one["model"] for one in json.loads((tmp_path / "result" / "overview.json").read_text())["releases"]
    ] == ["large-1" for option in options if option.startswith("large-1")]


def test_regions_of_a_log_without_countries(tmp_path: Path) -> None:
    log = to_log([exchange(number, f"a{number}", f"question {number}") for number in range(9)])
    overview = scan_log(log, tmp_path, Options(unsupported_regions=frozenset({"VN"}))).overview
    assert overview["notices"] == ["--unsupported-region VN: the log names no country."]


@pytest.mark.parametrize(
    ("account", "organization", "found"), [("a1", None, True), ("", "org-1", True), ("A1", "Org-1", False)]
)
def test_a_registry_of_nobody_in_the_log(
    account: str, organization: str | None, found: bool, tmp_path: Path
) -> None:
    log = to_log([exchange(number, f"a{number}", f"question {number}", **COLUMNS) for number in range(9)])
    licence = Licence(organization, frozenset({account} - {""}), (), None, None)
    overview = scan_log(log, tmp_path, Options(registry=Registry((licence,)))).overview
    assert overview["notices"] == (
        [] if found else ["--registry: the log has none of its organizations and accounts."]
    )


def test_decisions_of_another_key_are_not_passed_over_in_silence(log: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.parquet"
    decided: dict[str, Any] = {"decision": "innocent", "source": "review", "decided_at": START}
    write_labels([{**decided, "campaign_id": "c-1"}, {**decided, "family_id": "f-1"}], labels)
    assert len(read_labels(labels).labels) == 2
    (notice,) = said(log, tmp_path, "--labels", labels)[1]
    assert notice.startswith(
        "--labels: none of 2 decisions is about anything in this log, and whoever was cleared may"
    )


def test_identities_of_which_the_log_has_no_key(log: Path, tmp_path: Path) -> None:
    table = tmp_path / "who.csv"
    table.write_text("key,account_id\nb1,ONE\n")
    assert said(log, tmp_path, "--identities", table)[1] == [
        "--identities: the table has none of the keys of the log."
    ]
    table.write_text("key,account_id\na1,ONE\n")
    assert said(log, tmp_path, "--identities", table)[1] == []


@pytest.mark.parametrize("text", ["VNM", "Vietnam", "VN,RU", "UK", "1", ""])
def test_a_region_that_is_no_code_of_a_country_is_refused(text: str, log: Path, tmp_path: Path) -> None:
    result = run(
        "scan", log, "--out", tmp_path / "out", "--key", tmp_path / "key", "--unsupported-region", text
    )
    assert result.exit_code == 2
    assert (
        f"{text!r} is no ISO 3166-1 alpha-2 code; give one country an option, such as VN or GB"
        in result.output
    )
    assert not (tmp_path / "out").exists()


def test_codes_of_countries() -> None:
    assert len(CODES) == 250
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for code in CODES)
    assert code_of(" gb ") == "GB"


def test_a_model_is_released_once(log: Path, tmp_path: Path) -> None:
    twice = ["--release", "large-1=2026-01-05", "--release", "large-1=2026-01-06"]
    result = run("scan", log, "--out", tmp_path / "out", "--key", tmp_path / "key", *twice)
    assert result.exit_code == 2
    assert "large-1 is given two times of release" in result.output
    assert said(log, tmp_path, *twice[:2], *twice[:2])


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (["scan", "LOG", "--out", "OUT", "--peer-bits", "2"], "--peers"),
        (["scan", "LOG", "--state", "OUT", "--exit-code"], "--out"),
        (["calibrate", "LOG", "--out", "OUT", "--sooner", "3"], "--step"),
        (["calibrate", "LOG", "--out", "OUT", "--window", "10d"], "--step"),
        (
            ["stream", "LOG", "--state", "OUT", "--checkpoint", "OUT", "--out", "OUT", "--topic", "t"],
            "--kafka",
        ),
    ],
)
def test_an_option_of_another_one_that_is_missing_is_refused(
    command: list[str], needed: str, log: Path, tmp_path: Path
) -> None:
    places = {"LOG": str(log), "OUT": str(tmp_path / "out")}
    result = run(*(places.get(part, part) for part in command), "--key", tmp_path / "key")
    assert result.exit_code == 2
    assert f"it has no effect without {needed}; give both or neither" in result.output
    assert not (tmp_path / "out").exists()


def test_a_run_that_takes_in_alone_says_what_it_had_no_use_for(log: Path, tmp_path: Path) -> None:
    common = ["--state", tmp_path / "state", "--key", tmp_path / "key"]
    result = run("scan", log, *common, "--prior", "0.01", "--unsupported-region", "VN")
    assert result.exit_code == 0, result.output
    assert (
        "without --out nothing is looked at; --unsupported-region, --prior had no effect\n" in result.output
    )
    assert "had no effect" not in run("scan", log, *common).output


def test_a_new_key_is_told_of_and_an_old_one_is_not(log: Path, tmp_path: Path) -> None:
    command = ["fingerprint", log, "--key", tmp_path / "kye", "--out", tmp_path / "sketches.parquet"]
    assert f"{tmp_path / 'kye'} is a new key; campaigns and families have other names" in run(*command).stderr
    assert "is a new key" not in run(*command).stderr
