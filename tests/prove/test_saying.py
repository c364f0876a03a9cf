"""What an nginx says to a copy of a configuration, without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench_process
from bench.prove.saying import said
from nginx import check
from prove.configurations import model
from proving import here, needs_nginx

pytestmark = needs_nginx
every_version = pytest.mark.parametrize("version", here())
SITE = (
    "server {\n  listen 192.0.2.1:80;\n  access_log /nowhere/log;\n  location / {\n    proxy_pass http://a;\n"
)


@every_version
def test_what_it_takes_it_says_nothing_to(version: str) -> None:
    assert said(model(f"{SITE} }} }}"), here()[version]) is None


@every_version
@pytest.mark.parametrize(
    ("lines", "words", "line"),
    [
        ("proxy_buffering maybe;", 'invalid value "maybe"', 6),
        ("proxy_read_timeout soon;", '"proxy_read_timeout" directive invalid value', 6),
        ("rewrite ^/( /x;", "pcre", 6),
    ],
)
def test_what_it_refuses_is_told_with_the_users_line(lines: str, words: str, line: int, version: str) -> None:
    refusal = said(model(f"{SITE}{lines}\n }} }}"), here()[version])
    assert refusal is not None
    assert words in refusal.words
    assert refusal.place is not None
    assert (refusal.place.file, refusal.place.line) == ("x", line)


@every_version
def test_check_asks_where_it_is_told_to(version: str, tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(f"{SITE}proxy_buffering maybe;\n }} }}")
    assert 'invalid value "maybe"' not in bench_process.run("check", path).stdout
    done = bench_process.run("check", path, "--severity", "error", "--ask", here()[version].path)
    assert '[emerg] invalid value "maybe"' in " ".join(done.stdout.split())
    assert f"nginx {version} -t" in " ".join(done.stdout.split())
    assert done.returncode == 1


def test_a_folder_is_asked_about_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("events {}\nhttp {\n include conf.d/*.conf;\n}\n")
    (tmp_path / "conf.d/pool.conf").write_text("upstream a { server b; keepalive 4; }\n")
    (tmp_path / "conf.d/site.conf").write_text(f"{SITE} }} }}")
    found = list(check.load_models(tmp_path))
    assert len(found) == 1
    assert said(found[0], next(iter(here().values()))) is None


def test_standard_input_is_not_asked_about() -> None:
    done = bench_process.run("check", "-", "--ask", next(iter(here().values())).path)
    assert (done.returncode, "standard input is read once" in done.stderr) == (2, True)
