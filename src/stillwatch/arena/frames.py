"""Pieces and frames: what every text of the arena is put together from.

A *piece* is a fixed string (a word, a sentence, a whole system prompt). A *frame* is a sequence of
segments, each of which becomes one piece (a choice of wordings, an item of a pool) or a passage of
sentences that a grammar writes in somebody's vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

GROUP, POOL, SEED, PASSAGE = range(4)
CLASSES = "nvap#rdtNA"
"""Word classes of a pattern: noun, verb, adjective, name, number, role or trade, adverb, time; N and A are
a noun and an adjective with a word like "the" or "our" before them."""
_SLOT = re.compile(rf"%([{CLASSES}])")

_ARTICLES = (" a ", "'a ", '"a ', "\na ")
_VOWELS = frozenset("aeiou")

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Topic:
    """The words of one subject."""

    name: str
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a frame."""

    kind: int
    """GROUP, POOL, SEED or PASSAGE."""
    first: int
    """First piece of the group or pool; for a passage the style."""
    count: int
    """Pieces of the group or pool; for a passage its topic pool (see Shelf)."""
    low: int = 0
    """Fewest sentences of a passage; for a pool the skew of the draw times 100."""
    high: int = 0
    """Most sentences of a passage."""
    same: int = 0
    """Passages of a frame with equal numbers are filled alike."""


@dataclass(frozen=True, slots=True)
class CompiledFrames:
    """The shelf as arrays, for the renderer."""

    pieces: tuple[str, ...]
    frame_offsets: Indices
    segments: Indices
    """[segment, (kind, first, count, low, high, same)]."""
    style_first: Indices
    style_count: Indices
    pattern_offsets: Indices
    slots: Indices
    """Piece of a literal, or -1 - class of a word to draw."""
    class_first: Indices
    """[shelf topic, class] first piece; names, numbers and roles do not depend on the topic."""
    class_count: Indices
    language_first: Indices
    """[language] first topic."""
    language_count: Indices
    style_language: Indices
    an_form: Indices
    """[piece] the piece with "an" where it ends in "a", else itself."""
    opens_with_vowel: Indices
    """[piece of the grammar] 1 or 0."""


@dataclass(slots=True)
class Shelf:
    """Pieces, frames, styles and vocabularies while a world is being built."""

    pieces: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    frames: list[tuple[Segment, ...]] = field(default_factory=list)
    styles: dict[str, int] = field(default_factory=dict)
    style_patterns: list[list[list[int]]] = field(default_factory=list)
    style_language: list[int] = field(default_factory=list)
    languages: dict[str, int] = field(default_factory=dict)
    topics: list[list[tuple[int, int]]] = field(default_factory=list)
    language_topics: list[tuple[int, int]] = field(default_factory=list)
    literals: set[int] = field(default_factory=set)
    """Pieces that patterns consist of."""
    grammar: dict[str, Indices] = field(default_factory=dict)
    """The arrays that depend on styles and vocabularies alone, once they have been made."""

    def piece(self, text: str) -> int:
        """Number of a piece, which is added when it is new."""
        number = self.index.get(text)
        if number is None:
            number = self.index[text] = len(self.pieces)
            self.pieces.append(text)
        return number

    def run(self, texts: Sequence[str]) -> tuple[int, int]:
        """Pieces that lie side by side: the first number and how many."""
        first = len(self.pieces)
        self.pieces.extend(texts)
        return first, len(texts)

    def frame(self, *segments: Segment) -> int:
        """Number of a new frame."""
        self.frames.append(segments)
        return len(self.frames) - 1

    def fixed(self, text: str) -> int:
        """Number of a frame that is always this text."""
        return self.frame(Segment(GROUP, self.piece(text), 1))

    def choice(self, texts: Sequence[str]) -> Segment:
        """A segment that picks one of the wordings."""
        return Segment(GROUP, *self.run(texts))

    def pool(self, texts: Sequence[str], skew: float = 2.0) -> Segment:
        """A segment that picks an item of a pool, popular ones more often."""
        return Segment(POOL, *self.run(texts), low=round(skew * 100))

    def passage(self, style: str, low: int, high: int, same: int = 0) -> Segment:
        """A segment of low to high sentences in a style."""
        number = self.styles[style]
        return Segment(PASSAGE, number, self.style_language[number], low, high, same)

    def add_language(
        self, name: str, topics: Sequence[Topic], general_words: Sequence[Sequence[str]]
    ) -> None:
        """Enter the vocabulary of a language: its topics, then names, roles, adverbs, times, determiners."""
        names, roles, adverbs, times, determiners = general_words
        numbers = [str(n) for n in range(2, 400)] + [f"{n / 10:.1f}" for n in range(13, 300, 7)]
        general = (self.run(names), self.run(numbers), self.run(roles), self.run(adverbs), self.run(times))
        self.languages[name] = len(self.language_topics)
        self.language_topics.append((len(self.topics), len(topics)))
        for topic in topics:
            own = (self.run(topic.nouns), self.run(topic.verbs), self.run(topic.adjectives))
            before_noun = self.run([word + noun for noun in topic.nouns for word in determiners])
            before_adjective = self.run(_agree([word + a for a in topic.adjectives for word in determiners]))
            self.topics.append([*own, *general, before_noun, before_adjective])

    def add_style(self, name: str, language: str, patterns: Sequence[str], separator: str) -> None:
        """Enter the sentence patterns of a style; words to draw are written %n, %v, %a, %p, %# or %r."""
        self.styles[name] = len(self.style_patterns)
        self.style_language.append(self.languages[language])
        compiled = []
        self.grammar = {}
        for pattern in patterns:
            parts = _SLOT.split(separator + pattern)
            slots = [
                -1 - CLASSES.index(part) if odd % 2 else self.piece(part)
                for odd, part in enumerate(parts)
                if part
            ]
            compiled.append(slots)
            self.literals.update(slot for slot in slots if slot >= 0)
        self.style_patterns.append(compiled)

    def compile(self) -> CompiledFrames:
        """The shelf as arrays."""
        return self._compiled(self.frames, self.pieces)

    def compile_passages(self, *segments: Segment) -> CompiledFrames:
        """One frame of passages alone, without the pieces that no grammar uses: cheap on a full shelf."""
        if any(segment.kind != PASSAGE for segment in segments):
            raise ValueError("a frame of passages may hold nothing else; compile the whole shelf")
        self.grammar = self.grammar or self._compile_grammar()
        return self._compiled([segments], self.pieces[: len(self.grammar["an_form"])])

    def _compiled(self, frames: Sequence[tuple[Segment, ...]], pieces: Sequence[str]) -> CompiledFrames:
        self.grammar = self.grammar or self._compile_grammar()
        counts = [len(segments) for segments in frames]
        rows = [(s.kind, s.first, s.count, s.low, s.high, s.same) for segments in frames for s in segments]
        known = self.grammar["an_form"]
        return CompiledFrames(
            pieces=tuple(pieces),
            frame_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            segments=np.array(rows, dtype=np.int64).reshape(-1, 6),
            **{name: array for name, array in self.grammar.items() if name != "an_form"},
            an_form=np.concatenate([known, np.arange(len(known), len(pieces))]),
        )

    def _compile_grammar(self) -> dict[str, Indices]:
        """What the styles and vocabularies say, as arrays."""
        articles = [n for n in sorted(self.literals) if self.pieces[n].lower().endswith(_ARTICLES)]
        with_n = [self.piece(self.pieces[number][:-1] + "n ") for number in articles]
        an_form = np.arange(len(self.pieces))
        an_form[articles] = with_n
        patterns = [pattern for style in self.style_patterns for pattern in style]
        sizes = np.array([len(style) for style in self.style_patterns], dtype=np.int64)
        topics = np.array(self.topics, dtype=np.int64)
        languages = np.array(self.language_topics, dtype=np.int64)
        return {
            "style_first": np.cumsum(sizes) - sizes,
            "style_count": sizes,
            "pattern_offsets": np.concatenate([[0], np.cumsum([len(p) for p in patterns])]).astype(np.int64),
            "slots": np.array([slot for pattern in patterns for slot in pattern], dtype=np.int64),
            "class_first": topics[:, :, 0],
            "class_count": topics[:, :, 1],
            "language_first": languages[:, 0],
            "language_count": languages[:, 1],
            "style_language": np.array(self.style_language, dtype=np.int64),
            "an_form": an_form,
            "opens_with_vowel": np.array([int(p[:1].lower() in _VOWELS) for p in self.pieces]),
        }


def _agree(phrases: Sequence[str]) -> list[str]:
    """Write "an" for "a" before a vowel."""
    return [f"an{p[1:]}" if p.startswith("a ") and p[2:3] in _VOWELS else p for p in phrases]
