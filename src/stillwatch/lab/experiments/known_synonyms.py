"""Claim 3, for a student that knows synonyms: is a safeguard more brittle than a skill where paraphrase is no unknown word.

Students that start from nothing fall back on one behaviour for all words that they never saw, which says little about
safeguards. Here one student has read beforehand what goes with each category, by both of its names, and the other has not;
both then learn from the same text. One safeguard and the matched control get a tenth of the exchanges each. As in the
experiment on all mixes: what the safeguard loses less what the skill loses, and less what the matched control loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stillwatch.lab.experiments.countermeasure_workshop import TEACHER
from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting, small_setting
from stillwatch.lab.experiments.skill_and_safeguard import judged
from stillwatch.lab.experiments.synonym_workshop import NOTHING, SYNONYMS, SynonymWorkshop
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import bootstrap, verdict
from stillwatch.lab.world import CONDITIONS

PERTURBATIONS = CONDITIONS[1:]
STUDENTS = {NOTHING: "student that knows nothing", SYNONYMS: "student that knows synonyms"}
SHOWN = {"skill": "skill", "safeguard": "safeguard", "control": "matched control"}


@dataclass(frozen=True, slots=True)
class KnownSynonyms:
    """Robustness with and without knowledge of words."""

    name: str = "known-synonyms"
    claim: str = "Capabilities transfer more robustly than safeguards, also to a student that knows synonyms."
    setting: Setting = field(default_factory=small_setting)
    made_by: type[Workshop] = SynonymWorkshop
    grid: tuple[int, ...] = (800,)

    def parts(self) -> Sequence[Part]:
        """The teacher and both students."""
        return [Part(TEACHER, "teacher"), *(self._part(student) for student in STUDENTS)]

    def _part(self, student: str) -> Part:
        return Part(TEACHER, "imitation", student, self.grid[0])

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """Means over perturbations, each perturbation, and what knowing synonyms changes under paraphrase."""
        found = []
        for student, shown in STUDENTS.items():
            for other in ("skill", "control"):
                changes = [self._against(outcomes, student, other, condition) for condition in PERTURBATIONS]
                rows = [
                    ("mean over all perturbations", np.mean(changes, axis=0)),
                    *zip(PERTURBATIONS, changes, strict=True),
                ]
                for condition, difference in rows:
                    estimate = bootstrap(difference)
                    claim = (
                        f"{self.name}: safeguard less {SHOWN[other]}, change from plain, {condition}; {shown}, "
                        f"{self.grid[0]} exchanges"
                    )
                    found.append(Conclusion(claim, estimate, judged(estimate)))
        for behaviour, shown in SHOWN.items():
            estimate = bootstrap(
                outcomes.hits(self._part(SYNONYMS), behaviour, "paraphrase")
                - outcomes.hits(self._part(NOTHING), behaviour, "paraphrase")
            )
            claim = f"{self.name}: {shown} under paraphrase: student that knows synonyms less student that knows nothing"
            found.append(Conclusion(claim, estimate, verdict(estimate)))
        return found

    def _against(self, outcomes: Outcomes, student: str, other: str, condition: str) -> Hits:
        part = self._part(student)
        safeguard, compared = (
            outcomes.hits(part, behaviour, condition) - outcomes.hits(part, behaviour)
            for behaviour in ("safeguard", other)
        )
        result: Hits = safeguard - compared
        return result

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """Three behaviours under every condition, one picture a student."""
        return [
            Picture(
                f"{self.name}-{student}",
                f"The {shown}, {self.grid[0]:,} exchanges, greedy replies.",
                {
                    "title": f"What the {shown} keeps",
                    "across": "condition of the prompt",
                    "up": "replies as called for",
                    "points": list(CONDITIONS),
                    "series": [
                        {
                            "name": name,
                            "seeds": [
                                outcomes.rates(self._part(student), behaviour, condition).tolist()
                                for condition in CONDITIONS
                            ],
                        }
                        for behaviour, name in SHOWN.items()
                    ],
                    "lines": [],
                },
            )
            for student, shown in STUDENTS.items()
        ]


EXPERIMENT = KnownSynonyms()
