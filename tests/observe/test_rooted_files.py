"""Files below a root: links stay inside, rights are those of the process, patterns are glob(3)'s."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.observe.rooted_files import FileReader, RootedFiles
from tests import needs

pytestmark = needs.on_linux
ROOT = FileReader(0, frozenset({0}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with some files, beside a file outside of it."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "etc/nginx/sites").mkdir(parents=True)
    (root / "etc/nginx/nginx.conf").write_text("main")
    for name in ("b.conf", "a.conf", ".hidden.conf", "a.txt"):
        (root / "etc/nginx/sites" / name).write_text(name)
    return root


@pytest.fixture
def files(root: Path) -> Iterator[RootedFiles]:
    """Return that root, opened for one who may read everything."""
    opened = RootedFiles(root, ROOT)
    yield opened
    opened.close()


def read(files: RootedFiles, path: str) -> str:
    return files.read(path, 1000)[0].decode()


LINKS = {
    "/etc/nginx/nginx.conf": "main",
    "/etc/../etc/./nginx//nginx.conf": "main",
    "nginx.conf": "main",
    "../nginx/nginx.conf": "main",
    # What leads out of the root ends at the root.
    "/../../../etc/nginx/nginx.conf": "main",
    "../../../../../etc/nginx/nginx.conf": "main",
}


@pytest.mark.parametrize(("target", "text"), LINKS.items())
def test_links_are_followed_below_the_root(root: Path, files: RootedFiles, target: str, text: str) -> None:
    (root / "etc/nginx/link").symlink_to(target)
    assert read(files, "/etc/nginx/link") == text


def test_a_link_to_a_folder_is_the_folder(root: Path, files: RootedFiles) -> None:
    (root / "current").symlink_to("/etc/nginx")
    (root / "etc/live").symlink_to("../current")
    assert read(files, "/etc/live/sites/a.conf") == "a.conf"
    assert read(files, "/etc/live/../nginx/nginx.conf") == "main"


@pytest.mark.parametrize("target", ["{outside}/secret", "../../../secret", "/../secret"])
def test_no_link_leads_outside(root: Path, files: RootedFiles, target: str) -> None:
    (root / "etc/nginx/link").symlink_to(target.format(outside=root.parent))
    with pytest.raises(FileNotFoundError):
        files.read("/etc/nginx/link", 1000)
    with pytest.raises(FileNotFoundError):
        files.read(target.format(outside=root.parent), 1000)


def test_links_without_an_end(root: Path, files: RootedFiles) -> None:
    (root / "one").symlink_to("/two")
    (root / "two").symlink_to("/one")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        files.read("/one", 1000)


def test_what_is_no_file(root: Path, files: RootedFiles) -> None:
    os.mkfifo(root / "pipe")
    for path in ("/pipe", "/etc", "/"):
        with pytest.raises(OSError, match="it is no regular file"):
            files.read(path, 1000)
    with pytest.raises(NotADirectoryError):
        files.read("/etc/nginx/nginx.conf/x", 1000)
    with pytest.raises(OSError, match="it is larger than 0 MiB"):
        files.read("/etc/nginx/nginx.conf", 3)


PATTERNS = {
    "/etc/nginx/sites/*.conf": ["/etc/nginx/sites/a.conf", "/etc/nginx/sites/b.conf"],
    "/etc/nginx/sites/.*": ["/etc/nginx/sites/.hidden.conf"],
    "/etc/nginx/sites/[ab].*": [f"/etc/nginx/sites/{name}" for name in ("a.conf", "a.txt", "b.conf")],
    "/*/nginx/s*/?.txt": ["/etc/nginx/sites/a.txt"],
    "/etc/nginx/nginx.conf": ["/etc/nginx/nginx.conf"],
    "/etc/*/missing.conf": [],
    "/missing/*.conf": [],
    "/etc/nginx/nginx.conf/*": [],
}


@pytest.mark.parametrize(("pattern", "paths"), PATTERNS.items())
def test_patterns(files: RootedFiles, pattern: str, paths: list[str]) -> None:
    assert files.matches(pattern) == paths


MODES = [
    # Who reads, the mode of a file whose owner is this user and group, whether that is allowed.
    (FileReader(0, frozenset()), 0o000, True),
    (FileReader(os.getuid() or 1, frozenset()), 0o004, os.getuid() == 0),
    (FileReader(12345, frozenset({12345})), 0o004, True),
    (FileReader(12345, frozenset({12345})), 0o660, False),
    (FileReader(12345, frozenset({os.getgid()})), 0o640, True),
    (FileReader(12345, frozenset({os.getgid()})), 0o604, False),
]


@pytest.mark.parametrize(("reader", "mode", "is_allowed"), MODES)
def test_the_rights_are_those_of_the_process(
    root: Path, reader: FileReader, mode: int, is_allowed: bool
) -> None:
    path = root / "etc/nginx/nginx.conf"
    path.chmod(mode)
    assert reader.may(4, path.stat()) is is_allowed


def test_a_file_that_the_process_may_not_read_is_not_read(root: Path) -> None:
    path = root / "etc/nginx/nginx.conf"
    files = RootedFiles(root, FileReader(12345, frozenset({12345})))
    assert read(files, "/etc/nginx/nginx.conf") == "main"
    path.chmod(0o600)
    with pytest.raises(PermissionError):
        files.read("/etc/nginx/nginx.conf", 1000)
    path.chmod(0o644)
    (root / "etc/nginx").chmod(0o700)
    with pytest.raises(PermissionError):
        files.read("/etc/nginx/nginx.conf", 1000)
    with pytest.raises(PermissionError):
        files.matches("/etc/nginx/*")
    files.close()


def test_the_reader_of_this_process() -> None:
    reader = FileReader.of_process(os.getpid())
    assert reader.uid == os.geteuid()
    assert reader.gids == {os.getegid(), *os.getgroups()}


def test_nothing_stays_open(files: RootedFiles, root: Path) -> None:
    (root / "link").symlink_to("/etc/nginx/sites/../nginx.conf")
    before = len(os.listdir("/proc/self/fd"))
    read(files, "/link")
    files.matches("/etc/*/*/*.conf")
    with pytest.raises(FileNotFoundError):
        files.read("/etc/nginx/missing/x", 1000)
    assert len(os.listdir("/proc/self/fd")) == before
