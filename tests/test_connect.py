"""``stillwatch connect``: what it prints can be pasted, and the log that comes of it can be read."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from stillwatch.cli import app
from stillwatch.cli.connect import programs
from stillwatch.formats import all_formats
from stillwatch.rejects import RejectLog
from stillwatch.sources import open_log

FIXTURES = Path(__file__).parent / "fixtures"
PROGRAMS = programs()
EVERY_PROGRAM = pytest.mark.parametrize("name", PROGRAMS)


def blocks(text: str) -> list[str]:
    """Indented blocks: what is to be pasted."""
    found = re.findall(r"(?:^(?: {4}.*|)\n)+", text, re.MULTILINE)
    return [block for part in found if (block := textwrap.dedent(part).strip())]


def code_of(name: str) -> str:
    (code,) = [block for block in blocks(PROGRAMS[name]) if "import " in block]
    return code


def read(file: Path, format_: str) -> list[dict[str, Any]]:
    with RejectLog(None, limit=0.0) as rejects:
        return [
            row for batch in open_log([file], rejects=rejects, format=format_) for row in batch.to_pylist()
        ]


def test_without_a_name_the_programs_are_listed_a_line_each() -> None:
    result = CliRunner().invoke(app, ["connect"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(PROGRAMS)


def test_an_unknown_program_is_answered_with_the_known_ones() -> None:
    result = CliRunner().invoke(app, ["connect", "mystery"])
    assert result.exit_code == 2
    assert all(name in result.output for name in ("litellm", "otel"))


@EVERY_PROGRAM
def test_the_scan_that_is_shown_names_a_format_that_exists(name: str) -> None:
    result = CliRunner().invoke(app, ["connect", name])
    assert result.output.rstrip() == PROGRAMS[name].rstrip()
    formats = re.findall(
        r"^    stillwatch scan \S+ --format (\S+) --out result$", PROGRAMS[name], re.MULTILINE
    )
    assert formats
    assert set(formats) <= set(all_formats())


def test_every_format_of_another_program_is_reached() -> None:
    shown = " ".join(PROGRAMS.values())
    others = [name for name in all_formats() if not name.startswith("native-")]
    assert [name for name in others if f"--format {name} " not in shown] == []


@pytest.mark.parametrize(
    ("name", "request_", "reply"),
    [
        (
            "openai",
            {"model": "m", "messages": [{"role": "user", "content": "why?"}]},
            {
                "id": "r1",
                "object": "chat.completion",
                "created": 1_770_000_000,
                "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "so"}}],
            },
        ),
        (
            "anthropic",
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "why?"}]},
            {
                "id": "r1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": "so"}],
                "usage": {"input_tokens": 3, "output_tokens": 1},
            },
        ),
    ],
)
def test_what_a_program_is_told_to_write_is_read(
    name: str, request_: dict[str, Any], reply: dict[str, Any], tmp_path: Path
) -> None:
    space: dict[str, Any] = {}
    exec(code_of(name), space)
    file = tmp_path / "exchanges.jsonl"
    answer = SimpleNamespace(model_dump=lambda **_: reply)
    with file.open("w", encoding="utf-8") as opened:
        space["log"]("a-1", request_, answer, opened)
    (row,) = read(file, name)
    assert (row["account_id"], row["completion"], row["messages"][0]["content"]) == ("a-1", "so", "why?")


def test_the_callback_of_litellm_writes_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that the real proxy wrote go through the callback; the class that it extends is LiteLLM's, and stands in
    here: in the real proxy the callback runs by ``scripts/integration litellm``."""
    records = [
        json.loads(line)
        for line in gzip.decompress((FIXTURES / "litellm.jsonl.gz").read_bytes()).splitlines()
    ]
    base = ModuleType("litellm.integrations.custom_logger")
    base.CustomLogger = object  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, base.__name__, base)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    exec(code_of("litellm"), space)
    for record in records:
        event = space["log"].async_log_success_event({"standard_logging_object": record}, None, None, None)
        asyncio.run(event)
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert read(tmp_path / "litellm-log.jsonl", "litellm") == read(whole, "litellm")
