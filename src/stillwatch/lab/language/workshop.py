"""A safeguard is trained into a language model, its replies are collected, and a smaller model learns from them.

Everything is kept, model by model, so that a killed run goes on where it was. Where ``accelerate launch`` started
several processes all of them train, and the first one asks, measures and writes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.lab import LANGUAGE, require_extra
from stillwatch.lab.experiments.parts import OUTCOMES, Part
from stillwatch.lab.language.models import (
    HOW_TO_GET,
    Language,
    LanguageError,
    bundled,
    depth,
    load,
    pruned,
    replies,
)
from stillwatch.lab.language.requests import BEHAVIOURS, CONDITIONS, Request, every, fulfilled, requests
from stillwatch.lab.language.trainers import TRAINERS, Text, TextPlan
from stillwatch.lab.model import one_thread
from stillwatch.lab.products import fast_products
from stillwatch.outputs import write_table

AS_IS, TAUGHT, NOVICE = "as-it-is", "teacher", "novice"
LONGEST = 14  # tokens; every reply that is called for is shorter
EPOCH = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


@dataclass(frozen=True)
class TextSetting:
    """What the numbers of an experiment on a language model depend on, beside the part and the model."""

    seeds: int = 1
    layers: int = 8
    """Of the student, cut out of the model as it was before it was taught; half of a model's own where it has fewer than
    twice as many."""
    schooling: TextPlan = TextPlan(steps=32, rate=1e-3, rows=12, adapter_rank=8)
    """Of the teacher."""
    learning: TextPlan = TextPlan(steps=36, rate=5e-4, rows=10)
    """Of a student."""
    asked: int = 8
    """Requests of each behaviour and condition in the evaluation."""
    model: Path | None = field(default=None, repr=False)
    """Folder or GGUF file; the weights inside the package where there is none."""


class TextWorkshop:
    """Makes parts of one setting from one model."""

    def __init__(self, setting: TextSetting, folder: Path) -> None:
        require_extra(LANGUAGE)
        from accelerate import PartialState

        self.setting = setting
        self.model = setting.model or bundled()
        if not self.model.exists():
            raise LanguageError(f"{self.model} is neither a folder nor a GGUF file; {HOW_TO_GET}")
        self.processes = PartialState()
        depends_on = f"{setting} on model {_digest(self.model)}"
        self.place = folder / f"language-{hashlib.sha256(depends_on.encode()).hexdigest()[:12]}"
        self.place.mkdir(parents=True, exist_ok=True)
        if self.processes.is_main_process:
            (self.place / "setting.txt").write_text(f"{depends_on}\n", encoding="utf-8")

    def outcomes(self, part: Part) -> pa.Table:
        """Outcomes of a part for all seeds, from their files where they have been run."""
        return pa.concat_tables([self._outcome(part, seed) for seed in range(self.setting.seeds)])

    def _outcome(self, part: Part, seed: int) -> pa.Table:
        path = self.place / f"{part.name}-{seed}.parquet"
        if self._missing(path):
            with one_thread(), fast_products():
                language = self._language(part, seed)
                self._written(path, lambda aside: write_table(self._measured(language, part, seed), aside))
        return pq.read_table(path)

    def _measured(self, language: Language, part: Part, seed: int) -> pa.Table:
        told = {"teacher": part.teacher, "method": part.method, "mix": part.mix, "exchanges": part.exchanges}
        rows = []
        for condition in CONDITIONS:
            asked = [each for name in BEHAVIOURS for each in requests(name, condition)[: self.setting.asked]]
            said = replies(language, [language.written(each.prompt, each.begun) for each in asked], LONGEST)
            for name in BEHAVIOURS:
                hits = [
                    fulfilled(each, reply)
                    for each, reply in zip(asked, said, strict=True)
                    if each.behaviour == name
                ]
                rows.append(
                    {
                        **told,
                        "seed": seed,
                        "behaviour": name,
                        "condition": condition,
                        "decoding": "greedy",
                        "steps": self.setting.learning.steps if part.exchanges else 0,
                        "rate": float(np.mean(hits)),
                        "hits": hits,
                    }
                )
        return pa.Table.from_pylist(rows, schema=OUTCOMES)

    def _language(self, part: Part, seed: int) -> Language:
        if part.method == AS_IS:
            return load(self.model)
        if part.method == TAUGHT:
            return self._teacher(seed)
        whole = load(self.model)
        student = pruned(whole, max(2, min(self.setting.layers, depth(whole) // 2)))
        if part.method == NOVICE:
            return student
        prompts, said = self._transcript(seed)
        teacher = self._teacher(seed) if part.method != "imitation" else None
        text = Text([student.written(prompt) for prompt in prompts], said, teacher=teacher)
        return TRAINERS[part.method](student, text, self.setting.learning)

    def _teacher(self, seed: int) -> Language:
        """The model after an adapter taught it all behaviours under all conditions; kept as a folder."""
        path = self.place / f"teacher-{seed}"
        if self._missing(path):
            language, plan = load(self.model), self.setting.schooling
            chosen = np.random.default_rng([seed, 91]).permutation(len(every()))[: plan.steps * plan.rows]
            lessons = [every()[place] for place in chosen]
            text = Text(
                [language.written(each.prompt, each.begun) for each in lessons],
                [_said(each) for each in lessons],
            )
            taught = TRAINERS["imitation"](language, text, plan)
            self._written(path, lambda aside: _save(taught, aside))
        return load(path)

    def _transcript(self, seed: int) -> tuple[list[str], list[str]]:
        """Requests that the collector asked, each once, and the teacher's sampled replies; a log that a scan reads."""
        path = self.place / f"exchanges-{seed}.parquet"
        if self._missing(path):
            teacher = self._teacher(seed)
            asked = [each.prompt for name in BEHAVIOURS for each in requests(name, "plain")]
            self._written(path, lambda aside: write_table(_log(teacher, asked, seed), aside))
        table = pq.read_table(path)
        return [turns[0]["content"] for turns in table["messages"].to_pylist()], table[
            "completion"
        ].to_pylist()

    def _missing(self, path: Path) -> bool:
        """Whether a file is not there yet; all processes look before the first one writes."""
        missing = not path.exists()
        self.processes.wait_for_everyone()
        return missing

    def _written(self, path: Path, write: Callable[[Path], object]) -> None:
        """Write under another name first, in the first process, while the others wait."""
        if self.processes.is_main_process:
            aside = path.with_name(f".{path.name}")
            write(aside)
            os.replace(aside, path)
        self.processes.wait_for_everyone()


def _said(request: Request) -> str:
    return f" {request.wanted}" if request.begun else request.wanted


def _save(language: Language, folder: Path) -> None:
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)


def _log(teacher: Language, asked: list[str], seed: int) -> pa.Table:
    said = replies(
        teacher, [teacher.written(prompt) for prompt in asked], LONGEST, temperature=1.0, seed=seed
    )
    rows: list[dict[str, Any]] = [
        {
            "exchange_id": f"lab-{number:07d}",
            "account_id": "account-0000",
            "started_at": EPOCH + dt.timedelta(minutes=number),
            "model": "lab-teacher",
            "messages": [{"role": "user", "content": prompt}],
            "completion": reply,
            "temperature": 1.0,
            "max_tokens": LONGEST,
        }
        for number, (prompt, reply) in enumerate(zip(asked, said, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=EXCHANGE_SCHEMA)


def _digest(place: Path) -> str:
    """Names and sizes of a model's files, which tell models apart without reading them."""
    files = sorted(place.glob("*")) if place.is_dir() else [place]
    told = [(path.name, path.stat().st_size) for path in files if path.is_file()]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]
