"""The files of a configuration that runs: as nginx finds them, and those missing or newer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.observe.rooted_files import FileReader, RootedFiles
from bench.watch.nginx_here.running_files import read_running_files
from tests import needs

pytestmark = needs.on_linux
MAIN = "/opt/web/conf/nginx.conf"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a main file and some others."""
    tmp_path.chmod(0o755)
    texts = {
        MAIN: "http {\n  include mime.types;\n  include sites/*.conf;\n  include /srv/more.conf;\n}\n",
        "/opt/web/conf/mime.types": "types { }\n",
        "/opt/web/conf/sites/b.conf": "server { listen 2; include parts/p.conf; }\n",
        "/opt/web/conf/sites/a.conf": "server { listen 1; }\n",
        "/opt/web/conf/parts/p.conf": "location / { proxy_pass http://10.0.0.1; }\n",
        "/srv/more.conf": "upstream app { server 10.0.0.2; }\n",
        # What nginx of another prefix would find.
        "/etc/nginx/mime.types": "nonsense",
        "/etc/nginx/sites/z.conf": "nonsense",
    }
    for path, text in texts.items():
        file = tmp_path / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


@pytest.fixture
def files(root: Path) -> Iterator[RootedFiles]:
    """Return that root, opened."""
    opened = RootedFiles(root, FileReader(0, frozenset()))
    yield opened
    opened.close()


def test_includes_begin_in_the_folder_of_the_main_file(files: RootedFiles) -> None:
    found = read_running_files(files, MAIN)
    assert list(found.texts) == [
        MAIN,
        "/opt/web/conf/mime.types",
        "/opt/web/conf/sites/a.conf",
        "/opt/web/conf/sites/b.conf",
        "/opt/web/conf/parts/p.conf",
        "/srv/more.conf",
    ]
    assert found.unread == {}


def test_what_is_missing_is_named_with_the_reason(root: Path, files: RootedFiles) -> None:
    (root / "srv/more.conf").unlink()
    (root / "opt/web/conf/mime.types").write_bytes(b"types {\0}")
    found = read_running_files(files, MAIN)
    assert found.unread == {
        "/opt/web/conf/mime.types": "holds a NUL byte; a binary file, not a configuration",
        "/srv/more.conf": "cannot be read: No such file or directory",
    }
    assert "/opt/web/conf/sites/a.conf" in found.texts


def test_a_folder_that_may_not_be_read_is_no_empty_one(root: Path) -> None:
    (root / "opt/web/conf/sites").chmod(0o711)
    files = RootedFiles(root, FileReader(12345, frozenset()))
    found = read_running_files(files, MAIN)
    assert found.unread == {"/opt/web/conf/sites/*.conf": "cannot be read: Permission denied"}
    files.close()


def test_a_main_file_that_is_gone(files: RootedFiles) -> None:
    found = read_running_files(files, "/gone.conf")
    assert found.texts == {}
    assert found.unread == {"/gone.conf": "cannot be read: No such file or directory"}


def test_files_that_include_each_other_end(root: Path, files: RootedFiles) -> None:
    (root / "srv/more.conf").write_text(f"include {MAIN};\ninclude /srv/more.conf;\n")
    assert len(read_running_files(files, MAIN).texts) == 6


def test_what_changed_since(root: Path, files: RootedFiles) -> None:
    found = read_running_files(files, MAIN)
    newest_s = max(found.changed_at_s.values())
    assert found.changed_since(newest_s) == []
    assert len(found.changed_since(0)) == 6
    later = newest_s + 100
    os.utime(root / "opt/web/conf/sites/a.conf", (later, later))
    assert read_running_files(files, MAIN).changed_since(newest_s + 50) == ["/opt/web/conf/sites/a.conf"]
    # A file of an old date that has just been put there is newer too.
    os.utime(root / "srv/more.conf", (1, 1))
    assert read_running_files(files, MAIN).changed_at_s["/srv/more.conf"] >= newest_s
