"""`bench fix`: which pools it refuses or sizes, what it says about them, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import Done, run

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


SECURE = APP.replace("}", "keepalive 8; }") + KEPT.replace("http://app", "https://app")


def fixed(text: str, tmp_path: Path, *flags: str) -> Done:
    path = tmp_path / "nginx.conf"
    path.write_text(whole(text))
    return run("fix", path, *flags)


def test_a_pool_that_reuses_ends_before_its_servers(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    done = fixed(SECURE, tmp_path, "--backend-like", "node", "--write")
    assert (done.exit_code, "keepalive_timeout 4s;" in path.read_text()) == (0, True), done.stderr
    checked = run("check", path, "--backend-idle", "node", "--fail-on", "medium")
    assert (checked.exit_code, "NK021" in checked.stdout) == (0, False)
    again = run("fix", path, "--backend-like", "node")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing to repair: 1 location reuses its connections" in again.stderr


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        (SECURE, ["--backend-idle", "0.1s"], "too soon to reuse them"),
        (SECURE, ["--backend-idle", "node", "--nginx-version", "1.14.2"], "has no keepalive_timeout"),
        (SECURE.replace("keepalive 8", "ntlm; keepalive 8"), ["--backend-idle", "node"], "ntlm"),
    ],
)
def test_a_pool_that_cannot_end_in_time_is_named(
    text: str, flags: list[str], said: str, tmp_path: Path
) -> None:
    done = fixed(text, tmp_path, *flags)
    assert (done.exit_code, done.stdout, said in done.stderr) == (1, "", True), done.stderr


@pytest.mark.parametrize("silence", ["# bench: ignore NK021 short pauses\n", ""])
def test_a_pool_whose_end_is_accepted_stays(silence: str, tmp_path: Path) -> None:
    text = SECURE.replace("keepalive 8;", f"keepalive 8; {silence}" if silence else "keepalive 8;")
    flags = [] if silence else ["--ignore", "NK021"]
    done = fixed(text, tmp_path, "--backend-like", "node", *flags)
    assert (done.exit_code, done.stdout) == (0, "")


ACCEPTED = """server { location / {
    # bench: ignore NK002 NK003 NK006 legacy clients
    proxy_pass http://10.0.0.1;
} }"""


def test_what_is_accepted_stays_as_it_is(tmp_path: Path) -> None:
    done = fixed(ACCEPTED, tmp_path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "location / stays as it is: accepted by a comment (NK" in done.stderr
    assert done.stderr.count(": legacy clients") == 3
    assert "nothing to repair: 1 is accepted as it is" in done.stderr
    other = fixed(ACCEPTED.replace("NK006 ", ""), tmp_path)
    assert "+upstream backend_10_0_0_1 {" in other.stdout, "NK006 is not accepted"


VARIABLE = """server {
    resolver 127.0.0.53;
    location / { set $backend "app.internal:8080"; proxy_pass http://$backend; }
MORE}
"""


@pytest.mark.parametrize(
    ("more", "is_unused"),
    [("", True), ("location /x { return 200 $backend; }\n", False), ("add_header X ${backend}y;\n", False)],
)
def test_a_variable_that_nothing_uses_any_more_is_named(
    more: str, tmp_path: Path, *, is_unused: bool
) -> None:
    done = fixed(VARIABLE.replace("MORE", more), tmp_path, "--nginx-version", "1.31.4")
    assert (done.exit_code, "server app.internal:8080 resolve;" in done.stdout) == (0, True), done.stderr
    assert ("`set $backend app.internal:8080`" in done.stderr) is is_unused, done.stderr


def test_nothing_that_depends_is_passed_over(tmp_path: Path) -> None:
    done = fixed("server { location / { proxy_pass http://$arg_to; } }", tmp_path)
    assert (done.exit_code, "location / is left as it is: each request decides" in done.stderr) == (1, True)
