"""Values, docstrings and records as Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Sequence

import pyarrow as pa


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: object) -> str:
    """The text as code, or nothing of nothing."""
    return f"`{text}`" if str(text) else ""


def prose(docstring: str | None) -> str:
    """A docstring as Markdown on one line, up to its doctest."""
    text = inspect.cleandoc(docstring or "").split(">>>")[0]
    return re.sub(r"\s+", " ", text).replace("``", "`").strip()


def first_paragraph(docstring: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return prose(inspect.cleandoc(docstring or "").split("\n\n")[0])


def field_meanings(record: type) -> dict[str, str]:
    """What the text under each field of a record says."""
    source = ast.parse(textwrap.dedent(inspect.getsource(record)))
    body = source.body[0].body  # type: ignore[attr-defined]
    found: dict[str, str] = {}
    name = ""
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            found[name] = ""
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[name] = prose(str(statement.value.value))
        else:
            name = ""
    return found


def type_name(kind: pa.DataType) -> str:
    """An Arrow type as the documents write it."""
    text = str(kind).replace("list<element: ", "list<").replace("list<item: ", "list<")
    return text.replace("struct<role: string, content: string>", "struct<role, content>")
