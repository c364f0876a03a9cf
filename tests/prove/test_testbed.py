"""Files that a testbed creates, and limits that it checks before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bench.errors import LabError
from bench.prove.changes import ChangeLog
from bench.prove.inventory import build_inventory
from bench.prove.rewrite import ROOT
from bench.prove.testbed import NginxTestbed, ProofSettings, open_testbed
from bench.subjects.programs import Program
from tests.proving import model


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
def test_files_are_created_below_the_root_only(path: str, files: list[str], tmp_path: Path) -> None:
    (tmp_path / ROOT).mkdir()
    unused = cast(Any, None)
    testbed = NginxTestbed(unused, unused, unused, unused, unused, tmp_path, is_confined=False, ports=1)
    testbed.create_files(path)
    found = sorted(
        str(each.relative_to(tmp_path / ROOT)) for each in (tmp_path / ROOT).rglob("*") if each.is_file()
    )
    assert found == sorted(files)
    assert [each.name for each in tmp_path.iterdir()] == [ROOT]


def test_more_locations_than_files_are_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.experiment.fd_limits.raise_to", lambda most: most - 1)
    found = build_inventory(model("server { location / { proxy_pass http://a; } }"))
    program = Program("nginx", "/nowhere/nginx", "1.22.1")
    with (
        pytest.raises(LabError, match="open files"),
        open_testbed(found, program, ProofSettings("loopback"), ChangeLog()),
    ):
        raise AssertionError("it was opened")


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [("MAX_SERVER_BLOCKS", 1, "1 server {}"), ("MAX_BACKEND_PORTS", 1, "1 ports")],
)
def test_locations_beyond_the_limits_have_an_obstacle(
    limit: str, value: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"bench.prove.inventory.{limit}", value)
    first, second = build_inventory(model("server { location / { proxy_pass http://a; } }" * 2)).locations
    assert first.obstacle is None
    assert second.obstacle is not None
    assert message in second.obstacle
