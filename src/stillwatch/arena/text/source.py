"""Read a text source: vocabularies, sentence patterns, pools of fixed texts and templates.

The data files are sections, ``[name qualifier ...]``, of one entry a line; ``\\n`` in an entry is a line
break. A template section holds groups of ``- wordings``, ``{style low-high}`` slots and ``> literal``
lines, in order. Lines that start with ``#`` and a space are remarks, in any section but patterns.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from importlib import resources

from stillwatch.arena.draws import key_of
from stillwatch.arena.frames import Topic

_HEADER = re.compile(r"^\[([^\]]+)\]$")
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_TERSE = ("code", "data", "tool", "result")
"""Styles that leave articles out."""
_DETERMINERS = frozenset(
    [
        "a",
        "an",
        "the",
        "my",
        "our",
        "your",
        "his",
        "her",
        "its",
        "their",
        "any",
        "every",
        "each",
        "some",
        "no",
        "this",
        "that",
        "which",
        "what",
        "most",
        "many",
        "half",
        "older",
        "newer",
        "bigger",
        "those",
        "both",
        "second",
        "own",
        "few",
        "several",
        "all",
        "nearest",
        "former",
        "two",
        "three",
        "four",
        "such",
    ]
)
_VARIANTS = 24
"""Sentence patterns that one line with choices becomes at most."""
_SLOT = re.compile(r"^\{([a-z_]+) (\d+)-(\d+)(?: ([a-z]+))?\}$")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place that a passage fills."""

    style: str
    low: int
    """Fewest sentences."""
    high: int
    """Most sentences."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with slots."""

    template_id: str
    kind: str
    """An objective, or what honest people use it for: judge, pipeline, harness, assignment, persona."""
    language: str
    parts: tuple[tuple[str, ...] | Slot | str, ...]
    """Wordings of a sentence, a slot, or a literal."""


@dataclass(slots=True)
class TextSource:
    """Everything one generator of text knows."""

    name: str
    topics: dict[str, list[Topic]] = field(default_factory=dict)
    """By language."""
    names: dict[str, list[str]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    adverbs: dict[str, list[str]] = field(default_factory=dict)
    times: dict[str, list[str]] = field(default_factory=dict)
    """Adverbial phrases of time."""
    determiners: dict[str, list[str]] = field(default_factory=dict)
    """Words that may stand before a noun or adjective, with their space."""
    patterns: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By style and language."""
    pools: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By purpose and language."""
    templates: list[Template] = field(default_factory=list)

    def of_kind(self, kind: str, language: str | None = None) -> list[Template]:
        """Templates of one kind, of one language when it is given."""
        return [t for t in self.templates if t.kind == kind and language in (None, t.language)]

    def pool(self, name: str, language: str) -> list[str]:
        """A pool in a language, or in English where the language has none."""
        return self.pools.get((name, language)) or self.pools[(name, "en")]


def load(name: str, files: tuple[str, ...]) -> TextSource:
    """Read a source from its data files."""
    source = TextSource(name)
    folder = resources.files("stillwatch.arena.text").joinpath("data", name)
    for file in files:
        section: list[str] = []
        header: list[str] = []
        for line in folder.joinpath(file).read_text(encoding="utf-8").splitlines():
            found = _HEADER.match(line)
            if found:
                _enter(source, header, section)
                header, section = found[1].split(), []
            elif line.strip() and not (line.startswith("# ") and header[:1] != ["patterns"]):
                section.append(line)
        _enter(source, header, section)
    return source


def _enter(source: TextSource, header: list[str], lines: list[str]) -> None:
    """File one section of the data."""
    match header:
        case []:
            return
        case ["topics", language]:
            source.topics.setdefault(language, []).extend(_topic(line) for line in lines)
        case ["names", language]:
            source.names[language] = _names(source.name, lines)
        case ["roles", language]:
            source.roles[language] = [word.strip() for line in lines for word in line.split(",")]
        case ["patterns", style, language]:
            expanded = [variant for line in lines for variant in _variants(_unescape(line))]
            if language == "en" and style not in _TERSE:
                known = {word.strip() for word in source.determiners["en"]} | _DETERMINERS
                expanded = [_determine(pattern, known) for pattern in expanded]
            source.patterns[(style, language)] = expanded
        case ["adverbs" | "times" | "determiners" as kind, language]:
            listed = [word.strip() for line in lines for word in line.split(",")]
            words = [variant for word in listed for variant in _variants(word, 1_000)]
            own = {"adverbs": source.adverbs, "times": source.times, "determiners": source.determiners}[kind]
            spaced = kind == "determiners" and language == "en"
            own[language] = [f"{word} " for word in words] if spaced else words
        case ["template", template_id, kind, *rest]:
            language = rest[0] if rest else "en"
            source.templates.append(Template(template_id, kind, language, _parts(lines)))
        case [pool, *rest]:
            source.pools[(pool, rest[0] if rest else "en")] = [_unescape(line) for line in lines]


def _determine(pattern: str, determiners: set[str]) -> str:
    """Ask for a determiner wherever a noun phrase lacks one.

    >>> _determine("The %n fears %a %n or %n", {"the"})
    'The %n fears %A %n or %N'
    """
    words = pattern.split(" ")
    for place, word in enumerate(words):
        before = words[place - 1].lower() if place else ""
        bare = before not in determiners and not before.startswith(("%a", "%A", "%#"))
        follows = place + 1 < len(words) and words[place + 1].startswith("%n")
        if bare and word.startswith("%n"):
            words[place] = "%N" + word[2:]
        elif bare and word == "%a" and follows:
            words[place] = "%A"
    return " ".join(words)


def _variants(pattern: str, most: int = _VARIANTS) -> list[str]:
    """Sentence patterns out of one with ``{this|that}``: all, or a fixed sample of them.

    >>> _variants("{A|One} %n {is|was} {here|there}")[:3]
    ['A %n is here', 'A %n is there', 'A %n was here']
    """
    pieces = [part.split("|") for part in _CHOICE.split(pattern)]
    # Between two choices stands plain text, which may hold a bar of its own.
    pieces = [part if odd % 2 else ["|".join(part)] for odd, part in enumerate(pieces)]
    count = math.prod(len(part) for part in pieces)
    numbers = range(count) if count <= most else sorted({key_of(pattern, n) % count for n in range(most)})
    variants = []
    for number in numbers:
        text, rest = "", number
        for part in reversed(pieces):
            rest, choice = divmod(rest, len(part))
            text = part[choice] + text
        variants.append(text)
    return variants


def _unescape(line: str) -> str:
    return line.replace("\\n", "\n")


def _topic(line: str) -> Topic:
    """``name | nouns | verbs | adjectives``."""
    name, *classes = (part.strip() for part in line.split("|"))
    nouns, verbs, adjectives = (tuple(word.strip() for word in part.split(",")) for part in classes)
    return Topic(name, nouns, verbs, adjectives)


def _names(salt: str, lines: list[str]) -> list[str]:
    """Names as listed, or put together from ``@syllables first | last``."""
    if not lines[0].startswith("@syllables"):
        return [word.strip() for line in lines for word in line.split(",")]
    first, last = (part.split() for part in lines[0].removeprefix("@syllables").split("|"))
    names = [(start + middle + end) for start in first for middle in ("", *first[::3]) for end in last]
    names = list(dict.fromkeys(names))
    return [name.capitalize() for name in sorted(names, key=lambda name: key_of(salt, name))[:1500]]


def _parts(lines: list[str]) -> tuple[tuple[str, ...] | Slot | str, ...]:
    """Groups, slots and literals of a template; a line ``--`` ends a group."""
    parts: list[tuple[str, ...] | Slot | str] = []
    group: list[str] = []
    for line in [*lines, "--"]:
        if line.startswith("- "):
            group.append(_unescape(line[2:]))
            continue
        if group:
            parts.append(tuple(group))
            group = []
        slot = _SLOT.match(line)
        if slot:
            parts.append(Slot(slot[1], int(slot[2]), int(slot[3])))
        elif line.startswith("> "):
            parts.append(_unescape(line[2:]))
    return tuple(parts)
