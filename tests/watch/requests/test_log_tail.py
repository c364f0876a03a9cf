"""A log that is followed: from its end, by whole lines, over rotation, truncation and floods."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.watch.requests import log_tail
from bench.watch.requests.log_tail import LogTail
from bench.watch.requests.source import SourceError
from tests import needs


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with a line in it."""
    path = tmp_path / "access.log"
    path.write_text("before\n")
    return path


@pytest.fixture
def tail(log: Path) -> Iterator[LogTail]:
    """Return a tail at the end of that log."""
    opened = LogTail(log)
    yield opened
    opened.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def read(tail: LogTail) -> str:
    text, notes = tail.read()
    assert notes == ()
    return text.decode()


def test_it_begins_at_the_end(log: Path, tail: LogTail) -> None:
    assert read(tail) == ""
    append(log, "one\ntwo\n")
    assert read(tail) == "one\ntwo\n"
    assert read(tail) == ""


def test_half_a_line_waits_for_its_end(log: Path, tail: LogTail) -> None:
    append(log, "one\ntw")
    assert read(tail) == "one\n"
    append(log, "o")
    assert read(tail) == ""
    append(log, "\nthree\n")
    assert read(tail) == "two\nthree\n"


def test_what_ends_a_line_that_had_begun_before_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("begun bef")
    tail = LogTail(path)
    append(path, "ore")
    assert read(tail) == ""
    append(path, "hand\none\n")
    assert read(tail) == "one\n"
    tail.close()


def test_rotation_loses_nothing(log: Path, tail: LogTail) -> None:
    append(log, "one\n")
    log.rename(log.with_suffix(".1"))
    append(log.with_suffix(".1"), "two\n")  # nginx has not opened the new one yet
    assert read(tail) == "one\ntwo\n"
    log.write_text("three\n")
    append(log.with_suffix(".1"), "late\n")  # a worker opens it a little later than another
    assert read(tail) == "late\nthree\n"
    append(log.with_suffix(".1"), "later\n")
    assert read(tail) == "later\n"
    append(log, "four\n")
    assert read(tail) == "four\n"


def test_a_rotated_file_is_closed_when_nothing_comes_any_more(log: Path, tail: LogTail) -> None:
    log.rename(log.with_suffix(".1"))
    log.write_text("one\n")
    before = open_files()
    assert read(tail) == "one\n"
    for _ in range(3):
        read(tail)
    assert open_files() == before
    append(log, "two\n")
    assert read(tail) == "two\n"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


def test_a_rotation_at_each_look_holds_few_files(log: Path, tail: LogTail) -> None:
    before = open_files()
    for number in range(20):
        log.rename(log.with_suffix(f".{number}"))
        log.write_text(f"{number}\n")
        assert read(tail).endswith(f"{number}\n")
        for old in range(number):
            append(log.with_suffix(f".{old}"), "late\n")  # so that none of them falls silent
    assert open_files() <= before + 4


def test_truncation_begins_anew_and_is_told(log: Path, tail: LogTail) -> None:
    append(log, "one\nha")
    assert read(tail) == "one\n"
    os.truncate(log, 0)
    append(log, "two\n")
    text, notes = tail.read()
    assert text == b"two\n"
    assert notes == (f"{log} was truncated: what was written between the last look and then is missing",)


def test_what_grows_too_fast_is_skipped_and_told(
    log: Path, tail: LogTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tail, "MOST_BYTES", 12)
    append(log, "first\nsecond\nthird\nfourth\n")
    text, notes = tail.read()
    assert text == b"fourth\n"
    assert notes == (f"{log} grows faster than it is read: 14 bytes of it are missing",)
    append(log, "fifth\n")
    assert read(tail) == "fifth\n"


def test_a_line_without_an_end_takes_no_memory(
    log: Path, tail: LogTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tail, "LONGEST_LINE_BYTES", 1024)
    append(log, "x" * 2000)
    assert tail.read() == (b"", (f"{log} has a line of more than 1 KiB, which is left out",))
    append(log, "xxx\none\n")
    assert read(tail) == "one\n"


def test_a_log_that_is_gone_is_waited_for(log: Path, tail: LogTail) -> None:
    log.unlink()
    assert read(tail) == ""
    log.write_text("one\n")
    assert read(tail) == "one\n"


@needs.unless(os.geteuid() != 0, "an ordinary user", "root may read everything")
def test_a_new_file_that_may_not_be_read_is_told(log: Path, tail: LogTail) -> None:
    log.rename(log.with_suffix(".1"))
    log.write_text("one\n")
    log.chmod(0)
    assert tail.read() == (b"", (f"{log} has a new file, which cannot be read: Permission denied",))


@needs.unless(os.geteuid() != 0, "an ordinary user", "root may read everything")
def test_a_file_that_may_not_be_read(log: Path) -> None:
    log.chmod(0)
    with pytest.raises(SourceError, match="Permission denied; run as root, or as a member of the group"):
        LogTail(log)


def test_what_is_no_log(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reasons = {
        tmp_path / "missing": "No such file or directory; name the file of an access_log",
        tmp_path: "Is a directory",
        pipe: "it is a named pipe",
        Path("/dev/null"): "it is a device",
    }
    for path, reason in reasons.items():
        with pytest.raises(SourceError, match=reason):
            LogTail(path)
