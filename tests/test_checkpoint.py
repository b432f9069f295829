"""A checkpoint and a state that do not belong together, or are not of one time, are refused before anything is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stillwatch.checkpoint import bind, is_known
from stillwatch.keys import Keys
from stillwatch.state import State, StateError
from tests.scans import TEST_KEY, fails

SOURCE = "/logs"
PARTS = ["a.parquet", "b.parquet"]


@contextmanager
def stream(folder: Path, key: bytes = TEST_KEY, source: str = SOURCE) -> Iterator[State]:
    """A state that is bound to its checkpoint."""
    with State(folder / "state", Keys(local=key), 8, "1GB") as state:
        bind(folder / "checkpoint", state, source)
        yield state


def take(state: State, number: int, parts: list[str] = PARTS) -> bool:
    """Take in an empty batch; whether it was new."""
    new = is_known(state, number, parts)
    if new is not None:
        assert state.add(new, (), 0, 0, None, lambda _: ()) == 0
    return new is not None


def begin(checkpoint: Path) -> None:
    """Leave what Spark leaves when it begins a batch."""
    (checkpoint / "offsets").mkdir()
    (checkpoint / "offsets" / "0").touch()


def test_a_stream_is_gone_on_with_and_a_batch_that_comes_again_is_known(tmp_path: Path) -> None:
    with stream(tmp_path) as state:
        begin(tmp_path / "checkpoint")
        assert take(state, 0)
    with stream(tmp_path) as state:
        assert not take(state, 0)
        assert take(state, 1)
        assert not take(state, 1)
        assert state.streamed is not None
        assert state.streamed.batch == 1
        assert not state.increments, "there was nothing in them"


def test_a_run_that_ends_before_the_first_batch_can_be_repeated(tmp_path: Path) -> None:
    with State(tmp_path / "state", Keys(local=TEST_KEY), 8, "1GB"):
        pass
    with stream(tmp_path):
        pass
    shutil.rmtree(tmp_path / "state")
    with stream(tmp_path) as state:
        assert take(state, 0)


def test_another_checkpoint_than_its_own_is_refused(tmp_path: Path) -> None:
    with stream(tmp_path), stream(tmp_path / "other"):
        pass
    shutil.rmtree(tmp_path / "checkpoint")
    with (
        pytest.raises(StateError, match="the state follows a stream, and "),
        stream(tmp_path),
    ):
        pass
    assert not (tmp_path / "checkpoint").exists()
    shutil.copytree(tmp_path / "other" / "checkpoint", tmp_path / "checkpoint")
    with pytest.raises(StateError, match="are of two streams"), stream(tmp_path):
        pass


def test_another_state_than_its_own_is_refused(tmp_path: Path) -> None:
    with stream(tmp_path) as state:
        begin(tmp_path / "checkpoint")
        take(state, 0)
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(StateError, match="belongs to a state that is not the one given"), stream(tmp_path):
        pass


def test_another_source_and_another_key_are_refused(tmp_path: Path) -> None:
    with stream(tmp_path):
        pass
    with (
        pytest.raises(
            StateError, match=r"is the checkpoint of another source \(/logs, this run reads kafka:t\)"
        ),
        stream(tmp_path, source="kafka:t"),
    ):
        pass
    with pytest.raises(StateError, match="was made with another key"), stream(tmp_path, key=b"k" * 32):
        pass


def test_a_copy_of_another_time_is_refused(tmp_path: Path) -> None:
    with stream(tmp_path) as state:
        for number in range(3):
            take(state, number)
        with pytest.raises(StateError, match="the checkpoint is older than the state"):
            take(state, 1)
        with pytest.raises(StateError, match="the checkpoint is older than the state"):
            take(state, 2, ["c.parquet"])
        with pytest.raises(StateError, match="the state is older than the checkpoint"):
            take(state, 4)


def test_a_folder_of_other_files_and_a_damaged_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "mine").touch()
    with pytest.raises(StateError, match=r"holds other files and no stillwatch\.json"), stream(tmp_path):
        pass
    (tmp_path / "checkpoint" / "stillwatch.json").write_text("{")
    with pytest.raises(StateError, match="cannot be read or is damaged"), stream(tmp_path):
        pass


FOLDERS = ("--state", "state", "--checkpoint", "checkpoint", "--out", "out")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("log", "--state", "log/state", *FOLDERS[2:]),
            "log/state lies in the folder of the log; name another one with",
        ),
        (
            ("log", *FOLDERS[:4], "--out", "state"),
            "lies in the folder of --out; name another one with --state",
        ),
        (("nowhere", *FOLDERS), "nowhere is no folder. A stream reads the files that are put into one"),
        (("log", *FOLDERS, "--format", "csv"), "there is no such format; there are auto, anthropic"),
    ],
)
def test_what_cannot_go_together_is_told_before_spark_is_started(
    given: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").mkdir()
    monkeypatch.chdir(tmp_path)
    assert said in fails("stream", *given, folder=tmp_path, before=without("nothing"))
    assert not (tmp_path / "state").exists()


def test_without_the_extras_it_is_told_what_to_install(tmp_path: Path) -> None:
    said = fails("stream", tmp_path / "log", *placed(tmp_path), folder=tmp_path, before=without("pyspark"))
    assert "a stream takes Spark; install it with pip install 'stillwatch[spark]'" in said
    said = fails(
        "stream",
        "--kafka",
        "127.0.0.1:1",
        *placed(tmp_path),
        folder=tmp_path,
        before=without("confluent_kafka"),
    )
    assert "a topic takes confluent-kafka; install it with pip install 'stillwatch[spark,kafka]'" in said


def placed(folder: Path) -> tuple[str | Path, ...]:
    return tuple(word if word.startswith("--") else folder / word for word in FOLDERS)


def without(module: str) -> str:
    """Python that makes one package look as if it were not installed, and Spark as if it were."""
    return (
        "from importlib import util; find = util.find_spec; "
        f"util.find_spec = lambda name, *more: None if name == {module!r} else find(name, *more) or name"
    )
