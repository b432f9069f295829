"""The files of a log: what paths, folders and globs name, and whether it may be read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from stillwatch.rejects import EmptyLogError, MissingLogError, UnknownFormatError

LINE_SUFFIXES = (".jsonl", ".ndjson", ".json", ".pb", ".binpb")
"""Of files of lines or messages."""
COMPRESSED_SUFFIXES = (".gz", ".zst", ".zstd")
PARQUET_SUFFIX = ".parquet"
ALLOWED = (
    f"{PARQUET_SUFFIX} and {', '.join(LINE_SUFFIXES)}, the latter also with {', '.join(COMPRESSED_SUFFIXES)}"
)


def list_files(paths: Sequence[str | Path]) -> list[Path]:
    """Return the files that paths, folders and globs name: in the order given, sorted within, none twice.

    In folders, names that begin with a dot or an underscore are left out, and any other file must be of a
    known suffix.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            for file in _files_of(Path(path)):
                found.setdefault(file.resolve(), file)
        except OSError as error:
            raise unreadable(Path(path)) from error
    return list(found.values())


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(_inside(path), key=lambda file: file.relative_to(path).parts)
        for file in files:
            if not file.is_file():
                raise MissingLogError(
                    f"{file} is no file, or a link to one that is gone. Mend the link, or move it away.",
                    file=file,
                )
            if not _is_allowed(file):
                raise UnknownFormatError(
                    f"{file} is no log; a folder may hold {ALLOWED}. Move it away, or begin its name with _.",
                    file=file,
                )
        if not files:
            raise EmptyLogError(f"{path} holds no log; give a folder that holds {ALLOWED}.", file=path)
        return files
    if path.exists():
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches or path.is_symlink():  # a link that leads nowhere matches itself
        raise MissingLogError(
            f"{path} does not exist. Give a file, a folder or a pattern that matches.", file=path
        )
    return [file for match in matches for file in _files_of(Path(match))]


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


def _is_allowed(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in COMPRESSED_SUFFIXES:
        return Path(file.stem).suffix.lower() in LINE_SUFFIXES
    return suffix == PARQUET_SUFFIX or suffix in LINE_SUFFIXES


def size_of(file: Path) -> int:
    """Bytes of a file as it lies on disk."""
    try:
        return file.stat().st_size
    except OSError as error:
        raise unreadable(file) from error


def readable(file: Path) -> Path:
    """Return a file that can be opened, or raise :class:`MissingLogError`."""
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise unreadable(file) from error


def unreadable(file: Path) -> MissingLogError:
    """Return the error for a file or folder that cannot be opened."""
    return MissingLogError(f"{file} cannot be opened. Check that it may be read.", file=file)
