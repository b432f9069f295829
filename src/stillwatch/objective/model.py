"""The shipped weights of the objective model, loaded once; scoring of a single text for people and tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from stillwatch.objective.classes import OBJECTIVES
from stillwatch.objective.kernel import SLOT_BITS, WEIGHT_LIMIT, Packed, score
from stillwatch.segment import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WEIGHTS_FILE = "weights.npz"
_FORMAT = 3


@dataclass(frozen=True, slots=True, eq=False)
class ObjectiveModel:
    """A fitted model, in the form that the kernel reads."""

    version: str
    """Name of the fit: a digest of its weights; two models of one version score alike."""

    weights: Packed
    """Packed weights, see :func:`pack`."""

    bias: NDArray[np.float32]
    """``float32[3, 11]``: logit a unit of weight, intercept, and logit a unit of log chunks (negative)."""

    features: int
    """Features with a weight of their own; all others add nothing."""

    def score(self, text: str) -> dict[str, int]:
        """Percentage, 0 to 100, that ``text`` asks for each objective.

        >>> load().score("what time does the pharmacy close on sundays")["rubric_grading"] < 30
        True
        """
        words, _, opens = words_of(text)
        out = np.zeros(len(OBJECTIVES), np.int8)
        score(words, opens, len(words), self.weights, self.bias, out)
        return dict(zip(OBJECTIVES, out.tolist(), strict=True))


def pack(slots: NDArray[Any], tags: NDArray[Any], weights: NDArray[np.int8]) -> Packed:
    """The kernel's table: lanes of 16 bits, four to a word, and the tags.

    ``slots`` uint32[n] and ``tags`` uint16[n]: low 18 and high 16 bits of each feature's hash; ``weights`` int8[n, 11].
    """
    place = slots.astype(np.int64)
    table = np.zeros((1 << SLOT_BITS, 3), np.int64)
    lanes = np.zeros((len(slots), 12), np.int64)
    lanes[:, :11] = weights
    table[place] = (lanes.reshape(-1, 3, 4) << np.array([0, 16, 32, 48])).sum(axis=2)
    own = np.zeros(1 << SLOT_BITS, np.uint16)
    own[place] = tags
    return Packed(own, table)


def read(file: IO[bytes]) -> ObjectiveModel:
    """The model in an open weights file; raises ``ValueError`` where this version cannot read it."""
    with np.load(file, allow_pickle=False) as stored:
        names = set(stored.files)
        wanted = {"format", "version", "objectives", "slots", "tags", "weights", "bias"}
        if not wanted <= names:
            raise ValueError(
                f"weights file lacks {sorted(wanted - names)}; fit it anew with scripts/fit_objective"
            )
        found, objectives = int(stored["format"]), tuple(stored["objectives"].tolist())
        if found != _FORMAT or objectives != OBJECTIVES:
            raise ValueError(
                f"weights file has format {found} and {len(objectives)} objectives, this version reads "
                f"format {_FORMAT} with its own {len(OBJECTIVES)}; fit it anew with scripts/fit_objective"
            )
        slots, tags, weights = stored["slots"], stored["tags"], stored["weights"]
        if (
            len(np.unique(slots)) != len(slots)
            or np.abs(weights.astype(np.int64)).max(initial=0) > WEIGHT_LIMIT
        ):
            raise ValueError("weights file has two features in a slot or a weight too large; fit it anew")
        return ObjectiveModel(
            version=str(stored["version"]),
            weights=pack(slots, tags, weights),
            bias=np.ascontiguousarray(stored["bias"], dtype=np.float32),
            features=len(slots),
        )


@lru_cache(maxsize=1)
def load() -> ObjectiveModel:
    """The model that the package ships; read at the first call, the same object afterwards."""
    with (files("stillwatch.objective") / _WEIGHTS_FILE).open("rb") as file:
        return read(file)
