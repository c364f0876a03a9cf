"""The config test of an nginx: what it does not know is left out, what it rejects is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.prove.changes import ChangeLog, Rejection
from bench.prove.nginx_process import ConfigTest, adapt_config, run_config_test
from nginx import check, tree, versions
from nginx.serializer import SerializedConfig
from nginx.variables import Definitions
from tests import bench_process, command_line
from tests.proving import any_nginx, every_version, model, needs_nginx, nginx_programs

TEXT = """http {
    gzip_static on;
    upstream app { keepalive 4; server a; }
    server { location / { gzip_static off; add_header X $geoip_org; } }
}"""
PREFIX = "2026/11/25 10:00:00 [emerg] 7#7: "
SITE = (
    "server {\n  listen 192.0.2.1:80;\n  access_log /nowhere/log;\n  location / {\n    proxy_pass http://a;\n"
)


def adapted(
    config_test: ConfigTest, *, is_whole: bool = True, log: ChangeLog | None = None
) -> SerializedConfig | Rejection:
    lines = tree.parse(TEXT, "mine.conf").directives
    found = Definitions(is_whole=is_whole)
    log = ChangeLog() if log is None else log
    return adapt_config(lines, config_test, found, log, version=versions.parse("1.2.3"))


def error_while(word: str, error: str) -> Callable[[str], str | None]:
    return lambda text: PREFIX + error if word in text else None


def test_what_is_accepted_stays() -> None:
    text = adapted(lambda _text: None)
    assert isinstance(text, SerializedConfig)
    assert "gzip_static on;" in text.text


def test_unknown_directives_are_left_out_everywhere_and_recorded() -> None:
    log = ChangeLog()
    error = 'unknown directive "gzip_static" in /scratch/nginx.conf:2'
    text = adapted(error_while("gzip_static", error), log=log)
    assert isinstance(text, SerializedConfig)
    assert "gzip_static" not in text.text
    (change,) = log.changes
    assert (change.kind, change.what, change.why) == (
        "left out",
        "gzip_static",
        "nginx 1.2.3 does not know it",
    )
    assert [place.line for place in change.places] == [2, 4]


def test_what_affects_reuse_is_never_left_out() -> None:
    found = adapted(error_while("keepalive", 'unknown directive "keepalive" in /scratch/nginx.conf:4'))
    assert isinstance(found, Rejection)
    assert str(found) == 'mine.conf:3: unknown directive "keepalive"'


@pytest.mark.parametrize(("variable", "is_whole"), [("geoip_org", True), ("of_a_module", False)])
def test_variables_whose_definition_is_missing_are_empty(variable: str, is_whole: bool) -> None:
    log = ChangeLog()

    def config_test(text: str) -> str | None:
        return None if f'map "" ${variable} {{' in text else f'{PREFIX}unknown "{variable}" variable'

    text = adapted(config_test, is_whole=is_whole, log=log)
    assert isinstance(text, SerializedConfig)
    assert [(change.kind, change.what) for change in log.changes] == [("added", f"${variable}")]


def test_an_undefined_variable_is_rejected() -> None:
    found = adapted(lambda _text: f'{PREFIX}unknown "undefined" variable')
    assert found == Rejection('unknown "undefined" variable', None)


@pytest.mark.parametrize(
    ("error", "message", "line"),
    [
        (f'{PREFIX}invalid value "x" in /scratch/nginx.conf:5', 'invalid value "x"', 3),
        ('nginx: [emerg] "x" directive is duplicate in /s/nginx.conf:9', '"x" directive is duplicate', 4),
        (f"{PREFIX}could not build server_names_hash", "could not build server_names_hash", None),
        ("Segmentation fault", "Segmentation fault", None),
    ],
)
def test_a_rejection_names_the_users_line(error: str, message: str, line: int | None) -> None:
    found = adapted(lambda _text: error)
    assert isinstance(found, Rejection)
    assert (found.message, found.place and found.place.line) == (message, line)


def test_attempts_are_limited() -> None:
    found = adapted(lambda _text: f'{PREFIX}unknown directive "x" in /s/nginx.conf:1')
    assert isinstance(found, Rejection)
    assert "200" in found.message


# With a real nginx


@needs_nginx
@every_version
def test_an_accepted_configuration_has_no_rejection(version: str) -> None:
    assert run_config_test(model(f"{SITE} }} }}"), nginx_programs()[version]) is None


@needs_nginx
@every_version
@pytest.mark.parametrize(
    ("lines", "message", "line"),
    [
        ("proxy_buffering maybe;", 'invalid value "maybe"', 6),
        ("proxy_read_timeout soon;", '"proxy_read_timeout" directive invalid value', 6),
        ("rewrite ^/( /x;", "pcre", 6),
    ],
)
def test_an_error_is_reported_with_the_users_line(lines: str, message: str, line: int, version: str) -> None:
    rejection = run_config_test(model(f"{SITE}{lines}\n }} }}"), nginx_programs()[version])
    assert rejection is not None
    assert message in rejection.message
    assert rejection.place is not None
    assert (rejection.place.file, rejection.place.line) == ("x", line)


@needs_nginx
@every_version
def test_check_runs_the_config_test_where_it_is_told_to(version: str, tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(f"{SITE}rewrite ^/( /x;\n }} }}")
    assert "pcre" not in bench_process.run("check", path).stdout
    program = nginx_programs()[version].path
    done = bench_process.run("check", path, "--fail-on", "error", "--config-test", program)
    assert "[emerg] pcre" in " ".join(done.stdout.split())
    assert f"nginx {version} -t" in " ".join(done.stdout.split())
    assert done.returncode == 1


@needs_nginx
def test_a_folder_is_tested_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("events {}\nhttp {\n include conf.d/*.conf;\n}\n")
    (tmp_path / "conf.d/pool.conf").write_text("upstream a { server b; keepalive 4; }\n")
    (tmp_path / "conf.d/site.conf").write_text(f"{SITE} }} }}")
    found = list(check.load_models(tmp_path))
    assert len(found) == 1
    assert run_config_test(found[0], any_nginx()) is None


@needs_nginx
def test_standard_input_is_tested_too() -> None:
    text = f"{SITE}rewrite ^/( /x;\n }} }}"
    done = command_line.run("check", "-", "--config-test", any_nginx().path, stdin=text)
    assert done.exit_code == 1
    assert "standard input:6" in done.stdout
    assert "-t, on a copy)" in " ".join(done.stdout.split())


# What only looks like white space, and what nginx refuses: nginx itself judges it.
UNKNOWN = 'unknown directive "'
REFUSED = {
    "a byte order mark": ("\ufeffevents { } http { SERVER }", UNKNOWN),
    "a no-break space": ("http { upstream a { server b;\u00a0keepalive 4; } SERVER }", UNKNOWN),
    "one between words": ("http { server { location / { proxy_pass\u00a0http://b; } } SERVER }", UNKNOWN),
    "a vertical tab": ("http { SERVER server { \x0b location /x { proxy_pass http://b; } } }", UNKNOWN),
    "in a value": ("http { upstream a { server b; keepalive 4\u3000; } SERVER }", 'invalid value "4'),
    "no servers": ("http { upstream a { keepalive 4; } SERVER }", "no servers are inside upstream"),
    "not used": ("http { upstream u { server b; keepalive 4; keepalive 8; } SERVER }", "is duplicate"),
    "a parameter": ("http { upstream u { server b max_fail=3; } SERVER }", 'invalid parameter "max_fail=3"'),
    "a version": ("http { proxy_http_version HTTP/1.1; SERVER }", 'invalid value "HTTP/1.1"'),
}


@needs_nginx
@pytest.mark.parametrize("name", REFUSED)
def test_nginx_gets_the_text_as_it_is(name: str) -> None:
    text, message = REFUSED[name]
    server = "server { location / { proxy_pass http://a; } }"
    rejection = run_config_test(model(text.replace("SERVER", server)), any_nginx())
    assert rejection is not None
    assert message in rejection.message


@needs_nginx
def test_what_looks_odd_in_data_is_fine() -> None:
    text = (
        "map $uri $x { \u00fc 1; } server { location /\u00fc { proxy_pass http://a; add_header X \u3000; } }"
    )
    assert run_config_test(model(text), any_nginx()) is None
