"""The checkpoint of a stream: Spark's own, and beside it which stream it is of, which its state says too.

What a batch held is in the state, and which batches are done is in the checkpoint. One without the other, or with that of
another stream, would lose exchanges or count them twice; it is refused.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from stillwatch.state import State, StateError, Streamed

FILE = "stillwatch.json"
BEGUN = "offsets"
"""Folder in which Spark keeps what each batch holds, before it is begun."""
VERSION = 1


class Named(msgspec.Struct, frozen=True):
    """What ``stillwatch.json`` says."""

    version: int
    stream: str
    source: str


def bind(checkpoint: Path, state: State, source: str) -> None:
    """Make a checkpoint and a state those of one stream, or see that they are. ``source``: what the stream reads.

    Raises :class:`StateError`.
    """
    file = checkpoint / FILE
    held = state.streamed
    named = _read(file)
    if named is None:
        if held is not None:
            raise StateError(
                f"the state follows a stream, and {checkpoint} is not its checkpoint: give that one with --checkpoint. "
                "Where it is lost, begin with another --state"
            )
        named = Named(VERSION, secrets.token_hex(16), source)
        _write(file, named)
    if named.source != source:
        raise StateError(
            f"{checkpoint} is the checkpoint of another source ({named.source}, this run reads {source}): give that one, "
            "or begin with another --checkpoint and --state"
        )
    if held is None:
        if any((checkpoint / BEGUN).glob("*")):
            raise StateError(
                f"{checkpoint} belongs to a state that is not the one given: what its batches held would be missing. Give "
                "that one with --state, or begin with another --checkpoint"
            )
        state.follow(Streamed(named.stream))
    elif held.stream != named.stream:
        raise StateError(
            f"{checkpoint} and the state are of two streams: give those that belong together with --checkpoint and --state"
        )


def is_known(state: State, number: int, parts: Sequence[str]) -> Streamed | None:
    """None where the state has a batch already; else what it is to keep with it.

    Raises :class:`StateError` where the checkpoint and the state are not of one time.
    """
    held = state.streamed
    if held is None:
        raise StateError("the state follows no stream; it was changed while the stream ran")
    new = Streamed(held.stream, number, hashlib.sha256("\n".join(parts).encode()).hexdigest())
    if number == held.batch + 1:
        return new
    if new == held:
        return None
    older, newer = ("checkpoint", "state") if number <= held.batch else ("state", "checkpoint")
    raise StateError(
        f"the {older} is older than the {newer} (batch {number} comes, and the state's last one is {held.batch}): restore "
        "both from one copy, or begin with another --checkpoint and --state"
    )


def _read(file: Path) -> Named | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Named)
    except FileNotFoundError:
        pass
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(
            f"{file} cannot be read or is damaged; restore {file.parent} from a copy, or begin with another --checkpoint "
            "and --state"
        ) from error
    if file.parent.is_dir() and any(file.parent.iterdir()):
        raise StateError(
            f"{file.parent} holds other files and no {FILE}: name an empty folder with --checkpoint"
        )
    return None


def _write(file: Path, named: Named) -> None:
    aside = file.with_name(f".{FILE}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with aside.open("wb") as made:
            made.write(msgspec.json.encode(named) + b"\n")
            made.flush()
            os.fsync(made.fileno())
        aside.replace(file)
    except OSError as error:
        raise StateError(
            f"cannot write the checkpoint in {file.parent}: {error.strerror or error}"
        ) from error
