"""Whatever a path names, reading it ends: with the bytes, or with an error that says what it is."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nginx import files


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


MADE: tuple[tuple[str, Callable[[Path], object], str], ...] = (
    ("pipe", os.mkfifo, "it is a named pipe"),
    ("socket", bind, "it is a socket"),
    ("folder", lambda path: path.mkdir(), "Is a directory"),
    ("loop", lambda path: path.symlink_to(path.name), "symbolic links"),
    ("zero", lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    ("terminal", lambda path: path.symlink_to("/dev/tty"), "it is a device"),
    ("nothing", lambda path: None, "No such file"),
)


@pytest.mark.parametrize(("name", "make", "said"), MADE, ids=[name for name, *_ in MADE])
def test_what_is_no_file_is_refused_by_its_kind(
    name: str, make: Callable[[Path], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PIPE_PATIENCE_S", 0.0)
    make(tmp_path / name)
    with pytest.raises(OSError, match=said):
        files.open_file(tmp_path / name).close()
    with pytest.raises(OSError, match="it is a pipe, and nothing came" if name == "pipe" else said):
        files.read_bytes(tmp_path / name, 10)


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert files.read_bytes(tmp_path / "a", 10) == b"0123456789"
    with files.open_file(tmp_path / "a") as opened:
        assert opened.read() == b"0123456789"
    with pytest.raises(OSError, match="it is larger than 9 bytes"):
        files.read_bytes(tmp_path / "a", 9)


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        os.write(writing, b"first ")
        os.write(writing, b"x" * 100_000)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert files.read_bytes(Path(f"/dev/fd/{reading}"), 1 << 20) == b"first " + b"x" * 100_000
    finally:
        writer.join()
        os.close(reading)
