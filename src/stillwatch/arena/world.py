"""What the populations and operators of one log have in common: text, people, rhythm, and draws by name."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillwatch.arena.draws import Flags, Floats, Integers, Unsigned, below, combine, key_of, ragged, unit
from stillwatch.arena.frames import SEED, Segment, Shelf
from stillwatch.arena.people import Group, People
from stillwatch.arena.recipe import Recipe, RecipeError
from stillwatch.arena.render import BROAD, NARROW, Jobs, Renderer
from stillwatch.arena.rhythm import DAY, HOUR, Rhythm
from stillwatch.arena.text.source import Slot, Template, TextSource

POPULATIONS: tuple[str, ...] = (
    *("chat", "library", "viral", "client", "agent", "integrator", "reseller", "benchmark", "grader"),
    *("pipeline", "assignment", "pool", "enthusiast", "tenant", "job", "operator", "camouflage"),
)
SEPARATORS = {"code": "\n", "data": "\n", "tool": "\n", "result": "\n"}
LANGUAGES_WITHOUT_SPACES = ("zh", "ja", "th")
LANGUAGE_SHARES = {"zh": 0.05, "ja": 0.04, "th": 0.03}


class World:
    """Everything that the planning of a log reads and adds to."""

    def __init__(self, recipe: Recipe, source: TextSource) -> None:
        self.recipe = recipe
        self.salt = key_of(recipe.seed, "taste")
        self.source = source
        self.people = People(recipe.seed)
        self.rhythm = Rhythm(recipe.days, recipe.first_weekday)
        self.shelf = _stock(source)
        self.languages = [language for language in source.topics]
        self.tools: list[list[str]] = []
        self.template_names: list[str] = []
        self.conversations = 0
        self.adoption: dict[int, int] = {}
        """When a principal moves to the new model, for those that are not left to the common law."""
        self.agent_frames: list[tuple[int, int]] = []
        """System prompt and tools of every public agent."""
        self.client_frames: list[int] = []
        """System prompt of every public client."""
        self.reseller_account = -1
        self.reseller_system = -1
        self.library_texts: list[list[str]] | None = None
        self.prompts = self.shelf.run(_read_prompts(recipe.prompts)) if recipe.prompts else (0, 0)

    def generator(self, *name: object) -> np.random.Generator:
        """A stream of random numbers of its own for every purpose."""
        return np.random.Generator(np.random.PCG64(key_of(self.recipe.seed, *name)))

    def keys(self, count: int, *name: object) -> Unsigned:
        """Independent keys for draws."""
        return combine(np.full(count, np.uint64(key_of(self.recipe.seed, *name))), np.arange(count))

    def population(self, name: str) -> int:
        """Number of a population in the truth."""
        return POPULATIONS.index(name)

    def template(self, name: str) -> int:
        """Number of a new template in the truth."""
        self.template_names.append(name)
        return len(self.template_names) - 1

    def new_conversations(self, count: int) -> Integers:
        """Fresh conversation numbers."""
        first = self.conversations
        self.conversations += count
        return np.arange(first, first + count)

    def language_groups(self, count: int) -> list[tuple[str, int]]:
        """How many of so many people speak which language of the text source."""
        others = [(name, round(count * LANGUAGE_SHARES.get(name, 0.0))) for name in self.languages[1:]]
        return [("en", count - sum(n for _, n in others)), *((name, n) for name, n in others if n)]

    def style(self, name: str, language: str) -> str:
        """A style in a language, or in English where the language lacks it."""
        wanted = f"{name}:{language}"
        return wanted if wanted in self.shelf.styles else f"{name}:en"

    def passage(self, style: str, language: str, low: int, high: int, same: int = 0) -> Segment:
        """A passage of a style; shorter in a short recipe."""
        if self.recipe.short:
            low, high = max(1, low // 2), max(1, high // 2)
        return self.shelf.passage(self.style(style, language), low, high, same)

    def takes_prompts(self, style: str, language: str) -> bool:
        """Whether a slot of this style is filled by real prompts, where some were given."""
        return self.prompts[1] > 0 and language == "en" and style in ("prose", "question", "maths")

    def template_segments(self, template: Template, *, seeds: bool = False) -> list[tuple[Segment, bool]]:
        """Segments of a template in order, and whether each is one of its sentences."""
        separator = "" if template.language in LANGUAGES_WITHOUT_SPACES else " "
        segments: list[tuple[Segment, bool]] = []
        slots, seeded = 0, not seeds
        for part in template.parts:
            if isinstance(part, Slot):
                # One real prompt an exchange is its seed; what else the template wants is written around it.
                if not seeded and self.takes_prompts(part.style, template.language):
                    segments.append((Segment(SEED, *self.prompts, same=slots), False))
                    seeded = True
                else:
                    passage = self.passage(part.style, template.language, part.low, part.high, slots)
                    segments.append((passage, False))
                slots += 1
            elif isinstance(part, str):
                segments.append((self.shelf.choice([part]), False))
            else:
                segments.append((self.shelf.choice([separator + wording for wording in part]), True))
        return segments

    def template_frame(self, template: Template) -> int:
        """Frame of a whole template."""
        return self.shelf.frame(*(segment for segment, _ in self.template_segments(template)))

    def volumes(self, count: int, total: float, sigma: float, *name: object) -> Integers:
        """Exchanges of each of so many principals: a log-normal heavy tail with about this total."""
        if count == 0:
            return np.zeros(0, dtype=np.int64)
        draw = self.generator("volume", *name).standard_normal(count)
        return np.asarray(np.maximum(1, apportion(np.exp(sigma * draw), round(total))))

    def sessions(self, principals: Integers, volumes: Integers, *name: object) -> Sessions:
        """Sessions that give every principal about its volume, at people's hours."""
        most = 3.0
        count = np.maximum(1, np.round(volumes / 1.55)).astype(np.int64)
        owner, _ = ragged(count)
        key = self.keys(len(owner), "session", *name)
        turns = np.minimum(self.rhythm.turns(combine(key, 1)), np.maximum(1, volumes[owner] * most)).astype(
            np.int64
        )
        begins = self.rhythm.people(self.people.habits(), principals[owner], key)
        return self.session_rows(principals[owner], begins, turns, key)

    def session_rows(self, principal: Integers, begins: Integers, turns: Integers, key: Unsigned) -> Sessions:
        """Rows of sessions of known begin and length."""
        session, turn = ragged(turns)
        row_key = combine(key[session], turn + 100)
        gaps = np.where(turn > 0, self.rhythm.gaps(row_key), 0)
        total = np.cumsum(gaps)
        starts = (np.cumsum(turns) - turns)[session]
        at = begins[session] + total - total[starts]
        horizon = self.recipe.days * DAY
        late = at >= horizon
        # A session that runs past the end of the log is moved back, whole.
        shift = np.zeros(len(turns), dtype=np.int64)
        np.maximum.at(shift, session[late], at[late] - horizon + 1)
        at = np.maximum(at - shift[session], 0)
        return Sessions(principal[session], session, turn, at, row_key, self.new_conversations(len(turns)))

    def compose(
        self, segments: Sequence[Segment], count: int, *name: object, narrow: bool = False
    ) -> list[str]:
        """Fixed texts, written once: system prompts, personas, the questions that customers ask."""
        key = self.keys(count, "compose", *name)
        author = NARROW + below(combine(key, 1), 1 << 30)
        profile = author if narrow else np.full(count, BROAD, dtype=np.int64)
        renderer = Renderer(self.shelf.compile_passages(*segments), self.salt)
        one = np.zeros(count, dtype=np.int64)
        many = np.full(count, 1_000_000, dtype=np.int64)
        texts: list[str] = renderer.render(Jobs(one, profile, key, combine(key, 2), many)).to_pylist()
        return texts

    def a_third(self, count: int, *name: object) -> Flags:
        """Which of so many groups belong to the third of which something special is true; one of two."""
        return np.asarray(self.generator("third", *name).permutation(count) % 3 == 1)

    def move_at_release(self, members: Integers, *name: object) -> None:
        """Move a program's users to the new model within a day of its release, the program's hour first."""
        hours = 12 * unit(self.keys(1, "move", *name)) + 11 * unit(self.keys(len(members), "moves", *name))
        moments = (self.recipe.release.day * DAY + hours * HOUR).astype(np.int64)
        self.adoption.update(zip(members.tolist(), moments.tolist(), strict=True))

    def pick(self, options: Sequence[int], shares: Sequence[float], uniform: Floats) -> Integers:
        """One of the options for every draw, with these shares."""
        cdf = np.cumsum(shares) / sum(shares)
        return np.asarray(np.asarray(options)[np.searchsorted(cdf, uniform, side="right")])


@dataclass(slots=True)
class Sessions:
    """Rows of sessions."""

    principal: Integers
    session: Integers
    """Which session a row belongs to."""
    turn: Integers
    at: Integers
    """Microseconds since the start of the log."""
    key: Unsigned
    """For the draws of a row."""
    conversations: Integers
    """[session] number of its conversation."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.at)

    def shown(self, share: float) -> Integers:
        """Conversation numbers, hidden for all but a share of the sessions."""
        visible = unit(combine(self.conversations.astype(np.uint64), 9)) < share
        return np.where(visible, self.conversations, -1)[self.session]


def apportion(weights: Floats, total: int) -> Integers:
    """Whole numbers in proportion to weights that add up to the total (largest remainders).

    >>> apportion(np.array([1.0, 1.0, 2.0]), 5).tolist()
    [1, 1, 3]
    """
    exact = total * weights / weights.sum()
    whole: Integers = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]] += 1
    return whole


def _stock(source: TextSource) -> Shelf:
    """A shelf with the vocabularies and styles of a source."""
    shelf = Shelf()
    for language, topics in source.topics.items():
        general = (source.names, source.roles, source.adverbs, source.times, source.determiners)
        shelf.add_language(language, topics, [words.get(language) or words["en"] for words in general])
    for (style, language), patterns in source.patterns.items():
        space = "" if language in LANGUAGES_WITHOUT_SPACES else " "
        shelf.add_style(f"{style}:{language}", language, patterns, SEPARATORS.get(style, space))
    return shelf


def _read_prompts(files: Sequence[str]) -> list[str]:
    """Prompts of JSON lines with a key "text", or of plain lines; gzip by the name."""
    prompts: list[str] = []
    for name in files:
        path = Path(name)
        try:
            lines = _lines(path)
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise RecipeError(f"prompts: {path} cannot be read as text; give files that are whole") from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{path.name}, line {number}"
                prompts.append(_prompt(line, where) if ".jsonl" in name else line.strip())
    if not prompts:
        raise RecipeError("prompts: the files hold no text; give JSON lines with a key 'text' or plain lines")
    return [" " + prompt for prompt in dict.fromkeys(prompts)]


def _lines(path: Path) -> list[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return list(lines)


def _prompt(line: str, where: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise RecipeError(f"prompts: {where} is no JSON object with a key 'text'") from None
    return str(text)


__all__ = ["POPULATIONS", "Group", "Sessions", "World"]
