"""What is put into the scratch folder, and what never is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bench.prove.rewrite import ROOT
from bench.prove.stage import Stage


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("/index.php", ["index.php"]),
        ("/a/b/index.php?x=/y", ["a/b/index.php", "index.php"]),
        ("/a%20b", ["a b"]),
        ("/../../outside", []),
        ("/a/../../outside", []),
        ("/%2e%2e/outside", []),
        ("//etc/passwd", ["etc/passwd", "passwd"]),
        ("/", []),
        ("/a%00b", []),
        ("/" + "a" * 300, []),
    ],
)
def test_files_lie_below_the_root_only(path: str, files: list[str], tmp_path: Path) -> None:
    (tmp_path / ROOT).mkdir()
    stage = Stage(*cast(Any, [None] * 5), tmp_path, confined=False)
    stage.furnish(path)
    found = sorted(
        str(each.relative_to(tmp_path / ROOT)) for each in (tmp_path / ROOT).rglob("*") if each.is_file()
    )
    assert found == sorted(files)
    assert [each.name for each in tmp_path.iterdir()] == [ROOT]
