"""The registry: who is covered until when, and what a wrong entry is told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from stillwatch.registry import Licence, Registry, RegistryError, read_registry
from tests.scans import run

DAY = dt.date(2026, 3, 10)


def registry(tmp_path: Path, text: str) -> Registry:
    path = tmp_path / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return read_registry(path)


def test_every_field_is_read(tmp_path: Path) -> None:
    found = registry(
        tmp_path,
        """
        [[organization]]
        id = "org-1"
        accounts = ["acct-1", "acct-2"]
        may = ["data_generation", "evaluation"]
        until = 2026-12-31
        reference = "contract 2026-14"

        [[organization]]
        accounts = ["acct-3"]
        """,
    )
    assert found.licences == (
        Licence(
            "org-1", frozenset({"acct-1", "acct-2"}), ("data_generation", "evaluation"),
            dt.date(2026, 12, 31), "contract 2026-14",
        ),
        Licence(None, frozenset({"acct-3"}), (), None, None),
    )  # fmt: skip


def test_an_organization_covers_all_its_accounts_and_no_other(tmp_path: Path) -> None:
    found = registry(tmp_path, '[[organization]]\nid = "org-1"\n')
    assert found.licence("anything", "org-1", DAY) is found.licences[0]
    assert found.licence("anything", "org-10", DAY) is None
    assert found.licence("anything", None, DAY) is None
    # The name of an organization is not the name of an account.
    assert found.licence("org-1", None, DAY) is None


def test_an_account_is_covered_whatever_organization_it_names(tmp_path: Path) -> None:
    found = registry(tmp_path, '[[organization]]\naccounts = ["acct-1"]\n')
    for organization in (None, "org-9"):
        assert found.licence("acct-1", organization, DAY) is found.licences[0]
        assert found.licence("acct-11", organization, DAY) is None


def test_a_licence_holds_through_its_last_day(tmp_path: Path) -> None:
    found = registry(tmp_path, '[[organization]]\nid = "org-1"\nuntil = 2026-03-10\n')
    assert found.licence("a", "org-1", dt.date(2026, 3, 9)) is not None
    assert found.licence("a", "org-1", dt.date(2026, 3, 10)) is not None
    assert found.licence("a", "org-1", dt.date(2026, 3, 11)) is None


def test_a_licence_that_ran_out_still_declares(tmp_path: Path) -> None:
    found = registry(
        tmp_path,
        '[[organization]]\nid = "org-1"\nuntil = 2020-01-01\n[[organization]]\naccounts = ["acct-1"]\n',
    )
    assert found.declares("a", "org-1")
    assert found.declares("acct-1", None)
    assert not found.declares("a", "org-2")
    assert not found.declares("a", None)


def test_a_later_entry_covers_what_an_earlier_one_no_longer_does(tmp_path: Path) -> None:
    found = registry(
        tmp_path,
        '[[organization]]\nid = "org-1"\nuntil = 2025-12-31\nreference = "old"\n'
        '[[organization]]\nid = "org-1"\nuntil = 2026-12-31\nreference = "new"\n',
    )
    licence = found.licence("a", "org-1", DAY)
    assert licence is not None
    assert licence.reference == "new"


def test_a_moment_is_taken_as_its_day(tmp_path: Path) -> None:
    found = registry(tmp_path, '[[organization]]\nid = "org-1"\nuntil = 2026-03-10T08:00:00Z\n')
    assert found.licences[0].until == DAY


@pytest.mark.parametrize("text", ["", "organization = []\n"])
def test_an_empty_registry_covers_nobody(text: str, tmp_path: Path) -> None:
    assert registry(tmp_path, text).licence("a", "o", DAY) is None
    assert Registry().licence("a", "o", DAY) is None


ENTRY = "[[organization]]\n"
WRONG = {
    "not TOML": ("organization = [", r"cannot read the registry .*registry\.toml: "),
    "another table": ('[[firm]]\nid = "org-1"\n', r"expected \[\[organization\]\] tables only, found firm"),
    "one table": ('[organization]\nid = "org-1"\n', r"expected \[\[organization\]\] tables only"),
    "unknown key": (
        ENTRY + 'id = "org-1"\nuntill = 2026-12-31\n',
        r"organization 1: unknown key untill; allowed are accounts, id, may, reference, until",
    ),
    "nobody": (ENTRY + 'may = ["evaluation"]\n', r"organization 1: give an 'id' .* or a list of 'accounts'"),
    "no accounts": (ENTRY + "accounts = []\n", r"organization 1: give an 'id' .* or a list of 'accounts'"),
    "accounts as text": (
        ENTRY + 'accounts = "acct-1"\n', r"organization 1: 'accounts' and 'may' must be lists of texts",
    ),
    "may as text": (
        ENTRY + 'id = "o"\nmay = "evaluation"\n', r"organization 1: 'accounts' and 'may' must be lists",
    ),
    "date in quotes": (
        ENTRY + 'id = "o"\nuntil = "2026-12-31"\n',
        r"organization 1: 'until' must be a date such as 2026-12-31 without quotes",
    ),
    "id of another type": (ENTRY + 'id = ["o"]\n', r"organization 1: 'id' must be a text"),
    "empty id": (ENTRY + 'id = ""\n', r"organization 1: 'id' must be a text"),
    "an account in a list": (ENTRY + 'accounts = [["a"]]\n', r"'accounts' and 'may' must be lists of texts"),
    "reference of another type": (ENTRY + 'id = "o"\nreference = 5\n', r"'reference' must be a text"),
    "second entry": (ENTRY + 'id = "o"\n' + ENTRY + 'id = "p"\nuntil = 2026\n', r"organization 2: 'until' must"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_entry_is_named_with_what_is_allowed(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        registry(tmp_path, text)
    assert "registry.toml" in str(caught.value)


def test_an_entry_that_is_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"\[\[organization\]\]"):
        registry(tmp_path, "organization = [1]\n")


def test_accounts_may_be_numbers(tmp_path: Path) -> None:
    # A number would cover an account that the log names by the same digits, and that may be meant.
    found = registry(tmp_path, "[[organization]]\naccounts = [17]\n")
    assert found.licence("17", None, DAY) is not None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"cannot read the registry .*missing\.toml"):
        read_registry(tmp_path / "missing.toml")
    (tmp_path / "latin").write_bytes(b'[[organization]]\nid = "\xff"\n')
    with pytest.raises(RegistryError, match="cannot read the registry"):
        read_registry(tmp_path / "latin")


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_text("[[organization]]\nid = 'o'\nuntil = 'soon'\n", encoding="utf-8")
    found = run(
        "scan", tmp_path / "log.parquet", "--out", tmp_path / "out", "--registry", tmp_path / "registry.toml",
        folder=tmp_path,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "'until' must be a date such as 2026-12-31 without quotes" in found.stderr
    assert not (tmp_path / "out").exists()
