"""The errors that stillwatch raises on purpose: their text is for the user, without a traceback."""

from __future__ import annotations


def known_errors() -> tuple[type[Exception], ...]:
    """Every such error; imported late, since an error is rare."""
    from stillwatch.arena.recipe import RecipeError
    from stillwatch.calibration.conformal import CalibrationError
    from stillwatch.calibration.labels import LabelsError
    from stillwatch.engine.base import EngineError
    from stillwatch.keys import KeyFileError
    from stillwatch.lab import LabError
    from stillwatch.lab.value import ValuationError
    from stillwatch.live import LiveError
    from stillwatch.outputs import OutputError
    from stillwatch.peers import PeersError
    from stillwatch.registry import RegistryError
    from stillwatch.rejects import LogError
    from stillwatch.report.explain import ExplainError
    from stillwatch.response import ResponseError
    from stillwatch.review import ServeError
    from stillwatch.share import ShareError
    from stillwatch.state import StateError
    from stillwatch.store import StoreError

    return (
        LogError, OutputError, KeyFileError, RegistryError, ExplainError, RecipeError, CalibrationError, LabelsError,
        EngineError, LabError, ResponseError, StoreError, PeersError, ShareError,
        ServeError, ValuationError, LiveError, StateError,
    )  # fmt: skip
