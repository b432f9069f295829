"""Text to words: Unicode segmentation over UTF-8 bytes, compiled, without making Python strings.

Words follow the default word boundaries of Unicode Standard Annex #29, narrowed to what templates need:
letters, digits, marks and ``_`` run together, an apostrophe joins letters, a full stop or comma joins
digits; other punctuation only separates. Scripts that put no spaces between words (Han, kana, Thai, Lao,
Khmer, Burmese) give one token a character. Case is folded; characters that are not seen (zero-width
characters, soft hyphens, variation selectors, tags, bidirectional controls) are passed over.

A token is worth a number of *units* (:data:`UNITS`), so that a run of tokens of equal worth says about as
much in every script: a word 12, a Han character 8, a kana 6, a Thai character 4.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

BREAK, WORD, EXTEND, UNSEEN, HAN, KANA, UNSPACED, APOSTROPHE, POINT, SENTENCE = range(10)

UNITS: dict[int, int] = {WORD: 12, HAN: 8, KANA: 6, UNSPACED: 4}
"""Worth of one token by its class; about the information of one English word is 12."""

ASCII, SPACE = 0x80, 0x20
_TABLE_SIZE = 0x20000  # code points above are Han extensions, or tags and selectors that nobody sees
_HAN = (
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
)
_KANA = ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x19E0, 0x19FF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
)
_UNSEEN = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
)


@lru_cache(maxsize=1)
def tables() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Class and case folding of each code point below 0x20000: ``(uint8[131072], int32[131072])``."""
    classes = np.zeros(_TABLE_SIZE, dtype=np.uint8)
    fold = np.arange(_TABLE_SIZE, dtype=np.int32)
    for code in range(_TABLE_SIZE):
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] == "M":
            classes[code] = EXTEND
        elif category[0] in "LN" or character == "_":
            classes[code] = WORD
        elif category == "Cf":
            classes[code] = UNSEEN
        lower = character.lower()
        if len(lower) == 1:
            fold[code] = ord(lower)
    for ranges, kind in ((_HAN, HAN), (_KANA, KANA), (_UNSPACED, UNSPACED), (_UNSEEN, UNSEEN)):
        for first, last in ranges:
            block = classes[first : last + 1]
            # Punctuation and digits inside keep their own class; Thai vowel signs are letters here.
            block[(block != BREAK) | (kind == UNSEEN)] = kind
    for code in (0x0E50, 0x0ED0, 0x1040, 0x17E0):
        classes[code : code + 10] = WORD
    classes[0x3099:0x309B] = EXTEND
    for character in "'’ʼ＇":
        classes[ord(character)] = APOSTROPHE
    for character in ".,":
        classes[ord(character)] = POINT
    for character in "!?\n\r;。！？｡…।؟":
        classes[ord(character)] = SENTENCE
    return classes, fold


def normalise(texts: pa.Array, needed: pa.Array | None = None) -> pa.Array:
    """NFKC of the texts that are not plain ASCII and, where given, ``needed``; the others are passed through.

    ``texts``: string array of n values, nulls become empty. Returns a string array of n values.
    """
    texts = pc.fill_null(texts, "")
    mask = pc.invert(pc.string_is_ascii(texts))
    if needed is not None:
        mask = pc.and_(mask, needed)
    if not pc.any(mask).as_py():
        return texts
    changed = pc.utf8_normalize(texts.filter(mask), form="NFKC")
    result = pc.replace_with_mask(texts, mask, changed)
    return result.combine_chunks() if isinstance(result, pa.ChunkedArray) else result


@numba.njit(inline="always", cache=True)
def _decode(data: Any, at: int, stop: int) -> Any:
    """Code point at byte ``at`` and the position after it; a byte that is no UTF-8 reads as a space."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    if first >= 0xF0 and at + 3 < stop:
        code = ((first & 7) << 18) | ((np.int64(data[at + 1]) & 63) << 12)
        return code | ((np.int64(data[at + 2]) & 63) << 6) | (np.int64(data[at + 3]) & 63), at + 4
    if 0xE0 <= first < 0xF0 and at + 2 < stop:
        code = ((first & 15) << 12) | ((np.int64(data[at + 1]) & 63) << 6)
        return code | (np.int64(data[at + 2]) & 63), at + 3
    if 0xC0 <= first < 0xE0 and at + 1 < stop:
        return ((first & 31) << 6) | (np.int64(data[at + 1]) & 63), at + 2
    return np.int64(32), at + 1


@numba.njit(inline="always", cache=True)
def _class_of(code: int, classes: Any) -> Any:
    if code < _TABLE_SIZE:
        return np.int64(classes[code])
    if code < 0x40000:
        return np.int64(HAN)
    return np.int64(UNSEEN) if code >= 0xE0000 else np.int64(BREAK)


@numba.njit(inline="always", cache=True)
def _finish(value: np.uint64) -> np.uint64:
    """Finaliser of MurmurHash3: spreads every bit of a word's running hash over all 64."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@numba.njit(nogil=True, cache=True)
def segment(  # noqa: PLR0912, PLR0915 - one compiled loop over bytes
    data: Any, start: int, stop: int, classes: Any, fold: Any, words: Any, units: Any, opens: Any, ends: Any
) -> int:
    """Tokens of ``data[start:stop]`` (UTF-8), written from index 0 of the three outputs; returns their
    number.

    ``words`` uint64: hash of each token, the same for everybody (FNV-1a over folded code points, finished);
    ``units`` uint8: its worth; ``opens`` uint8: 1 where a sentence begins. ``ends`` int64: byte after the
    last one of each token, written where the array has a place for it. The other outputs need ``stop -
    start`` + 1 places.
    """
    offset = np.uint64(0xCBF29CE484222325)
    prime = np.uint64(0x100000001B3)
    count = 0
    running = offset
    inside = False  # within a word of letters and digits
    previous_digit = False
    opening = np.uint8(1)
    at = start
    while at < stop:
        byte = data[at]
        if byte < ASCII and classes[byte] == WORD:  # most of most texts, without decoding
            while True:
                folded = fold[byte]
                running = (running ^ np.uint64(folded)) * prime
                at += 1
                if at == stop:
                    break
                byte = data[at]
                if byte >= ASCII or classes[byte] != WORD:
                    break
            inside = True
            previous_digit = 48 <= folded <= 57
            if at == stop:
                break
            if byte == SPACE:
                words[count], units[count], opens[count] = _finish(running), 12, opening
                if count < len(ends):
                    ends[count] = at
                opening = np.uint8(0)
                count += 1
                running = offset
                inside = False
                at += 1
                continue
        code, after = _decode(data, at, stop)
        kind = _class_of(code, classes)
        if kind == WORD:
            if code < _TABLE_SIZE:
                code = np.int64(fold[code])
            running = (running ^ np.uint64(code)) * prime
            inside = True
            previous_digit = 48 <= code <= 57
        elif kind == UNSEEN:
            pass
        elif kind == EXTEND and inside:
            running = (running ^ np.uint64(code)) * prime
        elif (
            inside
            and kind in (APOSTROPHE, POINT)
            and _joins(data, after, stop, classes, kind, previous_digit)
        ):
            pass  # don't -> dont, 1,000.5 -> 10005
        else:
            if inside:
                words[count] = _finish(running)
                units[count] = 12
                opens[count] = opening
                if count < len(ends):
                    ends[count] = at
                opening = np.uint8(0)
                count += 1
                running = offset
                inside = False
            if kind in (HAN, KANA, UNSPACED):
                words[count] = _finish((offset ^ np.uint64(code)) * prime)
                units[count] = 8 if kind == HAN else (6 if kind == KANA else 4)
                opens[count] = opening
                if count < len(ends):
                    ends[count] = after
                opening = np.uint8(0)
                count += 1
            elif kind == SENTENCE or (kind == POINT and code == 46):
                opening = np.uint8(1)
        at = after
    if inside:
        words[count] = _finish(running)
        units[count] = 12
        opens[count] = opening
        if count < len(ends):
            ends[count] = stop
        count += 1
    return count


@numba.njit(inline="always", cache=True)
def _joins(data: Any, at: int, stop: int, classes: Any, kind: int, previous_digit: bool) -> Any:
    if at >= stop:
        return False
    code, _ = _decode(data, at, stop)
    if kind == POINT:
        return bool(previous_digit and 48 <= code <= 57)
    return _class_of(code, classes) == WORD


def words_of(text: str) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.uint8]]:
    """Tokens of one text, normalised: ``(hash uint64[n], units uint8[n], opens a sentence uint8[n])``.

    >>> hashes, units, opens = words_of("Don't stop.\\u200b Go ON")
    >>> len(hashes), opens.tolist()
    (4, [1, 0, 1, 0])
    >>> bool(words_of("go")[0][0] == hashes[2])
    True
    >>> words_of("数据分析")[1].tolist()
    [8, 8, 8, 8]
    """
    data = np.frombuffer(unicodedata.normalize("NFKC", text).encode("utf-8", "replace"), dtype=np.uint8)
    classes, fold = tables()
    size = len(data) + 1
    words, units, opens = np.empty(size, np.uint64), np.empty(size, np.uint8), np.empty(size, np.uint8)
    count = segment(data, 0, len(data), classes, fold, words, units, opens, np.empty(0, np.int64))
    return words[:count].copy(), units[:count].copy(), opens[:count].copy()
