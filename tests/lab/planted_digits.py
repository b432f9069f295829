"""Ten planted drawings, moved and blurred by noise, as the IDX files of which MNIST is made."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, 28, 28] and labels [N], bytes; the drawing of a class is the same whatever the seed."""
    drawings = np.kron(np.random.default_rng(7).integers(0, 2, (10, 7, 7)), np.ones((4, 4)))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    noise = rng.normal(size=(count, 28, 28)) * 70
    return np.clip(drawings[labels] * 140 + 40 + noise, 0, 255).astype(np.uint8), labels.astype(np.uint8)


def write(folder: Path, train: int = 600, test: int = 200, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, seed in (("train", train, 1), ("t10k", test, 2)):
        images, labels = drawn(count, seed)
        for kind, body, magic in (("images-idx3", images, 2051), ("labels-idx1", labels, 2049)):
            raw = struct.pack(f">{1 + body.ndim}i", magic, *body.shape) + body.tobytes()
            name = f"{split}-{kind}-ubyte"
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(raw) if packed else raw)
    return folder
