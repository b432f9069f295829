"""The parts of the documentation that are made from the code, so that they cannot drift from it.

A page holds blocks between ``<!-- made: NAME -->`` and ``<!-- end -->``; what stands there is replaced by
what ``BLOCKS[NAME]`` returns. Everything outside of the blocks is written by hand.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

import documentation_commands
import documentation_leak
import documentation_review
from documentation_markdown import code, field_meanings, first_paragraph, prose, table, type_name
from stillwatch import arena, campaigns, fingerprint, identities, verdict
from stillwatch.arena import recipe
from stillwatch.arena.log import TRUTH_SCHEMA
from stillwatch.arena.simulation import POPULATIONS
from stillwatch.calibration import labels, shadow
from stillwatch.evidence import load_weights
from stillwatch.exchange import COLUMNS
from stillwatch.families import assign, components
from stillwatch.formats import all_formats, line_formats
from stillwatch.links import all_links
from stillwatch.objective.classes import OBJECTIVE_MEANINGS
from stillwatch.response import actions
from stillwatch.response.policy import Policy
from stillwatch.response.rules import Rule, When
from stillwatch.response.snapshot import HeldAction
from stillwatch.response.webhooks import Webhook
from stillwatch.signals import all_signals

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- made: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


class UnknownBlockError(Exception):
    """A page asks for a block that nothing makes."""


def fill(page: str) -> str:
    """The page with every block made anew.

    >>> fill("before <!-- made: objectives -->\\nstale\\n<!-- end --> after").count("stale")
    0
    """

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in BLOCKS:
            raise UnknownBlockError(f"no block is called {name!r}; there are {', '.join(sorted(BLOCKS))}")
        return f"{found[1]}\n{BLOCKS[name]().strip()}\n\n{found[3]}"

    return _BLOCK.sub(made, page)


def _fields(record: type, leave_out: frozenset[str] = frozenset()) -> str:
    meanings = field_meanings(record)
    rows = []
    for field in dataclasses.fields(record):
        if field.name in leave_out:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if dataclasses.is_dataclass(default):
            default = f"see {type(default).__name__}"
        meaning = meanings[field.name]
        if field.name in recipe.CHOICES:
            meaning = f"{meaning} One of {', '.join(map(code, recipe.CHOICES[field.name]))}.".strip()
        if isinstance(default, enum.Enum):
            default = default.value
        shown = default if isinstance(default, str) and default.startswith("see ") else code(repr(default))
        shown = (
            ""
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            else shown
        )
        rows.append((code(field.name), shown, meaning))
    return table(("field", "default", "meaning"), rows)


def _columns() -> str:
    rows = [
        (code(column.name), code(type_name(column.type)), "yes" if column.required else "", column.meaning)
        for column in COLUMNS
    ]
    return table(("column", "type", "required", "meaning"), rows)


def _schema(schema: pa.Schema) -> str:
    return table(("column", "type"), [(code(field.name), code(type_name(field.type))) for field in schema])


def _label_columns() -> str:
    rows = [
        (
            code(column.name),
            code(column.type),
            "yes" if column.required else "",
            f"{column.meaning}{': ' if column.allowed else ''}{', '.join(map(code, column.allowed))}",
        )
        for column in labels.COLUMNS
    ]
    return table(("column", "type", "required", "meaning"), rows)


def _shadow_columns() -> str:
    rows = [(code(field.name), code(field.type), shadow.MEANINGS[field.name]) for field in shadow.SHADOW]
    return table(("column", "type", "meaning"), rows)


def _signals() -> str:
    curves = load_weights().curves
    rows = []
    for signal in all_signals():
        weighed = curves.get(signal.name)
        most = f"{min(weighed.bits):+.1f} to {max(weighed.bits):+.1f}" if weighed else "not weighed"
        needs = ", ".join(map(code, signal.needs)) or "text and times"
        rows.append((code(signal.name), first_paragraph(type(signal).__doc__), needs, most))
    return table(("signal", "value", "needs", "bits"), rows)


def _links() -> str:
    rows = [(code(link.name), prose(type(link).__doc__)) for link in all_links()]
    return table(("link", "joins"), rows)


def _formats() -> str:
    parts = []
    for name, found in all_formats().items():
        about = found.about
        columns = [(code(c.name), about.fields[c.name]) for c in COLUMNS if c.name in about.fields]
        absent = [code(column.name) for column in COLUMNS if column.name not in about.fields]
        parts += [f"## {about.title}", f"`--format {name}`"]
        parts += [f"**Needs:** {about.needs.rstrip('.')}.", f"**Identity:** {about.identity.rstrip('.')}."]
        if all(column == field.strip("`") for field, column in columns):
            parts.append("Every column is read from the field of its own name.")
        else:
            parts.append(table(("column", "read from"), columns))
        if about.dialects:
            parts.append(
                table(("dialect", "how it is told, and what is its own"), list(about.dialects.items()))
            )
        if absent:
            parts.append(f"Always null: {', '.join(absent)}.")
        parts.append(table(("not kept", "why"), list(about.lost.items())))
    return "\n\n".join(parts)


def _bad_logs() -> str:
    """Broken and odd logs with what becomes of them, from the file that the tests hold the readers to."""
    cases = json.loads((ROOT / "tests" / "golden" / "bad_logs.json").read_text(encoding="utf-8"))
    return table(
        ("a log that is or holds", "what becomes of it"),
        [(case["log"], case.get("treatment") or f"error: {_without_list(case['says'])}") for case in cases],
    )


def _without_list(says: str) -> str:
    """An error without the names of all formats, which stand on the same page."""
    names = ", ".join(format_.name for format_ in line_formats())
    return says.replace(names, "(the formats below)")


def _identities() -> str:
    rows = [(code(name), "yes") for name in identities.REQUIRED]
    rows += [(code(name), "") for name in identities.OPTIONAL]
    return table(("column", "required"), rows)


def _actions() -> str:
    rows = [
        (
            code(action),
            meaning,
            ", ".join(f"{code(name)}: {allowed}" for name, allowed in actions.takes(action).items()),
        )
        for action, meaning in actions.MEANINGS.items()
    ]
    return table(("action", "what the customer gets", "parameters"), rows)


def _held_action() -> str:
    written = {"starts": "from"}
    meanings = field_meanings(HeldAction)
    rows = [(code(written.get(name, name)), meaning) for name, meaning in meanings.items()]
    return table(("field", "meaning"), rows)


def _populations() -> str:
    shares = recipe.Shares()
    rows = [
        (code(name), f"{getattr(shares, name):.0%}", first_paragraph(population.__doc__))
        for name, (population, _) in POPULATIONS.items()
    ]
    return table(("population", "share of principals", "who they are"), rows)


def _presets() -> str:
    rows = [
        (code(name), f"{preset.innocents:,}", f"{preset.exchanges:,}", len(preset.operators))
        for name, preset in recipe.PRESETS.items()
    ]
    return table(("preset", "innocent principals", "innocent exchanges, about", "operators"), rows)


def _mimics() -> str:
    plain = arena.Operator()
    rows = []
    for name in recipe.MIMICS:
        acted = dataclasses.replace(plain, mimic=name).resolved()
        changed = [
            f"`{field.name} = {getattr(acted, field.name)!r}`"
            for field in dataclasses.fields(plain)
            if field.name != "mimic" and getattr(acted, field.name) != getattr(plain, field.name)
        ]
        if name == "objective":
            changed = ["its templates ask for nothing that a model is trained on"]
        rows.append((code(name), ", ".join(changed) or "nothing beside the defaults"))
    return table(("mimic", "changes"), rows)


def _withholdable() -> str:
    rows = [(code(group), ", ".join(map(code, columns))) for group, columns in recipe.WITHHOLDABLE.items()]
    return table(("group", "columns that the log lacks"), rows)


def _objectives() -> str:
    return table(
        ("objective", "the template asks for"), [(code(k), v) for k, v in OBJECTIVE_MEANINGS.items()]
    )


def _lab_claims() -> str:
    """The summary over all claims of the lab."""
    records = json.loads((ROOT / "experiments" / "summary.json").read_text(encoding="utf-8"))
    pages = {path.name.split("-")[1]: path.name for path in (ROOT / "experiments").glob("claim-*.md")}
    rows = []
    for record in records:
        number, claim = record["claim"].split(". ", 1)
        interval = f"{record['estimate']:+.3f} ({record['low']:+.3f} to {record['high']:+.3f})"
        rows.append(
            (
                f"[{number}](../experiments/{pages[number]})",
                claim,
                record["verdict"],
                interval,
                record["seeds"],
            )
        )
    return table(("", "claim", "verdict", "first comparison (95% interval)", "seeds"), rows)


def _lab_results() -> str:
    """Committed summaries of experiments: one table each of single differences, and one of those against two others."""
    parts = []
    for path in sorted((ROOT / "experiments" / "lab").glob("*/summary.json")):
        records = json.loads(path.read_text(encoding="utf-8"))
        single, against = [], {}
        for record in records:
            claim = record["claim"].split(": ", 1)[1]
            interval = f"{record['estimate']:+.3f} ({record['low']:+.3f} to {record['high']:+.3f})"
            if found := _AGAINST.fullmatch(claim):
                name = (found["setup"], found["what"], found["condition"])
                against.setdefault(name, {})[found["other"]] = f"{interval} {record['verdict']}"
            else:
                single.append((claim, interval, record["seeds"], record["verdict"]))
        parts.append(f"### {path.parent.name}\n\n{code(records[0]['command'])}")
        parts.append(table(("what", "estimate (95% interval)", "seeds", "verdict"), single))
        for setup in dict.fromkeys(name[0] for name in against):
            others = list(dict.fromkeys(other for values in against.values() for other in values))
            rows = [
                (what, condition, *(values[other] for other in others))
                for (place, what, condition), values in against.items()
                if place == setup
            ]
            head = ("change of the", "under", *(f"less change of the {other}" for other in others))
            parts += [f"{setup[0].upper()}{setup[1:]}, {records[0]['seeds']} seeds:", table(head, rows)]
    return "\n\n".join(parts)


_AGAINST = re.compile(
    r"change of the (?P<what>.+) less change of the (?P<other>.+) under (?P<condition>\w+); (?P<setup>.+)"
)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "exchange columns": _columns,
    "sketch columns": lambda: _schema(fingerprint.SKETCH_SCHEMA),
    "truth columns": lambda: _schema(TRUTH_SCHEMA),
    "label columns": _label_columns,
    "shadow columns": _shadow_columns,
    "objectives": _objectives,
    "family rule": lambda: _fields(assign.Rule),
    "joining rule": lambda: _fields(components.Joining),
    "suspicion": lambda: _fields(campaigns.Suspicion),
    "bar": lambda: _fields(verdict.Bar),
    "signals": _signals,
    "links": _links,
    "formats": _formats,
    "identities": _identities,
    "bad logs": _bad_logs,
    "commands": documentation_commands.sections,
    "actions": _actions,
    "policy": lambda: _fields(Policy, frozenset({"rules", "webhooks", "digest", "text"})),
    "rule": lambda: _fields(Rule),
    "when": lambda: _fields(When),
    "webhook": lambda: _fields(Webhook),
    "held action": _held_action,
    "roles": lambda: table(("role", "may"), documentation_review.roles()),
    "pages": lambda: table(("address", "role", "what it is"), documentation_review.pages()),
    "operator": lambda: _fields(recipe.Operator),
    "recipe": lambda: _fields(recipe.Recipe),
    "release": lambda: _fields(recipe.Release),
    "populations": _populations,
    "presets": _presets,
    "mimics": _mimics,
    "withholdable": _withholdable,
    "lab claims": _lab_claims,
    "lab results": _lab_results,
    "leak": lambda: table(documentation_leak.HEAD, documentation_leak.rows()),
}
"""What may stand in a page, by name."""
