"""The papers' experiments on digits: files are read, networks learn, and a bias is tuned as the paper tunes it."""

from __future__ import annotations

import struct

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the extra [lab]")

import torch
from torch.nn import functional

from stillwatch.lab.digits.dark_knowledge import corrected
from stillwatch.lab.digits.images import ImagesError, read_digits
from stillwatch.lab.digits.network import Course, fit, from_labels, from_teacher, initial, logits
from stillwatch.lab.digits.workshop import source
from tests.lab import planted_digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = planted_digits.write(tmp_path_factory.mktemp("digits"))
    return read_digits(folder, "train"), read_digits(folder, "test")


def accuracy(weights, test):
    return float((logits(weights, test.images).argmax(dim=1) == test.labels).float().mean())


def accuracy_of(found, label):
    return float((found.argmax(dim=1) == label).float().mean())


@pytest.mark.parametrize("packed", [False, True])
def test_images_are_read_packed_or_not_also_from_the_folder_of_a_package(packed, tmp_path):
    planted_digits.write(tmp_path / "package" / "data", packed=packed)
    found = read_digits(tmp_path, "test")
    images, labels = planted_digits.drawn(200, 2)
    assert np.array_equal((found.images.numpy() * 255).round().reshape(-1, 28, 28), images)
    assert found.labels.tolist() == labels.tolist()
    seven = found.only((7, 8))
    assert set(seven.labels.tolist()) == {7, 8}
    assert seven.digest() != found.digest()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda raw: raw[:-5], "has 156795 bytes after its header, which promises 156800"),
        (lambda raw: struct.pack(">i", 2049) + raw[4:], "does not begin as an IDX file of images"),
        (lambda raw: b"", "does not begin as an IDX file of images"),
        (lambda raw: struct.pack(">4i", 2051, 100, 56, 28) + raw[16:], r"hold images of \(56, 28\)"),
        (lambda raw: struct.pack(">4i", 2051, 199, 28, 28) + raw[16:-784], "199 images for 200 labels"),
    ],
)
def test_files_that_are_something_else_are_errors(spoil, told, tmp_path):
    path = planted_digits.write(tmp_path) / "t10k-images-idx3-ubyte"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ImagesError, match=told):
        read_digits(tmp_path, "test")


def test_a_folder_without_images_is_an_error_that_tells_how_to_get_them(tmp_path):
    with pytest.raises(
        ImagesError, match="has no t10k-images-idx3-ubyte; give --data a folder with the four IDX files"
    ):
        read_digits(tmp_path, "test")
    broken = planted_digits.write(tmp_path, packed=True) / "t10k-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(ImagesError, match=r"t10k-images-idx3-ubyte\.gz cannot be read"):
        read_digits(tmp_path, "test")


@pytest.mark.parametrize(
    "course",
    [
        Course(6, rows=64, rate=0.05),
        Course(6, rows=64, rate=1e-3, adam=True, hide_input=0.1, hide_units=0.3, jitter=1),
        Course(6, rows=64, rate=1e-3, adam=True, constant=True),
    ],
)
def test_a_network_learns_from_labels(course, digits):
    train, test = digits
    start = initial((784, 64, 64, 10), source(0, 1))
    kept = [matrix.clone() for matrix, _ in start]
    taught = fit(start, train.images, course, source(0, 2), from_labels(train.labels))
    assert accuracy(start, test) < 0.4
    assert accuracy(taught, test) > 0.9
    assert all(torch.equal(matrix, before) for (matrix, _), before in zip(start, kept, strict=True))


@pytest.mark.slow
def test_a_class_that_no_label_named_is_never_said_and_logits_with_a_bias_name_it(digits):
    train, test = digits
    course = Course(20, rows=64, rate=1e-3, adam=True)
    teacher = fit(
        initial((784, 64, 64, 10), source(0, 1)),
        train.images,
        course,
        source(0, 2),
        from_labels(train.labels),
    )
    shown = train.only(tuple(each for each in range(10) if each != 3))
    soft = from_teacher(logits(teacher, shown.images), shown.labels, 20.0, 1.0)
    start = initial((784, 64, 64, 10), source(0, 3))
    by_logits, by_labels = (
        fit(start, shown.images, course, source(0, 2), loss) for loss in (soft, from_labels(shown.labels))
    )
    threes = test.only((3,)).images
    assert len(threes) > 10
    assert accuracy_of(logits(by_labels, threes), 3) < 0.1
    tuned = corrected(logits(by_logits, test.images), test.labels, (3,))
    assert accuracy_of(tuned[test.labels == 3], 3) > 0.8


def test_the_loss_on_soft_targets_is_the_papers_to_1e_5():
    rng = np.random.default_rng(1)
    found, targets = (torch.from_numpy(rng.normal(size=(6, 10)) * 5) for _ in range(2))
    labels, rows = torch.from_numpy(rng.integers(0, 10, 6)), torch.arange(6)
    for temperature, mixture in ((20.0, 1.0), (4.0, 0.3)):
        ours = from_teacher(targets, labels, temperature, mixture)(found, rows)
        naive = 0.0
        for row in range(6):
            wanted = (targets[row] / temperature).exp() / (targets[row] / temperature).exp().sum()
            guessed = (found[row] / temperature).exp() / (found[row] / temperature).exp().sum()
            naive += mixture * temperature**2 * float(-(wanted * guessed.log()).sum()) / 6
            naive += (
                (1 - mixture)
                * float(functional.cross_entropy(found[row : row + 1], labels[row : row + 1]))
                / 6
            )
        assert float(ours) == pytest.approx(naive, abs=1e-5)


def test_the_bias_is_the_one_with_the_fewest_errors():
    rng = np.random.default_rng(2)
    labels = torch.from_numpy(rng.integers(0, 10, 300))
    found = functional.one_hot(labels, 10).double() * 4 + torch.from_numpy(rng.normal(size=(300, 10)))
    found[:, 3] -= 6.0
    raised = corrected(found, labels, (3,))
    assert torch.equal(raised[:, :3], found[:, :3])
    assert float(raised[0, 3] - found[0, 3]) == pytest.approx(6, abs=2.5)
    errors = [
        int(((found + shift * functional.one_hot(torch.tensor(3), 10)).argmax(1) != labels).sum())
        for shift in range(-15, 16)
    ]
    assert int((raised.argmax(1) != labels).sum()) <= min(errors)
