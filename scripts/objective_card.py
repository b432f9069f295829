"""Write the card of the objective model: held-out scores by class, source and language; cost and limits."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

import objective_whole as whole
from objective_training import LENGTH_TOLL, SHARPNESS
from stillwatch.objective.classes import OBJECTIVE_MEANINGS, OBJECTIVES
from stillwatch.objective.kernel import CHUNKS_CAP, score
from stillwatch.objective.model import read

if TYPE_CHECKING:
    from fit_objective import Material

SETTINGS = ("alone", "joined", "in context")
HALF, ASKS = 49.5, 14.5  # the kernel rounds; 49.5 and more reads as 50, 14.5 and more as 15

LIMITS = """
- It reads words, not meaning. An objective asked for in words that no source used scores low: of single
  held-out lines {alone} stay below 15 for every objective, of several joined {joined}. A family is therefore
  judged on the mean over its exchanges and on its other signals.
- **The operating point is chosen for recall.** {alarms} of real prompts (a file counts as one) reach 15 for
  some objective by accident, most of them long ones, personas and agents' prompts. A single text at 15 or
  even at 80 says little; what counts is the mean over the many exchanges of a family, which ordinary requests
  keep low (last column of the false alarms).
- The percentages are not probabilities: they are calibrated on a mixture (one template of a class to nineteen
  other texts), then moved to the operating point and sharpened by {sharpness}. Evidence weights turn them
  into bits.
- A maths or coding question alone (a benchmark item, homework) is *none of these* by design: only a template
  that asks for drills (derivations in a fixed form, solutions with tests, new problems) scores. A campaign
  that sends bare benchmark items has no objective that this model can see.
- Tool-use loops in the prompt of an ordinary agent (Thought, Action, Observation) look like requests for
  trajectories, and long prompts score by accident more often: see the false alarms.
- Ordinary requests share their words with templates. This version scores, at its highest objective: {examples}.
- It does not know who asks. A teacher who grades, a firm that evaluates its own product and a campaign for a
  reward model use the same words; coverage, load and companions tell them apart, not this. The source
  `arena_judges` shows it: prompts of honest graders, measured and never fitted, score like templates. So do
  many pipelines of honest firms in `arena_a` and `arena_b` (score this transcript, write questions about
  this page).
- `rubric_grading` and `pairwise_preference`, and `data_analysis` and `elicited_reasoning`, overlap; read
  their maximum.
- The toll, the training settings, the calibration and the operating point were chosen on these same held-out
  scores, so the tables are a little too kind. The source `literature` follows published prompts closely.
- The templates of the arena (`arena_a`, `arena_b`) are fitted on as well, in the final model.
  Their rows here are held out, both at once; scores of the shipped model on the arena are not held out.
- All written text comes from few hands. Held-out sources differ in register, not in author, so a stranger's
  templates score lower than the tables say. The files of real prompts are by strangers: those error rates
  are real.
- Texts are cut at 2,500 words when fitting, never when scoring. The score is the best window's, so a longer
  text has more chances to score by accident. A toll of {toll} logits (before sharpening) a unit of the
  logarithm of its chunks (at most {cap}) pays for some of it, at the price of templates in very long texts.
""".strip()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the rest to the right."""
    rule = "|---|" + "---:|" * (len(header) - 1)
    return "\n".join(
        ["| " + " | ".join(header) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]
    )


def _percent(hits: NDArray[np.bool_]) -> str:
    return f"{100 * hits.mean():.1f} ({len(hits)})" if len(hits) else "–"


def recalls(
    material: Material,
    chances: NDArray[np.float64],
    groups: NDArray[np.str_],
    names: Sequence[str],
    among: NDArray[np.bool_],
) -> str:
    """Texts ``among`` all of each class and group with any objective at 15 or more, in per cent."""
    plain = among & np.array([not document.varied for document in material.documents])
    rows = []
    hit = (chances >= ASKS).any(axis=1)
    for index, objective in enumerate(OBJECTIVES):
        asked = (material.labels[:, index] == 1) & plain
        cells = [_percent(hit[asked & (groups == name)]) for name in names]
        rows.append([objective, _percent(hit[asked]), *cells])
    some = material.labels.any(axis=1) & plain
    cells = [_percent(hit[some & (groups == name)]) for name in names]
    rows.append(["*all*", _percent(hit[some]), *cells])
    return table(["objective", "all", *names], rows)


def settings_recalls(material: Material, chances: NDArray[np.float64]) -> str:
    """Recall of each class by setting: any objective at 15, the one asked for at 15, any at 50."""
    setting = np.array([document.setting for document in material.documents])
    plain = np.array([not document.varied for document in material.documents])
    some = material.labels.any(axis=1) & plain
    best, own = chances.max(axis=1), np.where(material.labels == 1, chances, 0.0)
    rows = []
    for name, asked, its in [
        *((name, material.labels[:, at] == 1, own[:, at]) for at, name in enumerate(OBJECTIVES)),
        ("*all*", some, own.max(axis=1)),
    ]:
        cells = [
            _percent((scores >= bar)[asked & plain & (setting == where)])
            for scores, bar in ((best, ASKS), (its, ASKS), (best, HALF))
            for where in SETTINGS
        ]
        rows.append([name, *cells])
    header = [f"{what}, {where}" for what in ("any ≥ 15", "its own ≥ 15", "any ≥ 50") for where in SETTINGS]
    return table(["objective", *header], rows)


EXAMPLES = {
    "to make an email more polite": "Rewrite this email so that it sounds more polite: I need the report now.",
    "to translate and keep the tone": "Translate the following paragraph into French and keep the tone.",
    "which of two schools is better": "Which of these two schools is better for my daughter, and why?",
    "to rate leads by criteria": "Score the lead from 1 to 10 by budget, size and timing, with a reason.",
    "to grade pupils' essays": "Grade my pupils' essays with the rubric below and comment kindly.",
}
"""Ordinary requests, the shorter name of each first."""


def _limits(material: Material, chances: NDArray[np.float64], weights_file: Path) -> str:
    """The closing section with the numbers that it quotes."""
    with weights_file.open("rb") as file:
        model = read(file)
    best = {
        name: max((value, key) for key, value in model.score(text).items()) for name, text in EXAMPLES.items()
    }
    setting = np.array([document.setting for document in material.documents])
    asked = material.labels.any(axis=1) & np.array([not document.varied for document in material.documents])
    missed = chances.max(axis=1) < ASKS
    source = np.array([material.lines[at].source for at in material.line_of_text])
    real = np.array([material.lines[at].real for at in material.line_of_text])
    none = real & ~material.labels.any(axis=1) & (setting == "alone") & (source != "python_library")
    files = sorted(set(source[none].tolist()))
    alarms = np.mean([100 * (~missed[none & (source == name)]).mean() for name in files]) if files else 0.0
    return LIMITS.format(
        alone=f"{100 * missed[asked & (setting == 'alone')].mean():.1f}%",
        joined=f"{100 * missed[asked & (setting == 'joined')].mean():.1f}%",
        examples=", ".join(f"{name} {value} (`{key}`)" for name, (value, key) in best.items()),
        alarms=f"{alarms:.1f}%", sharpness=SHARPNESS, toll=LENGTH_TOLL, cap=CHUNKS_CAP,
    )  # fmt: skip


def false_alarms(material: Material, chances: NDArray[np.float64]) -> str:
    """Share of none-texts with some class at 0.5 or more, by source, with the class that errs most."""
    source = np.array([material.lines[at].source for at in material.line_of_text])
    real = np.array([material.lines[at].real for at in material.line_of_text])
    alone = np.array([document.setting == "alone" and not document.varied for document in material.documents])
    none = ~material.labels.any(axis=1) & alone
    rows = []
    for name in sorted(set(source[none].tolist()), key=lambda name: (not real[source == name][0], name)):
        rows_of = none & (source == name)
        alarms = chances[rows_of] >= HALF
        worst = int(alarms.mean(axis=0).argmax())
        label = f"{OBJECTIVES[worst]} {100 * alarms[:, worst].mean():.2f}" if alarms.any() else "–"
        mean = chances[rows_of].max(axis=1).mean()
        kind = "real" if real[source == name][0] else "written"
        shares = [f"{100 * (chances[rows_of] >= bar).any(axis=1).mean():.2f}" for bar in (ASKS, HALF)]
        rows.append([name, kind, str(rows_of.sum()), *shares, label, f"{mean:.1f}"])
    header = ["source", "by", "texts", "any class ≥ 15, %", "any class ≥ 50, %", "worst class ≥ 50, %",
              "mean highest score"]  # fmt: skip
    return table(header, rows)


@numba.njit
def _repeat(words: Any, opens: Any, weights: Any, bias: Any, out: Any) -> None:
    for at in range(0, len(words) - 75, 75):
        score(words[at : at + 75], opens[at : at + 75], 75, weights, bias, out)


def nanoseconds(material: Material, weights_file: Path) -> float:
    """Processor time of one call on 75 words of the running text, the fastest of twenty rounds."""
    with weights_file.open("rb") as file:
        model = read(file)
    size = min(2000 * 75, len(material.encoded.words))
    words, opens = material.encoded.words[:size], material.encoded.opens[:size]
    out = np.zeros(len(OBJECTIVES), np.int8)
    rounds = []
    for _ in range(21):
        began = time.thread_time()
        _repeat(words, opens, model.weights, model.bias, out)
        rounds.append((time.thread_time() - began) / len(range(0, size - 75, 75)) * 1e9)
    return min(rounds[1:])


def whole_templates(
    material: Material, chances: NDArray[np.float64], unseen: Path, weights_file: Path
) -> str:
    """The section on whole templates: by held-out models, and sources that no fit reads by the shipped one."""
    with weights_file.open("rb") as file:
        model = read(file)
    asking, honest = whole.tables_of(whole.held_out(material, chances))
    never = whole.never_fitted(unseen, material, model)
    never_asking, never_honest = whole.tables_of(never)
    return f"""Mean over the readings of a whole template (with changing seeds) of its best objective: what the mean of a
family sees. The honest ones are system prompts of products and firms, and people's whole messages.

Held out by source, those of the arena included:

{table(whole.ASKING_HEADER, asking)}

{table(whole.HONEST_HEADER, honest)}

By the shipped model, sources that no fit reads, written before they were first measured, in voices of their own (three of
them, `commissions`, `deliverables` and `inspectors`, were asked for after a look at texts that scored low):

{table(whole.ASKING_HEADER, never_asking)}

{table(("source", *whole.ASKING_HEADER[1:]), whole.asking_by_source(never))}

{table(whole.HONEST_HEADER, never_honest)}"""


def write(
    path: Path,
    material: Material,
    chances: NDArray[np.float64],
    version: str,
    weights_file: Path,
    unseen: Path,
) -> None:
    """Compose the card; ``chances`` float64[D, 11]: held-out percentages."""
    lines = material.lines
    source = np.array([lines[at].source for at in material.line_of_text])
    language = np.array([document.language for document in material.documents])
    setting = np.array([document.setting for document in material.documents])
    asked = material.labels.any(axis=1)
    written = sorted({line.source for line in lines if line.objectives})
    languages = sorted(set(language[asked].tolist()))
    meanings = [[name, meaning, str(sum(name in line.objectives for line in lines))]
                for name, meaning in OBJECTIVE_MEANINGS.items()]  # fmt: skip
    files = {line.source for line in lines if not line.real}
    real_files = {line.source for line in lines if line.real} - {"python_library"}
    real_rows = sum(line.source in real_files for line in lines)
    library_rows = sum(line.source == "python_library" for line in lines)
    text = f"""# Card of the objective model

Version `{version}`. Written by `scripts/fit_objective`; do not edit.

**What it says.** For one text, a percentage for each of eleven training objectives: does this text ask for
such training data? Linear in hashed words, pairs and runs of words, over the best window of a sentence or
two.

**Cost.** Weights {weights_file.stat().st_size / 1e6:.2f} MB in the package; \
{nanoseconds(material, weights_file) / 1000:.2f} µs for 75 words of one core of the machine that
fitted it (fastest of twenty rounds).

**Fitted on** {sum(not line.real for line in lines)} written lines with alternatives from {len(files)}
sources (a template of the project's arena counts as six lines), expanded to {int(asked.sum())}
templates alone and in context (half of them with words exchanged for synonyms; those are not
measured on); {real_rows} real prompts from {len(real_files)} files, none of these but for the grading
templates; and {library_rows} passages of the standard library of Python {platform.python_version()}.

{table(["objective", "the text asks for", "lines"], meanings)}

## Held out by source

Every source is scored by a model that saw none of its lines. Texts that reach 15 for any objective, in per
cent (number of texts); the mean of a family must reach 10. The judge prompts are published grading
templates by others; `arena_a` and `arena_b` are the templates of the project's arena, whole ones of several
sentences, held out together; the other sources were written for this model.

{recalls(material, chances, source, written, asked)}

By language of the text (`code`: the text or the seed beside the template is code):

{recalls(material, chances, language, languages, asked)}

By language, several lines joined or a whole template:

{recalls(material, chances, language, languages, setting == "joined")}

By setting: a line alone, several lines of one source joined as in a longer template, or set among unrelated
text; for any objective, for the one that was asked for, and at 50:

{settings_recalls(material, chances)}

## Whole templates

{whole_templates(material, chances, unseen, weights_file)}

## False alarms

Texts that ask for none of these; each file or source unseen by the model that scores it.

{false_alarms(material, chances)}

## What it does not tell

{_limits(material, chances, weights_file)}
"""
    path.write_text(text, "utf-8")
