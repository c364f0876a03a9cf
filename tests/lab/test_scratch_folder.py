"""What a lab has on disk goes with it, and what a dead lab left goes with the next one."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from bench.lab import scratch_folder
from bench.lab.scratch_folder import ScratchFolder

LEFT = "bench-lab-0123456789abcdef"
HOLDER = """
import sys
from pathlib import Path
from bench.lab.scratch_folder import ScratchFolder
(ScratchFolder(Path(sys.argv[1])).make() / "file").touch()
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _fresh_process() -> None:
    """Have the first folder of a test be the first of its process."""
    scratch_folder.remove_stale.cache_clear()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScratchFolder:
    """Return a folder in `tmp_path` that is not there yet."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return ScratchFolder(scratch_folder.new_path())


def test_it_is_there_once_it_is_made_and_gone_once_removed(made: ScratchFolder) -> None:
    assert not made.path.exists()
    assert made.make() == made.make() == made.path
    assert made.path.stat().st_mode & 0o777 == 0o700
    made.remove()
    assert not made.path.exists()


def test_the_next_lab_removes_what_was_killed_with_its_first_process(
    made: ScratchFolder, tmp_path: Path
) -> None:
    left = tmp_path / LEFT
    argv, pipe = [sys.executable, "-c", HOLDER, str(left)], subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"made\n"
        ScratchFolder(scratch_folder.new_path()).make()
        assert (left / "file").exists(), "its owner lives"
        holder.kill()
    scratch_folder.remove_stale.cache_clear()
    made.make()
    assert not left.exists()
    made.remove()


@pytest.mark.parametrize("name", ["bench-0123456789abcdef", f"{LEFT}0", "else"])
def test_what_has_another_name_stays(made: ScratchFolder, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    made.make()
    made.remove()
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_link_and_a_file_of_that_name_stay(made: ScratchFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / LEFT).symlink_to(outside)
    (tmp_path / "bench-lab-fedcba9876543210").touch()
    made.make()
    made.remove()
    assert len(list(tmp_path.iterdir())) == 3


def test_one_that_is_removed_before_it_is_locked_is_made_anew(
    made: ScratchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    removed: list[Path] = []

    def flock_late(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(made.path)
            made.path.rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    assert made.make().is_dir()
    assert removed
    made.remove()
