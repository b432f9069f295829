"""What ``state.json`` says: what a state is bound to, and what it holds, in order."""

from __future__ import annotations

from pathlib import Path

import msgspec

MANIFEST = "state.json"
VERSION = 1


class StateError(Exception):
    """A state that cannot be used, or not gone on with; the text says which and what to do."""


class Bound(msgspec.Struct, frozen=True):
    """What sketches must have in common to be compared, by the name that an error gives it."""

    sketch: int
    key: str
    objective: str
    circle: str | None


class Increment(msgspec.Struct, frozen=True):
    """What one run took in."""

    files: tuple[str, ...]
    """SHA-256 of each file of the log, in order."""

    parts: int = msgspec.field(name="paths")
    """Files that hold anything, or parts of a topic, that it is of."""

    bytes: int
    """Size of the log as it lay on disk."""

    rows: int
    sketches: str
    """SHA-256 of the sketches."""

    rejected: str
    """SHA-256 of the list of what could not be read."""

    nulled: dict[str, int]
    skipped: dict[str, int]
    zoneless: int
    unmapped: int
    identities: str | None = None
    """SHA-256 of the mapping of identities that it was read with, empty where there was none; None where it was written
    before that was kept."""


class Streamed(msgspec.Struct, frozen=True):
    """How far a stream was taken in."""

    stream: str
    """Name of the stream, which its checkpoint has too."""

    batch: int = -1
    """Number of the last batch; -1 where none was taken in yet."""

    parts: str = ""
    """SHA-256 of the names of its parts."""


class Manifest(msgspec.Struct, frozen=True):
    """What ``state.json`` says."""

    version: int
    bound: Bound
    increments: tuple[Increment, ...] = ()
    observed: int = 0
    """Increments of which the fragments are in the bitmaps that are kept; 0 where none are kept yet."""

    presence: str = ""
    """SHA-256 of the bitmaps."""

    streamed: Streamed | None = None
    """The stream that the state follows, if any."""

    @property
    def rows(self) -> int:
        """Exchanges in all increments."""
        return sum(one.rows for one in self.increments)


def read_manifest(folder: Path, bound: Bound) -> Manifest:
    """The manifest of a state that can be gone on with; one of nothing where there is none."""
    file = folder / MANIFEST
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return Manifest(VERSION, bound)
    except OSError as error:
        raise StateError(f"cannot read {file}: {error.strerror}; check that it may be read") from error
    try:
        version = msgspec.json.decode(data, type=_Versioned).version
        if version != VERSION:
            raise StateError(
                f"{file} is of version {version} of a state, and this release writes {VERSION}: go on with the release "
                "that wrote it, or take all logs in again with another --state"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StateError(
            f"{file} is damaged; restore {folder} from a copy, or take all logs in again with another --state"
        ) from error
    for name, what in (
        ("key", "another key"), ("circle", "another circle key"), ("sketch", "another version of sketches"),
        ("objective", "another objective model"),
    ):  # fmt: skip
        found, own = getattr(manifest.bound, name), getattr(bound, name)
        if found != own:
            remedy = "give that one with --" + ("key" if name == "key" else "circle-key")
            if name in ("sketch", "objective"):
                remedy = "go on with the release that wrote it"
            raise StateError(
                f"{file} was made with {what} ({found or 'none'}, this run has {own or 'none'}): {remedy}, or take all "
                "logs in again with another --state"
            )
    return manifest


class _Versioned(msgspec.Struct):
    version: int
