"""Objects of a log in S3, or in a store that speaks it: found, looked at and opened through Arrow's file system.

Where the store is and who may read it come from the environment, as for every program that uses AWS's library:
``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``,
``AWS_PROFILE``, or the role of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from stillwatch.rejects import MissingLogError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, S3FileSystem

SCHEME = "s3://"
FETCHED_WHOLE_BYTES = 16 << 20
"""An object of so many bytes is fetched in one piece and once, also where some of its columns are not asked for: every piece
is a request, and waits for its answer."""
_WILD = "*?["


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, or a place of objects, ``s3://BUCKET/KEY``; what a path is for a file."""

    place: str
    """Bucket and key."""

    size: int = field(default=0, compare=False)
    """Bytes, when it was listed."""

    modified_ns: int = field(default=0, compare=False)
    """When it was written, in nanoseconds since 1970, when it was listed; stores tell whole seconds."""

    @classmethod
    def named(cls, name: str) -> Self:
        """What a name that begins with ``s3://`` means.

        >>> str(StoredObject.named("s3://logs/dt=2026-01-13/"))
        's3://logs/dt=2026-01-13'
        """
        place = name.removeprefix(SCHEME).strip("/")
        if not place:
            raise MissingLogError(f"{name} names no bucket. Give {SCHEME}BUCKET/KEY.", file=name)
        return cls(place)

    def __str__(self) -> str:
        """The name that was given."""
        return SCHEME + self.place

    @property
    def parts(self) -> tuple[str, ...]:
        """Bucket and the steps of the key."""
        return tuple(self.place.split("/"))

    @property
    def name(self) -> str:
        """The last of them."""
        return self.parts[-1]

    @property
    def suffix(self) -> str:
        """How the name ends, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> StoredObject:
        """The place in which it lies."""
        return StoredObject(self.place.rpartition("/")[0])

    def resolve(self) -> StoredObject:
        """Itself: objects have no links."""
        return self


def find(place: StoredObject) -> list[tuple[StoredObject, list[StoredObject]]]:
    """What a name stands for, and the objects of each: itself, or what lies under it and is not hidden.

    Where nothing has that name it may be a pattern.

    Raises:
        MissingLogError: nothing is there, or the store does not let itself be read.
    """
    try:
        found = [(place, _at(place))]
        if not found[0][1] and any(mark in place.place for mark in _WILD):
            matches = sorted(_matches(place), key=str)
            found = [(match, objects) for match in matches if (objects := _at(match))]
    except OSError as error:
        raise refused(place, error) from error
    if not any(objects for _, objects in found):
        raise _missing(place)
    return [
        (match, [one for one in objects if not _is_hidden(one.parts[len(match.parts) :])])
        for match, objects in found
    ]


def look(place: StoredObject) -> StoredObject:
    """An object as it is now, or raise :class:`MissingLogError`."""
    try:
        info = _system().get_file_info(place.place)
    except OSError as error:
        raise refused(place, error) from error
    if not info.is_file:
        raise _missing(place)
    return _of(info)


def opened(place: StoredObject) -> pa.NativeFile:
    """An object to read from.

    Raises:
        MissingLogError: it is gone, or may not be read.
    """
    try:
        if 0 < place.size <= FETCHED_WHOLE_BYTES:
            return pa.BufferReader(_fetched(place.place, place.size, place.modified_ns))
        return _system().open_input_file(place.place)
    except OSError as error:
        raise refused(place, error) from error


def is_of_store(error: BaseException | None) -> bool:
    """Whether what broke a file off was its store."""
    return isinstance(error, OSError) and "AWS Error" in str(error)


def refused(place: StoredObject, error: BaseException | None) -> MissingLogError:
    """What the answer of a store means; its own text is not repeated, since it may name keys and hosts."""
    said = str(error)
    if isinstance(error, FileNotFoundError) or "NO_SUCH_KEY" in said:
        return _missing(place)
    if "NO_SUCH_BUCKET" in said:
        return MissingLogError(_NO_BUCKET.format(SCHEME + place.parts[0]), file=place)
    if any(word in said for word in _NOT_ALLOWED):
        return MissingLogError(
            f"{place} may not be read: the store refuses the credentials, or got none. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to some that may list and read it.",
            file=place,
        )
    return MissingLogError(
        f"{place} cannot be read: the store does not answer, or not as S3 does. Check AWS_ENDPOINT_URL, AWS_REGION and "
        "the network.",
        file=place,
    )


_NO_BUCKET = "there is no bucket {}. Check its name, AWS_ENDPOINT_URL and AWS_REGION."
_NOT_ALLOWED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "MISSING_AUTHENTICATION_TOKEN",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNRECOGNIZED_CLIENT",
    "HTTP status code: 403",
    "HTTP response code: 403",
)


def _missing(place: StoredObject) -> MissingLogError:
    bucket = place.parts[0]
    try:
        there = any(mark in bucket for mark in _WILD) or _system().get_file_info(bucket).type.value
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        return refused(place, error)
    text = f"{place} does not exist. Give an object, a place of objects or a pattern that matches."
    return MissingLogError(text if there else _NO_BUCKET.format(SCHEME + bucket), file=place)


def _is_hidden(steps: tuple[str, ...]) -> bool:
    return any(step.startswith((".", "_")) for step in steps)


def _at(place: StoredObject) -> list[StoredObject]:
    """The object of that name, or all that lie under it, in order."""
    from pyarrow.fs import FileSelector

    info = _system().get_file_info(place.place)
    if info.is_file:
        return [_of(info)]
    if not info.type.value:
        return []
    inside = _system().get_file_info(FileSelector(place.place, recursive=True))
    return sorted((_of(one) for one in inside if one.is_file), key=lambda object_: object_.parts)


def _matches(pattern: StoredObject) -> Iterator[StoredObject]:
    """The objects and places that a pattern names; ``**`` stands for any number of steps."""
    bucket, *steps = pattern.parts
    yield from _below(StoredObject(bucket), tuple(steps))


def _below(place: StoredObject, steps: tuple[str, ...]) -> Iterator[StoredObject]:
    from pyarrow.fs import FileSelector

    if not steps:
        yield place
        return
    first, *rest = steps
    if not any(mark in first for mark in _WILD):
        yield from _below(StoredObject(f"{place.place}/{first}"), tuple(rest))
        return
    if first == "**":
        yield from _below(place, tuple(rest))
    found = _system().get_file_info(FileSelector(place.place, allow_not_found=True))
    for info in found:
        if _is_hidden((info.base_name,)) and not _is_hidden((first,)):
            continue
        if first == "**" and not info.is_file:
            yield from _below(StoredObject(info.path), steps)
        elif (first != "**" and fnmatchcase(info.base_name, first)) or (first == "**" and not rest):
            yield from _below(StoredObject(info.path), tuple(rest))


def _of(info: FileInfo) -> StoredObject:
    return StoredObject(info.path, info.size, info.mtime_ns or 0)


@lru_cache(maxsize=1)
def _fetched(place: str, size: int, modified_ns: int) -> pa.Buffer:  # noqa: ARG001 - another version is another object
    with _system().open_input_file(place) as file:
        return file.read_buffer()


def _system() -> S3FileSystem:
    return _connected(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))


@cache
def _connected(endpoint: str | None) -> S3FileSystem:
    from pyarrow.fs import S3FileSystem

    return S3FileSystem(endpoint_override=endpoint)
