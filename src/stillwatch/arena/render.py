"""Frames -> text, vectorised: every token of a batch of texts is drawn at once and joined by Arrow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.arena.draws import Integers, Unsigned, below, combine, ragged, ranks, unit
from stillwatch.arena.frames import GROUP, PASSAGE, POOL, SEED, CompiledFrames

BROAD = -1
"""Profile of somebody without interests: topics are drawn anew for every passage."""
NARROW = 1 << 40
"""Profiles from here on are firms: one topic, always."""
_WORD_SKEW = 1.7
_NAMES_OF_A_PERSON = 14
_TOPIC_SHARES = np.array([0.55, 0.8, 0.92, 1.0])
_NAME, _NUMBER = 3, 4


@dataclass(frozen=True, slots=True)
class Jobs:
    """Texts to render; arrays of one length."""

    frame: Integers
    profile: Integers
    """Whose vocabulary fills the passages, or BROAD."""
    wording_seed: Unsigned
    """Chooses among wordings."""
    filling_seed: Unsigned
    """Chooses what fills the slots: equal seeds, equal fillings."""
    wordings: Integers
    """Alternatives of a sentence that are in use; 1 is a fixed text."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """Sentences whose words are still to be drawn; arrays of one length."""

    place: Integers
    """Where the first token goes."""
    pattern: Integers
    key: Unsigned
    topic: Integers
    profile: Integers


class Renderer:
    """Renders frames of one compiled shelf in the vocabularies of given people."""

    def __init__(self, frames: CompiledFrames, salt: int) -> None:
        self._frames = frames
        self._pieces = pa.array(frames.pieces, pa.string())
        self._salt = np.uint64(salt)

    def render(self, jobs: Jobs) -> pa.Array:
        """One string a job."""
        frames = self._frames
        counts = frames.frame_offsets[jobs.frame + 1] - frames.frame_offsets[jobs.frame]
        owner, position = ragged(counts)
        segment = frames.segments[frames.frame_offsets[jobs.frame][owner] + position]
        tokens, sizes = self._tokens(jobs, owner, position, segment)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        first_segment = np.concatenate([[0], np.cumsum(counts)])
        offsets = pa.array(ends[first_segment], pa.int32())
        words = pa.ListArray.from_arrays(offsets, self._pieces.take(pa.array(tokens)))
        return pc.ascii_ltrim_whitespace(pc.binary_join(words, ""))

    def _tokens(
        self, jobs: Jobs, owner: Integers, position: Integers, segment: Integers
    ) -> tuple[Integers, Integers]:
        """Piece of every token, and the number of tokens of every segment."""
        kind, first, count, low = segment[:, 0], segment[:, 1], segment[:, 2], segment[:, 3]
        filling = jobs.filling_seed[owner]
        fill_key = combine(filling, segment[:, 5] + 1)
        passages = np.flatnonzero(kind == PASSAGE)
        sentences, patterns, key, topic = self._sentences(
            fill_key[passages], segment[passages], jobs.profile[owner[passages]]
        )
        lengths = self._frames.pattern_offsets[patterns + 1] - self._frames.pattern_offsets[patterns]
        sizes = np.ones(len(owner), dtype=np.int64)
        sizes[passages] = np.bincount(sentences, weights=lengths, minlength=len(passages)).astype(np.int64)
        starts = np.cumsum(sizes) - sizes
        tokens = np.zeros(int(sizes.sum()), dtype=np.int64)

        group = np.flatnonzero(kind == GROUP)
        in_use = np.minimum(count[group], jobs.wordings[owner[group]])
        choice = below(combine(jobs.wording_seed[owner[group]], position[group]), in_use)
        tokens[starts[group]] = first[group] + choice
        pool = np.flatnonzero(kind == POOL)
        skewed = unit(fill_key[pool]) ** (low[pool] / 100.0)
        tokens[starts[pool]] = first[pool] + ranks(skewed, count[pool], 1.0)
        seed = np.flatnonzero(kind == SEED)
        tokens[starts[seed]] = first[seed] + (filling[seed] % count[seed].astype(np.uint64)).astype(np.int64)

        inside = np.cumsum(lengths) - lengths
        sums = sizes[passages]
        place = starts[passages][sentences] + inside - (np.cumsum(sums) - sums)[sentences]
        profile = jobs.profile[owner[passages]][sentences]
        self._words(tokens, Sentences(place, patterns, key, topic, profile))
        return tokens, sizes

    def _sentences(
        self, key: Unsigned, segment: Integers, profile: Integers
    ) -> tuple[Integers, Integers, Unsigned, Integers]:
        """Sentences of the passages: passage, pattern, key, topic."""
        frames = self._frames
        style, low, high = segment[:, 1], segment[:, 3], segment[:, 4]
        owner, position = ragged(low + below(key, high - low + 1))
        sentence_key = combine(key[owner], position + 7)
        patterns = frames.style_first[style][owner] + below(sentence_key, frames.style_count[style][owner])
        return owner, patterns, combine(sentence_key, 3), self._topics(key, segment[:, 2], profile)[owner]

    def _topics(self, key: Unsigned, language: Integers, profile: Integers) -> Integers:
        """Topic of every passage: one of four that the person returns to, or any of the language."""
        slot = np.searchsorted(_TOPIC_SHARES, unit(combine(key, 5)), side="right")
        slot = np.where(profile >= NARROW, 0, slot)
        own = combine(combine(np.full(len(key), self._salt), profile), slot)
        chosen = np.where(profile == BROAD, combine(key, 6), own)
        first, count = self._frames.language_first[language], self._frames.language_count[language]
        return first + below(chosen, count)

    def _words(self, tokens: Integers, sentences: Sentences) -> None:
        """Write the tokens of the sentences where they belong."""
        frames, patterns = self._frames, sentences.pattern
        owner, position = ragged(frames.pattern_offsets[patterns + 1] - frames.pattern_offsets[patterns])
        slot = frames.slots[frames.pattern_offsets[patterns][owner] + position]
        where = sentences.place[owner] + position
        drawn = np.flatnonzero(slot < 0)
        owner, position = owner[drawn], position[drawn]
        kind = -1 - slot[drawn]
        topic = sentences.topic[owner]
        first, count = frames.class_first[topic, kind], frames.class_count[topic, kind]
        word_key = combine(sentences.key[owner], position)
        person = sentences.profile[owner]
        rank = ranks(unit(word_key), count, _WORD_SKEW)
        taste = combine(combine(np.full(len(owner), self._salt), person), kind)
        # A person's favourite words are others than the next one's: the ranking is turned.
        # Words with a determiner lie together by word, so that the turn keeps them in step.
        turned = np.where(person == BROAD, rank, rank + below(taste, count))
        own_name = below(combine(taste, below(word_key, _NAMES_OF_A_PERSON)), count)
        named = np.where(person == BROAD, below(word_key, count), own_name)
        chosen = np.where(kind == _NAME, named, np.where(kind == _NUMBER, rank, turned)) % count
        slot[drawn] = first + chosen
        following = np.concatenate([slot[1:], [0]])
        tokens[where] = np.where(frames.opens_with_vowel[following] > 0, frames.an_form[slot], slot)
