"""Training text of the objective model: lines with alternatives, expanded and set into context.

A line of ``objective_text/<source>.tsv`` is ``objectives TAB language TAB text``. ``objectives`` is ``none``
or names joined by commas. In the text ``{a|b|c}`` stands for one of a, b, c (nesting allowed, an empty one
too), ``\\n`` for a new line and ``@@`` for the place of a seed. The source (file) is what is held out, never
the line. Lines of a file that opens with ``# Whole`` are whole templates, not to be joined to others.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stillwatch.objective.classes import OBJECTIVES

SEED_MARK = "@@"
HUMAN_FILES_CAP = 2500
"""Rows taken from one file of real prompts, so that no file drowns the others."""


LIBRARY_MODULES = [
    "argparse",
    "ast",
    "asyncio.base_events",
    "bdb",
    "calendar",
    "cmd",
    "codecs",
    "collections",
    "configparser",
    "contextlib",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "dis",
    "doctest",
    "email.message",
    "enum",
    "fractions",
    "ftplib",
    "functools",
    "gettext",
    "heapq",
    "html.parser",
    "http.client",
    "http.server",
    "imaplib",
    "inspect",
    "ipaddress",
    "json.decoder",
    "logging",
    "mailbox",
    "optparse",
    "pathlib",
    "pdb",
    "pickle",
    "platform",
    "random",
    "selectors",
    "shutil",
    "smtplib",
    "socketserver",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "timeit",
    "tokenize",
    "traceback",
    "typing",
    "unittest.case",
    "unittest.mock",
    "urllib.request",
    "uuid",
    "weakref",
    "zipfile",
]
"""Modules of the standard library that stand for pasted code."""


@dataclass(frozen=True, slots=True)
class Line:
    """One template or ordinary request, before expansion."""

    source: str
    """Who wrote it: file of written text, or file of real prompts."""

    objectives: frozenset[str]
    """What it asks for; empty for none of these."""

    language: str
    """``en``, ``zh``, ``ja``, ``th``; ``code`` where code prevails."""

    text: str
    """Text with its alternatives."""

    real: bool
    """Whether people outside this project wrote it."""

    whole: bool = False
    """Whether it is a template of several sentences already, not to be joined to others."""

    fitted: bool = True
    """Whether models are fitted on it; otherwise it is only measured."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text to train or measure on."""

    line: int
    """Index of its line; all expansions of a line share it."""

    text: str
    """What is scored."""

    setting: str
    """``alone``, ``joined`` (lines of one source and objective) or ``in context`` (a seed beside it)."""

    language: str
    """Language of the line, or ``code`` where the seed beside it is code."""

    varied: bool
    """Whether words were exchanged by :class:`Synonyms`: to train on, not to measure on."""


def read_written(folder: Path) -> list[Line]:
    """Lines of every ``*.tsv`` in ``folder``; raises ``ValueError`` at a line that breaks the format."""
    lines: list[Line] = []
    for path in sorted(folder.glob("*.tsv")):
        rows = path.read_text("utf-8").splitlines()
        whole = rows[:1] != [] and rows[0].startswith("# Whole")
        for number, raw in enumerate(rows, 1):
            if not raw.strip() or raw.startswith("#"):
                continue
            fields = raw.split("\t")
            names = frozenset() if fields[0] == "none" else frozenset(fields[0].split(","))
            if len(fields) != 3 or not names <= set(OBJECTIVES):
                raise ValueError(f"{path.name}:{number}: want objectives, language and text between tabs")
            text = fields[2].replace("\\n", "\n")
            lines.append(Line(path.stem, names, fields[1], text, real=False, whole=whole))
    return lines


def read_real(folder: Path, rng: random.Random) -> list[Line]:
    """Prompts of ``folder/prompts/*.jsonl.gz``, none of the objectives but for the grading templates."""
    lines: list[Line] = []
    for path in sorted((folder / "prompts").glob("*.jsonl.gz")):
        source = path.name.removesuffix(".jsonl.gz")
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            records = [json.loads(row) for row in rows]
        if len(records) > HUMAN_FILES_CAP:
            records = rng.sample(records, HUMAN_FILES_CAP)
        for record in records:
            names: frozenset[str] = frozenset()
            if source == "judge_prompts":
                pair = record["name"].startswith("pair")
                names = frozenset({"pairwise_preference" if pair else "rubric_grading"})
            language = "code" if source in ("humaneval", "mbppplus") else "en"
            lines.append(Line(source, names, language, record["text"], real=True))
    return lines


ARENA_READINGS = 6
"""Lines made of one template of the arena, each with half of the wordings of every sentence."""


def read_arena(folder: Path) -> list[Line]:
    """Templates of the arena's two text sources, slots as seeds, and what its honest people send.

    A judge's prompt of an honest firm asks for just what a grading campaign asks for. Those are measured as a
    source of their own, never fitted. The other honest kinds ask for none of these.
    """
    lines: list[Line] = []
    for path in sorted(folder.glob("*/*.txt")):
        if path.stem not in ("objectives", "honest"):
            continue
        for section in re.split(r"^\[template ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            header, _, body = section.partition("]\n")
            kind, language = (*header.split(), "en")[1:3]
            names = frozenset({kind} & set(OBJECTIVES))
            source = "arena_judges" if kind == "judge" else f"arena_{path.parent.name}"
            parts = _arena_parts(body)
            for reading in range(ARENA_READINGS if names else 1):
                text = "".join(part if isinstance(part, str) else _wordings(part, reading + at)
                               for at, part in enumerate(parts))  # fmt: skip
                lines.append(Line(source, names, language, text.strip(), real=False, whole=True,
                                  fitted=kind != "judge"))  # fmt: skip
    return lines


def _arena_parts(body: str) -> list[str | list[str]]:
    """A template's literals and slots as text, and its sentences as lists of wordings."""
    parts: list[str | list[str]] = []
    wordings: list[str] = []
    for row in body.splitlines():
        if row.startswith("- "):
            wordings.append(row[2:])
            continue
        parts.append(wordings)
        wordings = []
        if row.startswith("> "):
            parts.append(row[2:].replace("\\n", "\n").replace("{", "(").replace("}", ")"))
        elif row.startswith("{"):
            parts.append(SEED_MARK)
    parts.append(wordings)
    return [part for part in parts if part]


def _wordings(wordings: list[str], first: int) -> str:
    """Half of ``wordings``, from the place ``first`` on, as alternatives; a space follows."""
    half = [wordings[(first + at) % len(wordings)] for at in range((len(wordings) + 1) // 2)]
    return "{" + "|".join(re.sub("[{}|]", "/", wording).replace("\\n", "\n") for wording in half) + "} "


def read_library(rng: random.Random) -> list[Line]:
    """Passages of 10 to 120 lines of Python's own standard library: code, none of the objectives."""
    lines: list[Line] = []
    for name in LIBRARY_MODULES:
        origin = find_spec(name)
        if origin is None or not origin.has_location or origin.origin is None:
            continue
        rows = Path(origin.origin).read_text("utf-8", "replace").splitlines()
        at = 0
        while at < len(rows):
            size = rng.randint(10, 120)
            lines.append(
                Line("python_library", frozenset(), "code", "\n".join(rows[at : at + size]), real=True)
            )
            at += size
    return lines


def expand(text: str, rng: random.Random) -> str:
    """One reading of ``text``: each ``{a|b}`` replaced by one of its alternatives, inner ones first."""
    while True:
        close = text.find("}")
        start = text.rfind("{", 0, close)
        if close < 0 or start < 0:
            return text
        text = text[:start] + rng.choice(text[start + 1 : close].split("|")) + text[close + 1 :]


def count_readings(text: str) -> int:
    """An upper estimate of how many readings ``text`` has, from its alternatives."""
    readings = 1
    for part in text.split("{")[1:]:
        readings *= part.split("}")[0].count("|") + 1
        if readings > 1000:
            break
    return readings


class Synonyms:
    """Exchanges words of a text for others of their set, so that no wording carries a class by itself."""

    def __init__(self, path: Path) -> None:
        self._sets: dict[str, list[str]] = {}
        for row in path.read_text("utf-8").splitlines():
            for word in row.split() if not row.startswith("#") else ():
                self._sets.setdefault(word, []).extend(other for other in row.split() if other != word)
        spaced = sorted(word for word in self._sets if word.isascii())
        unspaced = sorted(
            (word for word in self._sets if not word.isascii()), key=lambda word: (-len(word), word)
        )
        self._pattern = re.compile(rf"\b(?:{'|'.join(spaced)})\b|{'|'.join(unspaced)}")

    def vary(self, text: str, rng: random.Random) -> str:
        """``text`` with two in five of the words that have a set exchanged."""
        return self._pattern.sub(
            lambda found: rng.choice(self._sets[found[0]]) if rng.random() < 0.4 else found[0], text
        )


class Corpus:
    """Lines, and the documents made of them."""

    def __init__(self, lines: Sequence[Line], synonyms: Synonyms, rng: random.Random) -> None:
        self.lines = lines
        self._synonyms = synonyms
        self._rng = rng
        self._seeds: dict[str, list[str]] = {}
        self._kin: dict[tuple[str, str, frozenset[str]], list[Line]] = {}
        for line in lines:
            if not line.objectives and not line.whole:
                self._seeds.setdefault(line.language, []).append(self._read(line))
            elif not line.real and not line.whole:
                self._kin.setdefault((line.source, line.language, line.objectives), []).append(line)

    def documents(self, quota: int) -> Iterator[Document]:
        """About ``quota`` texts an objective and language, and those that ask for none of these."""
        tally = Counter((name, line.language) for line in self.lines for name in line.objectives)
        for index, line in enumerate(self.lines):
            if not line.objectives:
                yield from self._ordinary(index, line)
                continue
            fewest = min(tally[name, line.language] for name in line.objectives)
            copies = max(3, min(quota // fewest, 3 * count_readings(line.text), 30))
            for copy in range(copies):
                yield self._asking(index, line, varied=copy % 2 == 1 and not line.real)

    def _read(self, line: Line) -> str:
        return line.text if line.real else expand(line.text, self._rng)

    def _seed(self, language: str) -> tuple[str, str]:
        """A seed for a template of ``language``, mostly in it; and the seed's own language."""
        if language not in self._seeds or self._rng.random() < 0.15:
            language = self._rng.choice(("en", "code"))
        return self._rng.choice(self._seeds[language]), language

    def _ordinary(self, index: int, line: Line) -> Iterator[Document]:
        for copy in range(1 if line.real else 12):
            varied = copy % 2 == 1
            text = self._read(line).replace(
                SEED_MARK, "" if self._rng.random() < 0.5 else self._seed(line.language)[0]
            )
            text = self._synonyms.vary(text, self._rng) if varied else text
            yield Document(index, text, "alone", line.language, varied)
            if self._rng.random() < 0.2:
                around = [self._seed(line.language)[0] for _ in range(self._rng.choice((1, 2, 3)))]
                around.insert(self._rng.randrange(len(around) + 1), text)
                yield Document(index, "\n\n".join(around), "in context", line.language, varied)

    def _asking(self, index: int, line: Line, varied: bool) -> Document:
        rng = self._rng
        text, setting, language = self._read(line), "joined" if line.whole else "alone", line.language
        if not line.real and not line.whole and rng.random() < 0.5:
            kin = self._kin[line.source, line.language, line.objectives]
            others = [self._read(other) for other in rng.sample(kin, min(len(kin), rng.choice((1, 2))))]
            text, setting = rng.choice((" ", "\n")).join([text, *others]), "joined"
        text = self._synonyms.vary(text, rng) if varied else text
        while SEED_MARK in text:
            seed, language = self._seed(line.language)
            text = text.replace(SEED_MARK, "" if rng.random() < 0.3 else seed, 1)
        if rng.random() < 0.5:
            seed, language = self._seed(language)
            gap = rng.choice(("\n\n", "\n", " ", "\n---\n"))
            place = rng.random()
            text = text + gap + seed if place < 0.45 else seed + gap + text
            if place > 0.8:
                text += gap + self._seed(line.language)[0]
            setting = "in context"
        return Document(index, text, setting, "code" if language == "code" else line.language, varied)
