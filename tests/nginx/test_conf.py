"""The templates of nginx/conf: each is judged as its comments say, loads, and behaves so under traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

import nginx
from bench.prove import runner
from bench.prove.testbed import ProofSettings
from nginx import versions
from nginx.check import check, load_model
from nginx.finding import Severity
from nginx.rules import CheckSettings
from tests import needs
from tests.nginx import real
from tests.proving import every_version, needs_nginx, nginx_programs

CONF = Path(nginx.__file__).parent / "conf"
PROGRAMS = real.programs()
R, N = "reused", "not reused"

# Verdicts before and since 1.29.7, and who closes first where nothing is reused.
TABLE = {
    "article.conf": (N, R, "nginx"),
    "dns.conf": ("depends", R, None),  # `resolve` is refused before 1.27.3
    "fastcgi.conf": (R, R, None),
    "grpc.conf": (R, R, None),
    "keepalive-since-1.29.7.conf": (N, R, "race"),
    "keepalive.conf": (R, R, None),
    "short-nginx-closes.conf": (N, N, "nginx"),
    "short.conf": (N, N, "race"),
    "tls.conf": (R, R, None),
    "websocket.conf": (R, R, None),
}


def test_every_template_is_in_the_table() -> None:
    assert sorted(path.name for path in CONF.glob("*.conf")) == sorted(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_verdicts(name: str) -> None:
    before, since, closes_first = TABLE[name]
    (location,) = check(CONF / name, ["1.22.1", "1.31.4"]).locations
    old, new = location.verdicts["1.22.1"], location.verdicts["1.31.4"]
    assert (old.answer, new.answer) == (before, since)
    assert old.closes_first == closes_first


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[:2] == (R, R)])
def test_what_people_should_copy_has_no_grave_finding(name: str) -> None:
    since = "1.27.3" if name == "dns.conf" else "1.15.3"
    # What no file can say of an application with a process for each connection.
    is_known = name == "fastcgi.conf"
    settings = CheckSettings(workers=4, backend_max_connections=64) if is_known else CheckSettings()
    for version in (since, "1.29.6", "1.29.7", "1.31.4"):
        worst = check(CONF / name, [version], settings=settings).worst()
        assert worst is None or worst < Severity.MEDIUM


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("name", TABLE)
def test_nginx_accepts_it(name: str, version: str, tmp_path: Path) -> None:
    refusal = real.refusal(PROGRAMS[version], tmp_path, real.without_root(CONF / name, tmp_path))
    if name == "dns.conf" and versions.parse(version) < versions.RESOLVE:
        assert refusal is not None
        assert 'invalid parameter "resolve"' in refusal
    else:
        assert refusal is None


@needs_nginx
@every_version
@pytest.mark.parametrize("name", TABLE)
def test_traffic(name: str, version: str) -> None:
    """Each protocol and TLS included: what the comments say is what connections do."""
    before, since, closes_first = TABLE[name]
    found = runner.prove(load_model(CONF / name), nginx_programs()[version], ProofSettings(lab="loopback"))
    if name == "dns.conf" and versions.parse(version) < versions.RESOLVE:
        assert 'invalid parameter "resolve"' in str(found.rejection)
        return
    assert found.is_sound
    (result,) = found.results
    assert result.measured is not None
    expected = since if versions.parse(version) >= versions.POOL_BY_DEFAULT else before
    assert result.measured.verdict == expected
    if expected == N and closes_first == "nginx":
        assert result.measured.closed_first["backend"] == 0
