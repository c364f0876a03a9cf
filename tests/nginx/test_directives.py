"""What an nginx program knows, held against what it says itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import needs
from nginx import tree
from nginx.directives import Known
from tests.nginx import real

PROGRAMS = real.programs()


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize(
    "line", ["keepalive_timeout 60s;", "proxy_http_version 1.1;", "proxy_httpversion 1.1;", "early_hints 1;"]
)
def test_it_knows_what_the_program_takes(version: str, line: str, tmp_path: Path) -> None:
    known = Known.of(Path(PROGRAMS[version]), version)
    assert known is not None
    said = real.is_refused(PROGRAMS[version], tmp_path, f"events {{}}\nhttp {{ server {{ {line} }} }}") or ""
    assert known.knows(line.split(maxsplit=1)[0]) == ("unknown directive" not in said)


def test_data_are_no_directives() -> None:
    text = "map $a $b { x y; } types { a/b c; } server { x y; if ($a) { y z; } }"
    known = Known("1.22.1", (b"map\0types\0server\0if\0",))
    assert [each.name for each in known.unknown(tree.read(text, "x").directives)] == ["x", "y"]


def test_a_program_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    assert Known.of(tmp_path / "bin" / "nginx", "1.22.1") is None
