"""What becomes of a configuration before it runs: what stays, what is replaced, what is left out."""

from __future__ import annotations

import re

import pytest

from prove.configurations import model, staged


def line_of(text: str, start: str) -> str:
    found = [line.strip() for line in text.splitlines() if line.strip().startswith(start)]
    assert len(found) == 1, (start, text)
    return found[0]


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        ("proxy_pass http://10.0.0.1:8080;", "proxy_pass http://http:1;"),
        ("proxy_pass http://10.0.0.1:8080/a/b?c;", "proxy_pass http://http:1/a/b?c;"),
        ("proxy_pass https://web.example/;", "proxy_pass https://http+tls:1/;"),
        ("proxy_pass http://unix:/run/docker.sock:/x;", "proxy_pass http://http:1/x;"),
        ("proxy_pass http://unix:/run/docker.sock;", "proxy_pass http://http:1;"),
        ("proxy_pass http://app/x;", "proxy_pass http://bench_1/x;"),
        ("proxy_pass http://APP$request_uri;", "proxy_pass $bench_pass_1;"),
        ("proxy_pass http://app/$1;", "proxy_pass http://bench_1/$1;"),
        ("proxy_pass http://app:81;", "proxy_pass http://http:1;"),
        ("proxy_pass http://$arg_to;", "proxy_pass $bench_pass_1;"),
        ("proxy_pass $scheme://app;", "proxy_pass $bench_pass_1;"),
        ("fastcgi_pass unix:/run/php.sock;", "fastcgi_pass fastcgi:1;"),
        ("fastcgi_pass unix:/run/$arg_v.sock;", "fastcgi_pass $bench_pass_1;"),
        ("uwsgi_pass suwsgi://10.0.0.1:3031;", "uwsgi_pass suwsgi://uwsgi+tls:1;"),
        ("scgi_pass localhost:4000;", "scgi_pass scgi:1;"),
        ("grpc_pass grpcs://app;", "grpc_pass grpcs://bench_1;"),
        ("memcached_pass app;", "memcached_pass bench_1;"),
    ],
)
def test_a_target_stays_what_it_was_and_leads_to_a_backend(lines: str, passed: str) -> None:
    text, _ = staged(f"upstream app {{ server 10.0.0.9; }} server {{ location / {{ {lines} }} }}")
    assert line_of(text, lines.split(maxsplit=1)[0]) == passed
    assert "10.0.0" not in text
    assert "/run/" not in text.replace("unix:/run/$arg_v.sock", "")


def test_a_variable_target_is_evaluated_as_before_and_then_led_to_what_it_names() -> None:
    text, _ = staged("upstream app { server 10.0.0.9; } server { location / { proxy_pass http://$arg_to; } }")
    start = text.index("map ")
    block = text[start : text.index("}", start)]
    source, *entries = [line.strip() for line in block.splitlines()]
    assert source == "map http://$arg_to $bench_pass_1 {"
    rules = [entry[:-1].rsplit(" ", 1) for entry in entries if entry.startswith(("~", '"~'))]
    patterns = [(pattern.strip('"').replace("\\\\", "\\"), to) for pattern, to in rules]

    def to(evaluated: str) -> str | None:
        for pattern, value in patterns:
            python = pattern.removeprefix("~*").replace("(?<", "(?P<")
            if match := re.search(python, evaluated, re.IGNORECASE):
                return value.replace("$bench_rest_1", match["bench_rest_1"] or "")
        return None

    assert to("http://app/x?y") == "http://bench_1_1/x?y"
    assert to("http://App") == "http://bench_1_1"
    assert to("http://app:80/x") == "http://http:1/x"
    assert to("http://93.184.216.34") == "http://http:1"
    assert to("http://") is None
    assert to("ftp://x") is None


def test_locations_that_share_an_upstream_get_one_each_with_the_same_pool() -> None:
    text, _ = staged(
        "upstream app { least_conn; zone z 64k; server a:1 weight=2; server b:2 backup; keepalive 7; }"
        "server { location /a { proxy_pass http://app; } location /b { proxy_pass http://app; } }"
    )
    for number in (1, 2):
        start = text.index(f"upstream bench_{number} {{")
        block = [line.strip() for line in text[start : text.index("}", start)].splitlines()][1:]
        assert block == [
            "least_conn;",
            f"zone bench_{number} 64k;",
            f"server http:{number} weight=2;",
            f"server http:{number} backup;",
            "keepalive 7;",
            "",
        ]
    assert "upstream app" not in text


def test_an_included_file_that_stands_in_two_servers_is_two_locations() -> None:
    inside = "location / { proxy_pass http://10.0.0.1; }"
    found = model(f"server {{ listen 1; {inside} }} server {{ listen 2; {inside} }}")
    assert len(found.passes) == 2
    text, _ = staged(f"server {{ listen 1; {inside} }} server {{ listen 2; {inside} }}")
    assert re.findall(r"proxy_pass (\S+);", text) == ["http://http:1", "http://http:2"]
    assert re.findall(r"listen (.+);", text) == ["door:1", "tls:1 ssl", "door:2", "tls:2 ssl"]


HARMFUL = {
    "main": "load_module x.so; user root; pid /pid; daemon on; env SECRET; error_log /etc/log; ssl_engine x;"
    " working_directory /; google_perftools_profiles /x; stream { server { listen 22; proxy_pass a:22; } }",
    "http": "lua_package_path /x; init_by_lua_block { os.execute('x') } perl_modules /x; js_import x.js;"
    " js_set $a x.b; access_log /etc/x; error_log syslog:server=192.0.2.1; proxy_temp_path /etc/p;"
    " proxy_cache_path /etc/c keys_zone=c:1m; resolver 192.0.2.53; fastcgi_cache_path /etc/f keys_zone=d:1m;"
    " geoip_country /etc/geo; open_file_cache max=1; otel_exporter { endpoint 192.0.2.1:4317; }",
    "server": "listen 80; listen unix:/run/x; listen 192.0.2.1:443 ssl; ssl_certificate /etc/shadow;"
    " ssl_stapling on; root /; dav_methods PUT; client_body_in_file_only on; auth_basic_user_file /etc/x;"
    " proxy_ssl_certificate /etc/shadow; proxy_ssl_trusted_certificate /etc/x; proxy_ssl_verify on;"
    " access_by_lua_file /x.lua; modsecurity_rules_file /x; proxy_bind 192.0.2.9; proxy_store /etc/stored;"
    " include /etc/passwd; thread_pool x; aio threads=x; perl_set $x 'sub {}'; js_content x.y;"
    " xslt_stylesheet /x;",
}


def test_what_may_do_harm_is_gone() -> None:
    text, ledger = staged(
        f"{HARMFUL['main']} events {{ worker_connections 5; }}"
        f"http {{ {HARMFUL['http']} server {{ {HARMFUL['server']}"
        "location / { alias /etc/; proxy_pass http://192.0.2.7; } location /ok { return 200; } } }"
    )
    assert not re.search(
        r"/etc|/run|/x\b|192\.0\.2|lua|perl|js_|load_module|SECRET|stored|syslog|threads", text
    )
    said = {change.what for change in ledger.changes}
    named = {
        word
        for part in HARMFUL.values()
        for word in re.findall(r"(?:^|; |} )([a-z_]+) ", re.sub(r"\{[^}]*\}", "{}", part))
    }
    assert {name for name in named if name != "include"} <= said
    assert "include /etc/passwd" in said


@pytest.mark.parametrize(
    "name", ["a_directive_of_tomorrow", "upload_store", "exec", "rtmp", "nchan_store_messages"]
)
def test_what_nobody_knows_is_left_out(name: str) -> None:
    text, ledger = staged(f"server {{ location / {{ {name} on; proxy_pass http://a; }} }}")
    assert name not in text
    assert [change.what for change in ledger.changes if change.kind == "left out"] == [name]


def test_servers_that_pass_nothing_on_are_left_out() -> None:
    text, _ = staged("server { listen 80; return 301 /; } server { location / { proxy_pass http://a; } }")
    assert text.count("server {") == 1
    assert "301" not in text


@pytest.mark.parametrize(
    "snippet",
    [
        "location / { proxy_pass http://a; }",
        "proxy_pass http://a;",
        "server_name x; location /a { proxy_pass http://a; }",
    ],
)
def test_a_snippet_stands_in_a_server_of_ours(snippet: str) -> None:
    text, _ = staged(snippet)
    assert text.count("server {") == 1
    assert re.search(r"location \S+ \{\s+proxy_pass http://http:1;", text)


def test_named_and_internal_locations_get_an_entrance() -> None:
    text, _ = staged(
        "server { location @n { proxy_pass http://a; } location /i { internal; proxy_pass http://b; } }"
    )
    assert re.search(r"location = /bench-entrance-1 \{\s+try_files /bench-nowhere @n;", text)
    assert re.search(r"location = /bench-entrance-2 \{\s+rewrite \^ /i last;", text)


def test_lua_that_chooses_peers_is_an_obstacle() -> None:
    text, _ = staged(
        "upstream app { server 0.0.0.1; balancer_by_lua_block { local b = require 'x' } keepalive 9; }"
        "server { location / { proxy_pass http://app; } }"
    )
    assert "lua" not in text
    assert line_of(text, "proxy_pass") == "proxy_pass http://127.0.0.1:9;"
