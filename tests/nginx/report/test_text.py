"""The report as people read it, word for word."""

from __future__ import annotations

import pytest

from nginx.check import check
from nginx.finding import Severity
from nginx.report import rules as rules_report
from nginx.report import text as report
from nginx.rules import CATALOGUE

ARTICLE = """\
upstream app {
    server 10.0.0.1:8080;
}
server {
    proxy_set_header Connection "";
    proxy_http_version 1.1;
    location / {
        proxy_pass http://app;
    }
}
"""


def test_report() -> None:
    examination = check("site.conf", ["1.22.1", "1.31.4"], text=ARTICLE)
    assert report.format_check(examination) == (
        "judged for nginx 1.22.1 and 1.31.4\n"
        "\n"
        "location / -> http://app   site.conf:8\n"
        "  ✗ 1.22.1  not reused: nginx closes first and keeps TIME_WAIT\n"
        '      why  upstream "app" (line 1) has no keepalive\n'
        "  ✓ 1.31.4  reused\n"
        '      why  upstream "app" (line 1) keeps 32 idle connections per worker'
        " (by default since 1.29.7); HTTP/1.1\n"
        "           (line 6); no Connection field is sent (line 5)\n"
        "      fix  add `keepalive 32;` (idle connections per worker) (NK001, line 1) [1.22.1]\n"
        "\n"
        "nginx 1.22.1: of 1 location, 1 not reused\n"
        "nginx 1.31.4: of 1 location, 1 reused\n"
        "an upgrade from 1.22.1 to 1.31.4 repairs 1 of 1 location without reuse\n"
        "1 remark not shown (--show info shows all)\n"
        "assumed: servers are taken to keep idle connections for longer than nginx does (60 s, or its"
        "\n  keepalive_timeout): else a POST, PATCH or LOCK now and then gets a 502; measure their time with"
        " --probe, or\n  give it with --backend-idle\n"
        "assumed: servers are taken to accept more connections than all workers keep: one process or thread"
        " per\n"
        "  connection (Apache prefork, Starman, Puma) needs --backend-max-connections\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", "an upgrade from 1.22.1 to 1.31.4 repairs 1 of 1 location without reuse"),
        (
            "http://app",
            "http://10.0.0.1",
            "an upgrade from 1.22.1 to 1.31.4 repairs none of 1 location without reuse",
        ),
        (
            "http://app",
            "http://$arg_to",
            "an upgrade from 1.22.1 to 1.31.4 repairs none of 1 location without reuse; in 1 it then depends",
        ),
        ("8080;", "8080; keepalive {{ n }};", "an upgrade from 1.22.1 to 1.31.4: in 1 it then depends"),
        (
            "8080;",
            "8080; keepalive 8;",
            "from 1.22.1 to 1.31.4 nothing changes: all connections are reused",
        ),
        ("8080;", "8080; keepalive 8; unknown_line;", "from 1.22.1 to 1.31.4 nothing changes"),
    ],
)
def test_what_an_upgrade_changes(old: str, new: str, expected: str) -> None:
    text = ARTICLE.replace(old, new)
    lines = report.format_check(check("x", ["1.22.1", "1.31.4"], text=text)).splitlines()
    assert expected in lines


def test_lower_severities_are_shown_on_demand() -> None:
    examination = check("x", ["1.31.4"], text=ARTICLE)
    assert "NK016" not in report.format_check(examination)
    assert "NK016" in report.format_check(examination, Severity.INFO)


def test_colours_only_where_they_are_wanted() -> None:
    examination = check("x", ["1.22.1"], text=ARTICLE)
    assert "\x1b[" not in report.format_check(examination)
    assert "\x1b[31m" in report.format_check(examination, colorize=report.Colorizer(in_colour=True))


def test_a_file_without_pass_locations_says_so() -> None:
    assert "no pass location here" in report.format_check(check("x", ["1.22.1"], text="server {}"))


@pytest.mark.parametrize("rule_id", CATALOGUE)
def test_explanation(rule_id: str) -> None:
    text = rules_report.format_rule(CATALOGUE[rule_id])
    assert text.startswith(f"{rule_id} {CATALOGUE[rule_id].name}")
    assert ("Not flagged" in text) == (rule_id != "NK046")
    assert ("Proven by nginx" in text) == (not CATALOGUE[rule_id].unproven)


NAMES = ("a.example", "a-rather-long-name.of-a-server.example", "x" * 70)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [60, 80, 110])
def test_a_report_fits_its_width(name: str, width: int) -> None:
    text = ARTICLE.replace("location /", "listen 80; server_name " + name + "; location /some/path/")
    shown = report.format_check(check("x", ["1.22.1", "1.31.4"], text=text), Severity.INFO, width=width)
    assert max(map(len, shown.splitlines())) <= max(width, len(f"{name}:80 location /some/path/"))
    assert "-> http://app" in shown
