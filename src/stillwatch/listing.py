"""The files of a log: what paths, folders and globs name, on disk or in a store, and whether it may be read."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa

from stillwatch import stored
from stillwatch.rejects import ChangedLogError, EmptyLogError, MissingLogError, UnknownFormatError
from stillwatch.stored import SCHEME, StoredObject

CHUNK_BYTES = 8 << 20
LogFile = Path | StoredObject
"""A file of a log, or a place where files of one lie."""

LINE_SUFFIXES = (".jsonl", ".ndjson", ".json", ".pb", ".binpb")
"""Of files of lines or messages."""
COMPRESSED_SUFFIXES = (".gz", ".zst", ".zstd")
PARQUET_SUFFIX = ".parquet"
ALLOWED = (
    f"{PARQUET_SUFFIX} and {', '.join(LINE_SUFFIXES)}, the latter also with {', '.join(COMPRESSED_SUFFIXES)}"
)


def named(name: str | LogFile) -> LogFile:
    """What the command line names: a path, or an object."""
    if not isinstance(name, str):
        return name
    return StoredObject.named(name) if name.startswith(SCHEME) else Path(name)


def list_files(paths: Sequence[str | LogFile]) -> list[LogFile]:
    """Return the files that paths, folders and globs name: in the order given, sorted within, none twice.

    In folders, names that begin with a dot or an underscore are left out, and any other file must be of a
    known suffix.
    """
    found: dict[LogFile, LogFile] = {}
    for path in map(named, paths):
        try:
            for file in _objects_of(path) if isinstance(path, StoredObject) else _files_of(path):
                found.setdefault(file.resolve(), file)
        except OSError as error:
            raise unreadable(path) from error
    return list(found.values())


def _objects_of(place: StoredObject) -> list[StoredObject]:
    found = stored.find(place)
    for match, objects in found:
        if objects != [match]:  # one that is named itself may be called anything
            _check_names(match, objects)
    return [object_ for _, objects in found for object_ in objects]


def _check_names(folder: LogFile, files: Sequence[LogFile]) -> None:
    for file in files:
        if not _is_allowed(file):
            raise UnknownFormatError(
                f"{file} is no log; a folder may hold {ALLOWED}. Move it away, or begin its name with _.",
                file=file,
            )
    if not files:
        raise EmptyLogError(f"{folder} holds no log. Give a folder that holds {ALLOWED}.", file=folder)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(_inside(path), key=lambda file: file.relative_to(path).parts)
        for file in files:
            if not file.is_file():
                raise MissingLogError(
                    f"{file} is no file, or a link to one that is gone. Mend the link, or move it away.",
                    file=file,
                )
        _check_names(path, files)
        return files
    if path.exists():
        if not path.is_file():
            raise UnknownFormatError(
                f"{path} is a pipe or a device, and a log is read more than once. Write it to a file first.",
                file=path,
            )
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches or path.is_symlink():  # a link that leads nowhere matches itself
        raise MissingLogError(
            f"{path} does not exist. Give a file, a folder or a pattern that matches.", file=path
        )
    return [file for match in map(Path, matches) if not _hides(match, path) for file in _files_of(match)]


def _hides(match: Path, pattern: Path) -> bool:
    """Whether a match lies under a hidden name that the pattern did not spell out."""
    named = [part for part in pattern.parts if _is_hidden(part)]
    return any(_is_hidden(part) and not any(fnmatchcase(part, one) for one in named) for part in match.parts)


def _inside(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder, in linked folders too; one that may not be read is an error."""

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename)) from error

    seen = {folder.resolve()}
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(place)
        found = {name: (here / name).resolve() for name in folders if not _is_hidden(name)}
        folders[:] = sorted(name for name, real in found.items() if real not in seen)
        seen.update(found.values())
        yield from (here / name for name in files if not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _is_allowed(file: LogFile) -> bool:
    suffix = file.suffix.lower()
    if suffix in COMPRESSED_SUFFIXES:
        return Path(file.stem).suffix.lower() in LINE_SUFFIXES
    return suffix == PARQUET_SUFFIX or suffix in LINE_SUFFIXES


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a file was written to or replaced between two looks at it."""

    size: int
    """Bytes as it lies on disk."""
    modified_ns: int
    """When it was last written to, in nanoseconds since 1970."""
    inode: tuple[int, int]
    """Device and number: another file of the same name has another."""


def state_of(file: LogFile) -> FileState:
    """Look at a file, or raise :class:`MissingLogError`; of an object, what its listing said."""
    if isinstance(file, StoredObject):
        return FileState(file.size, file.modified_ns, (0, 0))
    try:
        found = file.stat()
    except OSError as error:
        raise unreadable(file) from error
    return FileState(found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))


def unchanged(file: LogFile, before: FileState) -> None:
    """Raise :class:`ChangedLogError` where a file is no longer what it was before it was read.

    Half of what is being written would be read as the whole, and the same command would give another result.
    """
    after = state_of(stored.look(file) if isinstance(file, StoredObject) else file)
    if after == before:
        return
    if after.inode != before.inode:
        what = "was replaced"
    elif after.size != before.size:
        what = f"went from {before.size:,} to {after.size:,} bytes"
    else:
        what = "was written to"
    raise ChangedLogError(
        f"{file} {what} while it was read. Give a copy of it, or leave it out until nothing writes to it.",
        file=file,
    )


def opened(file: LogFile) -> pa.NativeFile:
    """A file to read from, at any place.

    Raises:
        MissingLogError: it cannot be opened.
    """
    if isinstance(file, StoredObject):
        return stored.opened(file)
    try:
        return pa.OSFile(str(file))
    except OSError as error:
        raise unreadable(file) from error


def digest_of(file: LogFile) -> str:
    """SHA-256 of a file, or of an object. Raises what :func:`opened` raises."""
    digest = hashlib.sha256()
    with opened(file) as raw:
        while data := raw.read(CHUNK_BYTES):
            digest.update(data)
    return digest.hexdigest()


def unreadable(file: LogFile) -> MissingLogError:
    """Return the error for a file or folder that cannot be opened."""
    return MissingLogError(f"{file} cannot be opened. Check that it may be read.", file=file)
