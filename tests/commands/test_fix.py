"""`bench fix`: which pools it refuses or sizes, what it says about them, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import run

PHP = "server { location / { fastcgi_pass 127.0.0.1:9000; } }"
UNIX = "upstream app { server unix:/run/app.sock; }\n"
APP = "upstream app { server 10.0.0.1; }\n"
PASS = "server { location / { proxy_pass http://app; MORE } }\n"
HTTP2 = PASS.replace("MORE", "proxy_http_version 2;")
SMALL = "upstream app { server 10.0.0.1; server 10.0.0.2; keepalive 1; }\n"
KEPT = PASS.replace("MORE", 'proxy_http_version 1.1; proxy_set_header Connection "";')
TWICE = PASS.replace(
    "location / {", "location /a { proxy_http_version 1.1; proxy_pass http://app; } location / {"
)


def whole(text: str, main: str = "", events: str = "") -> str:
    return f"{main}\nevents {{ {events} }}\nhttp {{\n{text}\n}}\n"


@pytest.mark.parametrize(
    ("text", "flags", "code", "said"),
    [
        (PHP, [], 1, "give how many it has with --backend-max-connections"),
        (PHP, ["--backend-max-connections", "2", "--workers", "2"], 1, "would hold them all"),
        (PHP, ["--backend-max-connections", "20", "--workers", "2"], 0, "keepalive 5;"),
        (PHP, ["--backend-like", "php-fpm", "--workers", "2"], 0, "keepalive 1;"),
        (UNIX + PASS, [], 1, "a Unix socket has no port to save"),
        (UNIX + PASS, ["--backend-max-connections", "app=8"], 0, "keepalive 4;"),
        (APP.replace("10.0.0.1", "unicorn:80") + PASS, [], 1, "unicorn often has one process"),
        (APP + PASS, ["--backend-like", "http-1.0-only"], 1, "refuses HTTP/1.1"),
        (APP + PASS, ["--backend-like", "node"], 0, "keepalive_timeout 4s;"),
        (APP + PASS.replace("MORE", "proxy_next_upstream off;"), [], 0, "a visible error (502)"),
        (APP + PASS.replace("MORE", "proxy_next_upstream error non_idempotent;"), [], 0, "served twice"),
        (SMALL + KEPT, [], 0, "keepalive 4;"),
        (SMALL + KEPT, ["--concurrency", "64"], 0, "keepalive 65;"),
        (
            APP.replace("}", "keepalive 0; }") + KEPT,
            ["--nginx-version", "1.31.4"],
            1,
            "switches its pool off",
        ),
        (APP.replace("}", "ntlm; }") + PASS, [], 1, "ntlm"),
        (APP + HTTP2, ["--nginx-version", "1.22.1"], 2, "nginx refuses it"),
        (
            APP + TWICE.replace("MORE", "proxy_http_version 2;"),
            ["--nginx-version", "1.29.5,1.31.4"],
            1,
            "HTTP",
        ),
        (APP + PASS.removesuffix("}\n"), [], 2, "nginx refuses it"),
        ("server { listen 80; }", [], 2, "nothing to repair"),
    ],
)
def test_what_is_refused_and_what_is_sized(
    text: str, flags: list[str], code: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(whole(text.replace("MORE", "")))
    done = run("fix", path, *([] if "--nginx-version" in flags else ["--nginx-version", "1.22.1"]), *flags)
    assert (done.exit_code, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert bool(done.stdout) == (code == 0)


def test_pools_leave_worker_connections_to_clients(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(whole(APP + PASS.replace("MORE", ""), events="worker_connections 40;"))
    assert "keepalive 16;" in run("fix", path, "--nginx-version", "1.22.1").stdout


def test_versions_that_refuse_a_text_are_left_out_unless_they_were_named(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(whole(APP + HTTP2.replace("http://app", "http://10.0.0.1")))
    done = run("fix", path)
    assert (done.exit_code, "proxy_http_version 2 needs nginx 1.29.4" in done.stderr) == (0, True), (
        done.stderr
    )


def test_two_files_of_a_folder_get_two_names(tmp_path: Path) -> None:
    for name in ("a.conf", "b.conf"):
        (tmp_path / name).write_text("server { location / { proxy_pass http://10.0.0.1; } }\n")
    written = run("fix", tmp_path / "a.conf", "--write"), run("fix", tmp_path / "b.conf", "--write")
    assert [each.exit_code for each in written] == [0, 0]
    assert "upstream backend_10_0_0_1_2 {" in (tmp_path / "b.conf").read_text()


@pytest.mark.parametrize("target", ["app", "App_2"])
def test_a_word_may_be_an_upstream_of_another_file(target: str, tmp_path: Path) -> None:
    path = tmp_path / "site.conf"
    path.write_text(f"server {{ location / {{ proxy_pass http://{target}; }} }}\n")
    done = run("fix", path, "--nginx-version", "1.22.1")
    assert (done.exit_code, "another file may have an upstream" in done.stderr) == (1, True), done.stderr
