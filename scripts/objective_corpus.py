"""Training text of the objective model: lines with alternatives, expanded and set into context.

A line of ``objective_text/<source>.tsv`` is ``objectives TAB language TAB text``. ``objectives`` is ``none`` or names
joined by commas. In the text ``{a|b|c}`` stands for one of a, b, c (nesting allowed, an empty one too), ``\\n`` for a
new line and ``@@`` for the place of a seed. The source (file) is what is held out, never the line.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stillwatch.objective.classes import OBJECTIVES

SEED_MARK = "@@"
HUMAN_FILES_CAP = 2500
"""Rows taken from one file of real prompts, so that no file drowns the others."""


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


@dataclass(frozen=True, slots=True)
class Document:
    """One text to train or measure on."""

    line: int
    """Index of its line; all expansions of a line share it."""

    text: str
    """What is scored."""

    setting: str
    """``alone``, ``joined`` (several lines of one source and objective) or ``in context`` (a seed beside it)."""

    language: str
    """Language of the line, or ``code`` where the seed beside it is code."""


def read_written(folder: Path) -> list[Line]:
    """Lines of every ``*.tsv`` in ``folder``; raises ``ValueError`` at a line that breaks the format."""
    lines: list[Line] = []
    for path in sorted(folder.glob("*.tsv")):
        for number, raw in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not raw.strip() or raw.startswith("#"):
                continue
            fields = raw.split("\t")
            names = frozenset() if fields[0] == "none" else frozenset(fields[0].split(","))
            if len(fields) != 3 or not names <= set(OBJECTIVES):
                raise ValueError(f"{path.name}:{number}: want objectives, language and text between tabs")
            lines.append(Line(path.stem, names, fields[1], fields[2].replace("\\n", "\n"), real=False))
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


class Corpus:
    """Lines, and the documents made of them."""

    def __init__(self, lines: Sequence[Line], rng: random.Random) -> None:
        self.lines = lines
        self._rng = rng
        self._seeds: dict[str, list[str]] = {}
        self._kin: dict[tuple[str, str, frozenset[str]], list[Line]] = {}
        for line in lines:
            if not line.objectives:
                self._seeds.setdefault(line.language, []).append(self._read(line))
            elif not line.real:
                self._kin.setdefault((line.source, line.language, line.objectives), []).append(line)

    def documents(self, quota: int) -> Iterator[Document]:
        """About ``quota`` expansions of each objective's lines in each language, and the texts of none of these."""
        tally = Counter((name, line.language) for line in self.lines for name in line.objectives)
        for index, line in enumerate(self.lines):
            if not line.objectives:
                yield from self._ordinary(index, line)
                continue
            fewest = min(tally[name, line.language] for name in line.objectives)
            copies = max(3, min(quota // fewest, 3 * count_readings(line.text), 30))
            for _ in range(copies):
                yield self._asking(index, line)

    def _read(self, line: Line) -> str:
        return line.text if line.real else expand(line.text, self._rng)

    def _seed(self, language: str) -> tuple[str, str]:
        """A seed for a template of ``language``, mostly in it; and the seed's own language."""
        if language not in self._seeds or self._rng.random() < 0.15:
            language = self._rng.choice(("en", "code"))
        return self._rng.choice(self._seeds[language]), language

    def _ordinary(self, index: int, line: Line) -> Iterator[Document]:
        for _ in range(1 if line.real else 4):
            text = self._read(line).replace(SEED_MARK, "" if self._rng.random() < 0.5 else self._seed(line.language)[0])
            yield Document(index, text, "alone", line.language)
            if self._rng.random() < 0.2:
                around = [self._seed(line.language)[0] for _ in range(self._rng.choice((1, 2, 3)))]
                around.insert(self._rng.randrange(len(around) + 1), text)
                yield Document(index, "\n\n".join(around), "in context", line.language)

    def _asking(self, index: int, line: Line) -> Document:
        rng = self._rng
        text, setting, language = self._read(line), "alone", line.language
        if not line.real and rng.random() < 0.5:
            kin = self._kin[line.source, line.language, line.objectives]
            others = [self._read(other) for other in rng.sample(kin, min(len(kin), rng.choice((1, 2))))]
            text, setting = rng.choice((" ", "\n")).join([text, *others]), "joined"
        if SEED_MARK in text:
            seed, language = self._seed(language)
            text = text.replace(SEED_MARK, "" if rng.random() < 0.3 else seed)
        if rng.random() < 0.5:
            seed, language = self._seed(language)
            gap = rng.choice(("\n\n", "\n", " ", "\n---\n"))
            place = rng.random()
            text = text + gap + seed if place < 0.45 else seed + gap + text
            if place > 0.8:
                text += gap + self._seed(line.language)[0]
            setting = "in context"
        return Document(index, text, setting, "code" if language == "code" else line.language)
