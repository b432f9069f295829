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

from objective_training import LENGTH_TOLL
from stillwatch.objective.classes import OBJECTIVE_MEANINGS, OBJECTIVES
from stillwatch.objective.kernel import CHUNKS_CAP, score
from stillwatch.objective.model import read

if TYPE_CHECKING:
    from fit_objective import Material

HALF, ASKS = 49.5, 14.5  # the kernel rounds; 49.5 and more reads as 50, 14.5 and more as 15

LIMITS = """
- It reads words, not meaning. An objective asked for in words that no source used scores low: of single
  held-out lines about three in ten stay below 50 for every objective, of several joined about one in
  fourteen. A family is therefore judged on the mean over its exchanges and on its other signals.
- A maths or coding question alone (a benchmark item, homework) is *none of these* by design: only a template
  that asks for drills (derivations in a fixed form, solutions with tests, new problems) scores. A campaign
  that sends bare benchmark items has no objective that this model can see.
- Tool-use loops in the prompt of an ordinary agent (Thought, Action, Observation) look like requests for
  trajectories, and long prompts score by accident more often: see the false alarms.
- It does not know who asks. A teacher who grades, a firm that evaluates its own product and a campaign for a
  reward model use the same words; coverage, load and companions tell them apart, not this.
- `rubric_grading` and `pairwise_preference`, and `data_analysis` and `elicited_reasoning`, overlap; read
  their maximum.
- The toll, the training settings and the calibration were chosen on these same held-out scores, so the
  tables are a little too kind. The source `literature` follows published prompts closely.
- All written text comes from few hands. Held-out sources differ in register, not in author, so a stranger's
  templates score lower than the tables say. The files of real prompts are by strangers: those error rates
  are real.
- The percentages are calibrated for the mixture that was fitted (one template of a class to nineteen other
  texts), not for a log; evidence weights turn them into bits.
- Texts are cut at 2,500 words when fitting, never when scoring. The score is the best window's, so a longer
  text has more chances to score by accident. A toll of {toll} logits a unit of the logarithm of its chunks
  (at most {cap}) pays for some of it: with the toll 7.1% of the prompts in `awesome_chatgpt_prompts` score,
  without it 11.4%; but one template among more than sixty chunks is found in 43% of 35 cases instead of 57%
  (measured by source hold-out on the fit before the last 21 lines were written).
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
    material: Material, chances: NDArray[np.float64], groups: NDArray[np.str_], names: list[str], bar: float
) -> str:
    """Texts of each class (rows) in each group (columns) with any objective at ``bar`` or more, in per cent."""
    plain = np.array([not document.varied for document in material.documents])
    rows = []
    hit = (chances >= bar).any(axis=1)
    for index, objective in enumerate(OBJECTIVES):
        asked = (material.labels[:, index] == 1) & plain
        cells = [_percent(hit[asked & (groups == name)]) for name in names]
        rows.append([objective, _percent(hit[asked]), *cells])
    some = material.labels.any(axis=1) & plain
    cells = [_percent(hit[some & (groups == name)]) for name in names]
    rows.append(["*all*", _percent(hit[some]), *cells])
    return table(["objective", "all", *names], rows)


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
        rows.append(
            [name, kind, str(rows_of.sum()), f"{100 * alarms.any(axis=1).mean():.2f}", label, f"{mean:.1f}"]
        )
    return table(["source", "by", "texts", "any class ≥ 50, %", "worst class, %", "mean highest score"], rows)


@numba.njit
def _repeat(words: Any, opens: Any, weights: Any, bias: Any, out: Any) -> None:
    for at in range(0, len(words) - 75, 75):
        score(words[at : at + 75], opens[at : at + 75], 75, weights, bias, out)


def nanoseconds(material: Material, weights_file: Path) -> float:
    """Time of one call on 75 words of the material's running text, the median of nine rounds."""
    with weights_file.open("rb") as file:
        model = read(file)
    size = min(2000 * 75, len(material.encoded.words))
    words, opens = material.encoded.words[:size], material.encoded.opens[:size]
    out = np.zeros(len(OBJECTIVES), np.int8)
    rounds = []
    for _ in range(10):
        began = time.perf_counter()
        _repeat(words, opens, model.weights, model.bias, out)
        rounds.append((time.perf_counter() - began) / len(range(0, size - 75, 75)) * 1e9)
    return float(np.median(rounds[1:]))


def write(
    path: Path, material: Material, chances: NDArray[np.float64], version: str, weights_file: Path
) -> None:
    """Compose the card; ``chances`` float64[D, 11]: held-out percentages."""
    lines = material.lines
    source = np.array([lines[at].source for at in material.line_of_text])
    language = np.array([document.language for document in material.documents])
    setting = np.array([document.setting for document in material.documents])
    asked = material.labels.any(axis=1)
    written = sorted({line.source for line in lines if line.objectives})
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
{nanoseconds(material, weights_file) / 1000:.2f} µs for 75 words on one core of the machine that fitted it.

**Fitted on** {sum(not line.real for line in lines)} written lines with alternatives from {len(files)}
sources, expanded to {int(asked.sum())} templates alone and in context (half of them with words exchanged
for synonyms; those are not measured on); {real_rows} real prompts from {len(real_files)} files, none of
these but for the grading templates; and {library_rows} passages of the standard library of Python
{platform.python_version()}.

{table(["objective", "the text asks for", "lines"], meanings)}

## Held out by source

Every source is scored by a model that saw none of its lines. Recall at 50, in per cent (number of texts).
The judge prompts are published grading templates by others; the other sources were written for this model.

{recalls(material, chances, source, written, ASKS)}

By language of the text (`code`: the seed beside the template is code), then by setting: a line alone,
several lines of one source joined as in a longer template, or set among unrelated text:

{recalls(material, chances, np.where(asked, language, ""), sorted(set(language[asked].tolist())), ASKS)}

{recalls(material, chances, setting, ["alone", "joined", "in context"], ASKS)}

## False alarms

Texts that ask for none of these; each file or source unseen by the model that scores it.

{false_alarms(material, chances)}

## What it does not tell

{LIMITS.format(toll=LENGTH_TOLL, cap=CHUNKS_CAP)}
"""
    path.write_text(text, "utf-8")
