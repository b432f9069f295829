"""The documentation: what comes from the code is fresh, what it names exists, and its commands run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from stillwatch import outputs
from stillwatch.arena import PRESETS, simulate
from stillwatch.cli import app
from stillwatch.keys import Keys
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.verdict import Verdict

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/*.md")])
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
GROUPS = {
    str(group.name): [str(command.name) for command in group.typer_instance.registered_commands]
    for group in app.registered_groups
}
COMMANDS = [
    *(str(command.name) for command in app.registered_commands),
    *(f"{group} {command}" for group, commands in GROUPS.items() for command in commands),
]


@pytest.fixture(scope="module")
def documentation() -> ModuleType:
    sys.path.append(str(ROOT / "scripts"))  # it imports what is beside it
    spec = importlib.util.spec_from_file_location("documentation", ROOT / "scripts" / "documentation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a small scan in which one campaign is planted."""
    folder = tmp_path_factory.mktemp("docs")
    simulate(PRESETS["tiny"], folder / "log")
    keys = Keys(local=b"a key for the tests of the documents")
    scan(Source((folder / "log" / "exchanges.parquet",)), folder / "result", keys, Options(shadow=5))
    return folder / "result"


def section(page: str, heading: str) -> str:
    """The text under a heading of the second level."""
    return page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def cells(text: str) -> list[list[str]]:
    """The rows of the first table of a text, without its head, code marks removed."""
    table = text[text.index("\n| ") + 1 :].split("\n\n", 1)[0]
    lines = table.splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_what_is_made_from_the_code_is_fresh(page: Path, documentation: ModuleType) -> None:
    text = page.read_text(encoding="utf-8")
    assert documentation.fill(text) == text, f"run scripts/make_docs: {page.name} is stale"


def test_a_block_that_nothing_makes_is_an_error_that_names_those_that_are_made(
    documentation: ModuleType,
) -> None:
    with pytest.raises(
        documentation.UnknownBlockError, match=r"no block is called 'sginals'; there are .*signals"
    ):
        documentation.fill("<!-- made: sginals -->\n<!-- end -->")


def test_every_block_is_used_in_some_page(documentation: ModuleType) -> None:
    used = {name for page in PAGES for name in re.findall(r"<!-- made: (.+?) -->", page.read_text("utf-8"))}
    assert used == set(documentation.BLOCKS)


@EVERY_PAGE
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@EVERY_PAGE
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = re.sub(r"<!-- made: .*?<!-- end -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|toml)|(?:[\w.-]+/)+|scripts/\w+|\.ci/\w+)`", text)
    places = (ROOT, ROOT / "src" / "stillwatch", ROOT / "tests")
    written = {"DIR/", "recipe.toml", "policy.toml"}  # by commands or people
    missing = [
        name
        for name in named
        if name not in written and "NAME" not in name and not any((place / name).exists() for place in places)
    ]
    assert not missing


@EVERY_PAGE
def test_every_command_that_is_shown_can_be_given(page: Path) -> None:
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    commands = [line for block in blocks for part in block.splitlines() for line in part.split("&&")]
    for line in map(str.strip, commands):
        if line.startswith("scripts/"):
            assert os.access(ROOT / line.split()[0], os.X_OK), line
        elif re.match(r"(\S*/)?stillwatch ", line):
            name, *words = line.split()[1:]
            command = [name, words.pop(0)] if name in GROUPS else [name]
            shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
            assert shown.exit_code == 0, line
            assert all(word in shown.output for word in words if word.startswith("--")), line


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_the_command_line_has_every_option_of_the_help(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    documented = section((ROOT / "docs" / "cli.md").read_text("utf-8"), f"stillwatch {name}")
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", shown.output)) - {"--help"}
    named = " ".join(row[0] for row in cells(documented)) if "\n| " in documented else ""
    assert options == set(re.findall(r"(?<![\w-])--[a-z][\w-]*", named))


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("accounts.parquet", outputs.ACCOUNTS),
        ("families.parquet", outputs.FAMILIES),
        ("matches.parquet", outputs.MATCHES),
    ],
)
def test_every_column_of_a_result_is_documented_with_its_type(
    file: str, schema: pa.Schema, documentation: ModuleType
) -> None:
    rows = cells(section((ROOT / "docs" / "result.md").read_text("utf-8"), file))
    held = [(field.name, documentation.type_name(field.type)) for field in schema]
    assert [(name, kind) for name, kind, _ in rows] == held
    assert all(meaning for _, _, meaning in rows)


def test_every_file_of_a_result_is_documented(result: Path) -> None:
    rows = cells((ROOT / "docs" / "result.md").read_text("utf-8"))
    assert {name for name, _ in rows} == {file.name for file in result.iterdir()}


@pytest.mark.parametrize("file", ["campaigns.json", "overview.json"])
def test_every_field_of_a_document_is_documented(file: str, result: Path) -> None:
    rows = cells(section((ROOT / "docs" / "result.md").read_text("utf-8"), file))
    found: Any = json.loads((result / file).read_text("utf-8"))
    records = found if isinstance(found, list) else [found]
    assert records
    for record in records:
        assert set(record) == {name for name, _ in rows}


def test_every_verdict_is_explained() -> None:
    explained = cells(
        section((ROOT / "docs" / "concepts.md").read_text("utf-8"), "From evidence to a result")
    )
    assert {row[0] for row in explained} == {str(verdict) for verdict in Verdict}


def test_every_dependency_has_a_reason_and_a_size() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {re.split(r"[<>=!~\[]", line)[0] for line in project["dependencies"]}
    rows = cells((ROOT / "docs" / "install.md").read_text("utf-8"))
    assert needed == {row[0] for row in rows} - {"stillwatch"}
    assert all(re.fullmatch(r"\d+\.\d MB", row[2]) for row in rows)


def test_the_citation_has_the_version_and_licence_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation


def test_the_picture_of_a_report_is_there_and_small() -> None:
    assert 10_000 < (ROOT / "docs" / "images" / "report.png").stat().st_size < 300_000
