"""What is put into the scratch folder, and what never is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bench.errors import LabError
from bench.prove.changes import Ledger
from bench.prove.inventory import scene
from bench.prove.rewrite import ROOT
from bench.prove.testbed import Setting, Stage, staged
from bench.subjects.programs import Program
from prove.configurations import model


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


def test_more_locations_than_files_are_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.experiment.fd_limits.raise_to", lambda most: most - 1)
    found = scene(model("server { location / { proxy_pass http://a; } }"))
    program = Program("nginx", "/nowhere/nginx", "1.22.1")
    with pytest.raises(LabError, match="open files"), staged(found, program, Setting("loopback"), Ledger()):
        raise AssertionError("it was staged")


@pytest.mark.parametrize(
    ("limit", "value", "said"), [("MOST_SITES", 1, "1 server {}"), ("MOST_ADDRESSES", 1, "1 ports")]
)
def test_what_is_beyond_the_ports_says_so(
    limit: str, value: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"bench.prove.inventory.{limit}", value)
    first, second = scene(model("server { location / { proxy_pass http://a; } }" * 2)).spots
    assert first.obstacle is None
    assert second.obstacle is not None
    assert said in second.obstacle
