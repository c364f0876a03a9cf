"""What nginx refuses is refused here, and what it accepts is accepted: an nginx reads each text as well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nginx import versions
from nginx.check import check
from nginx.finding import Severity
from nginx.loading.includes import expand_includes
from nginx.loading.sources import Sources
from nginx.model import build_model
from nginx.refusals.find import find_refusals
from nginx.tree import parse
from tests.proving import needs_nginx, nginx_programs

PASS = "proxy_pass http://app;"
POOL = "server 127.0.0.1:1; keepalive 4;"
# Of an upstream {}, one a line.
IN_UPSTREAM = f"""
{POOL}
{POOL} keepalive 5;
server 127.0.0.1:1; keepalive 0;
server 127.0.0.1:1; keepalive -1;
server 127.0.0.1:1; keepalive 4k;
server 127.0.0.1:1; keepalive;
server 127.0.0.1:1; keepalive 4 5;
server 127.0.0.1:1; keepalive 4 remote;
server 127.0.0.1:1; keepalive 4.5;
server 127.0.0.1:1; keepalive "";
server 127.0.0.1:1; keepalive auto;
keepalive 4;
server 127.0.0.1:1 backup;
server 127.0.0.1:1 down;
server 127.0.0.1:1 max_fail=3;
server 127.0.0.1:1 max_fails=x;
server 127.0.0.1:1 max_fails=0 fail_timeout=10 weight=2 max_conns=0 down;
server 127.0.0.1:1 weight=0;
server 127.0.0.1:1 weight = 1;
server 127.0.0.1:1 fail_timeout=10sec;
server 127.0.0.1:1 backup=1;
server 127.0.0.1 8080;
server 127.0.0.1, 127.0.0.2;
server 127.0.0.1:99999;
server 127.0.0.1:0;
server 127.0.0.1:;
server 127.0.0.1:80-90;
server 127.0.0.1:80/;
server http://127.0.0.1:80;
server :80;
server ::1;
server [::1];
server [::1]:80;
server unix:;
server unix:/a:b;
server;
{POOL} keepalive_timeout 60 60;
{POOL} keepalive_timeout 60;
{POOL} keepalive_timeout 60; keepalive_timeout 60;
{POOL} keepalive_timeout abc;
{POOL} keepalive_timeout 1m30s;
{POOL} keepalive_timeout "1m 30s";
{POOL} keepalive_timeout 30s1m;
{POOL} keepalive_requests x;
{POOL} keepalive_requests 0;
{POOL} keepalive_requests 1; keepalive_requests 1;
{POOL} keepalive_time 1h; keepalive_time 1h;
{POOL} least_conn;
{POOL} least_conn on;
{POOL} ip_hash; least_conn;
{POOL} hash;
{POOL} hash $uri consistent;
{POOL} proxy_http_version 1.1;
{POOL} proxy_set_header A b;
{POOL} keepalive_disable none;
{POOL} server_name a;
{POOL} zone a 64k;
"""
# Of a location beside which an upstream {} called app stands.
IN_LOCATION = f"""
{PASS}
proxy_pass HTTP://app;
proxy_pass http://APP;
proxy_pass app;
proxy_pass http:/app;
proxy_pass ws://app;
proxy_pass unix:/x;
proxy_pass http://unix:/x;
proxy_pass http://unix:;
proxy_pass http://;
proxy_pass http://app:80;
proxy_pass http://127.0.0.1:99999;
proxy_pass http://127.0.0.1:x;
proxy_pass http://[::1;
proxy_pass http://127.0.0.1:80:90;
proxy_pass http://$host:99999;
{PASS} {PASS}
fastcgi_pass app;
fastcgi_pass 127.0.0.1;
fastcgi_pass http://127.0.0.1:1;
fastcgi_pass fastcgi://127.0.0.1:9000;
fastcgi_pass 127.0.0.1:9000/x;
fastcgi_pass unix:/x;
uwsgi_pass uwsgi://127.0.0.1:1;
uwsgi_pass http://127.0.0.1:1;
scgi_pass scgi://127.0.0.1:1;
grpc_pass grpcs://app;
grpc_pass http://127.0.0.1:1;
grpc_pass grpc://app/x;
grpc_pass 127.0.0.1;
proxy_http_version HTTP/1.1; {PASS}
proxy_http_version 1.2; {PASS}
proxy_http_version 1.10; {PASS}
proxy_http_version "1.1"; {PASS}
proxy_http_version 1.1; proxy_http_version 1.1; {PASS}
proxy_set_header Connection; {PASS}
proxy_set_header Connection keep alive; {PASS}
proxy_set_header Connection ""x; {PASS}
proxy_set_header Connection "" ; {PASS}
proxy_set_header A b; proxy_set_header A b; {PASS}
proxy_next_upstream http_505; {PASS}
proxy_next_upstream error timeout http_502 non_idempotent; {PASS}
fastcgi_next_upstream http_502; fastcgi_pass app;
proxy_read_timeout 60sec; {PASS}
proxy_read_timeout 1.5s; {PASS}
proxy_read_timeout "1h 30m"; {PASS}
proxy_buffering yes; {PASS}
proxy_buffering ON; {PASS}
proxy_buffer_size 4x; {PASS}
proxy_buffer_size 4K; {PASS}
proxy_socket_keepalive yes; {PASS}
fastcgi_keep_conn true; fastcgi_pass app;
fastcgi_keep_conn ON; fastcgi_pass app;
keepalive_timeout 60 60 60; {PASS}
keepalive_timeout 60s 60s; {PASS}
keepalive_timeout 60; keepalive_timeout 60; {PASS}
keepalive_requests -1; {PASS}
keepalive 4; {PASS}
limit_rate $uri; {PASS}
client_max_body_size 10MB; {PASS}
client_max_body_size 1m; client_max_body_size 2m; {PASS}
error_page /x; {PASS}
internal on; {PASS}
server {{ }} {PASS}
upstream x {{ server 127.0.0.1; }} {PASS}
if ($uri) {{ proxy_set_header A b; }} {PASS}
if ($uri) {{ proxy_pass http://app/; }}
if ($uri) {{ {PASS} }}
limit_except GET {{ proxy_pass http://app/x; }}
location ~ y {{ proxy_pass http://app/; }}
location ~ y {{ proxy_pass http://app?y; }}
location ~ y {{ proxy_pass http://app/$1; }}
location ~ y {{ proxy_pass http://unix:/a:/; }}
location ~ y {{ proxy_pass http://unix:/a; }}
location /y {{ proxy_pass http://app/; }}
location @y {{ }}
{PASS} proxy_redirect default; proxy_redirect a b;
{PASS};
"""
# Of a server {}.
IN_SERVER = """
location /a {} location /a {}
location /a {} location ^~ /a {}
location = /a {} location /a {}
location =/a {} location = /a {}
location ~ a {} location ~ a {}
location @a {} location @a {}
location /a { location /b {} }
location /a { location = /ab {} }
location ~ /a { location /ab {} }
location = /a { location /ab {} }
location * /a {}
location ^~/a {}
location @a { proxy_pass http://app/; }
listen;
proxy_pass http://app;
error_page 404 /x; error_page 404 /y;
gzip on; gzip on;
root /a; root /b;
mirror /a; mirror /b; location / { proxy_pass http://app; }
"""


def texts() -> list[str]:
    """Return whole configurations, one for each line above."""
    cases = [("upstream app { %s }", "", line) for line in IN_UPSTREAM.split("\n")]
    outer = f"upstream app {{ {POOL} }}"
    cases += [(outer, "location / { %s }", line) for line in IN_LOCATION.split("\n")]
    cases += [(outer, "%s", line) for line in IN_SERVER.split("\n")]
    around = "pid p; events {{}} http {{ access_log off; {} server {{ listen 127.0.0.1:8999; {} }} }}\n"
    return [
        around.format(upstream.replace("%s", line), server.replace("%s", line))
        for upstream, server, line in cases
        if line
    ]


def refusals(text: str, version: str) -> list[str]:
    configuration = expand_includes(parse(text, "x"), Sources(None))
    return [each.reason for each in find_refusals(build_model(configuration), versions.parse(version))]


@needs_nginx
@pytest.mark.parametrize("version", nginx_programs())
def test_the_same_texts_are_refused_as_by_nginx(version: str, tmp_path: Path) -> None:
    program = nginx_programs()[version].path
    wrong = {}
    for text in texts():
        (tmp_path / "nginx.conf").write_text(text)
        arguments = ["-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        ours = refusals(text, version)
        if bool(ours) != (done.returncode != 0):
            wrong[text] = (done.stderr, ours)
    assert wrong == {}


@pytest.mark.parametrize(
    "line",
    [
        "server 127.0.0.1:1 max_fail=3; keepalive 4;",
        f"{POOL} keepalive 5;",
        "keepalive 4;",
        "server 127.0.0.1:0;",
    ],
)
@pytest.mark.parametrize("version", ["1.22.1", "1.31.4"])
def test_nothing_is_reused_by_an_nginx_that_does_not_start(line: str, version: str) -> None:
    lines = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    text = f"upstream app {{\n {line} }}\nserver {{ location / {{ {PASS} {lines} }} }}"
    found = check("x", [version], text=text)
    assert found.locations[0].verdicts[version].answer in {"depends", "not reused"}
    assert any(each.rule == "NX001" and each.severity is Severity.ERROR for each in found.findings)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("proxy_http_verison", "proxy_http_version"),
        ("proxy_set_headers", "proxy_set_header"),
        ("keepalive_request", "keepalive_requests"),
        ("keep_alive", "keepalive"),
        ("proxy_http_version", None),
        ("subs_filter", None),
        ("proxy_cache_purge", None),
        ("more_set_headers", None),
        ("check", None),
    ],
)
def test_a_slip_in_a_name_is_refused(name: str, meant: str | None) -> None:
    text = f"server {{ location / {{ {name} a b; }} }}"
    fixes = [each.fix for each in check("x", ["1.31.4"], text=text).findings if each.rule == "NX001"]
    assert (f"write {meant}" in fixes) == (meant is not None)


@pytest.mark.parametrize(
    ("location", "version", "is_refused"),
    [
        ("location / { location $a { } }", "1.31.4", True),
        ("location / { location $a { } }", "1.31.5", False),
        ("location $a { } location $a { }", "1.31.4", True),
        ("location $a { } location $a { }", "1.31.5", False),
        ("location $a { location = /x { } }", "1.31.5", False),
    ],
)
def test_a_variable_names_a_location_since_1_31_5(location: str, version: str, is_refused: bool) -> None:
    text = f"events {{}}\nhttp {{ map $arg_a $a {{ 1 1; }} server {{ {location} }} }}"
    assert bool(refusals(text, version)) == is_refused
    found = {each.rule for each in check("x", [version], text=text).findings}
    assert ("NX005" in found) == (version == "1.31.4")


@pytest.mark.parametrize(
    "text",
    [
        "events {}\nstream { upstream db { server 192.0.2.1:5432; } server { listen 1; proxy_pass db; } }",
        "upstream db { server 192.0.2.1:5432; }\nserver { listen 1 udp; proxy_pass db; proxy_responses 1; }",
        "server { location / { redis2_pass 192.0.2.1; } }",
        "server { location / { postgres_pass db; } }",
        "upstream app { server a; ntlm; check interval=3000; sticky; }",
        "upstream app { jdomain example.org; }",
        "server { location / { more_set_headers 'A: b'; proxy_pass http://a; } }",
    ],
)
def test_what_may_be_right_elsewhere_is_not_refused(text: str) -> None:
    assert refusals(text, "1.22.1") == []


def test_a_comment_takes_back_a_refusal() -> None:
    lines = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    text = (
        "upstream app {\n server 127.0.0.1 other=1;  # bench: ignore NX001 of a module\n keepalive 4; }\n"
        f"server {{ location / {{ {PASS} {lines} }} }}"
    )
    found = check("x", ["1.22.1"], text=text)
    assert found.locations[0].verdicts["1.22.1"].answer == "reused"


def test_the_reason_names_the_line_and_what_would_be_without_it() -> None:
    text = f"upstream app {{\n {POOL}\n keepalive 5; }}\nserver {{ location / {{ {PASS} }} }}"
    reason = check("x", ["1.31.4"], text=text).locations[0].verdicts["1.31.4"].reason
    assert reason.startswith("depends on x:3, for which nginx does not start; without that: upstream")
