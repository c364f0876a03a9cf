"""What an nginx program knows, compared with what `nginx -t` accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx import tree
from nginx.known_directives import KnownDirectives
from tests import needs
from tests.nginx import real

PROGRAMS = real.programs()


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize(
    "line", ["keepalive_timeout 60s;", "proxy_http_version 1.1;", "proxy_httpversion 1.1;", "early_hints 1;"]
)
def test_it_knows_what_the_program_takes(version: str, line: str, tmp_path: Path) -> None:
    known = KnownDirectives.of(Path(PROGRAMS[version]), version)
    assert known is not None
    refusal = real.refusal(PROGRAMS[version], tmp_path, f"events {{}}\nhttp {{ server {{ {line} }} }}") or ""
    assert known.knows(line.split(maxsplit=1)[0]) == ("unknown directive" not in refusal)


def test_data_are_no_directives() -> None:
    text = "map $a $b { x y; } types { a/b c; } server { x y; if ($a) { y z; } }"
    known = KnownDirectives("1.22.1", (b"map\0types\0server\0if\0",))
    assert [each.name for each in known.unknown(tree.parse(text, "x").directives)] == ["x", "y"]


def test_a_program_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    assert KnownDirectives.of(tmp_path / "bin" / "nginx", "1.22.1") is None
