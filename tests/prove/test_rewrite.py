"""What becomes of a configuration before it runs: what stays, what is replaced, what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.prove import allowlist
from bench.prove.inventory import build_inventory
from bench.prove.rewrite import Listeners, Rewriter
from nginx import tree, versions
from nginx.serializer import serialize
from nginx.targets import PROTOCOLS
from nginx.tree import Directive
from tests.proving import backends, model, rewritten


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
    text, _ = rewritten(f"upstream app {{ server 10.0.0.9; }} server {{ location / {{ {lines} }} }}")
    assert line_of(text, lines.split(maxsplit=1)[0]) == passed
    assert "10.0.0" not in text
    assert "/run/" not in text.replace("unix:/run/$arg_v.sock", "")


def test_a_variable_target_is_evaluated_as_before_and_then_led_to_what_it_names() -> None:
    text, _ = rewritten(
        "upstream app { server 10.0.0.9; } server { location / { proxy_pass http://$arg_to; } }"
    )
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
    text, _ = rewritten(
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
    text, _ = rewritten(f"server {{ listen 1; {inside} }} server {{ listen 2; {inside} }}")
    assert re.findall(r"proxy_pass (\S+);", text) == ["http://http:1", "http://http:2"]
    assert re.findall(r"listen (.+);", text) == ["plain:1", "tls:1 ssl", "plain:2", "tls:2 ssl"]


@pytest.mark.parametrize(
    ("version", "listens"),
    [
        ("1.22.1", ["listen plain:1", "listen tls:1 ssl http2", "listen two:1 http2"]),
        ("1.31.4", ["listen plain:1", "listen tls:1 ssl", "listen two:1", "http2 on"]),
    ],
)
def test_http2_is_written_as_the_version_has_it(version: str, listens: list[str]) -> None:
    found = build_inventory(model("server { listen 443 ssl http2; location / { proxy_pass http://a; } }"))
    listeners = {1: Listeners("plain:1", "tls:1", "two:1")}
    rewriter = Rewriter(found, backends(found), listeners, version=versions.parse(version))
    text = serialize(rewriter.directives()).text
    assert [
        line.strip()[:-1] for line in text.splitlines() if re.match(r" *(listen|http2) ", line)
    ] == listens


def test_servers_without_listeners_are_left_out() -> None:
    found = build_inventory(model("server { location / { proxy_pass http://a; } }" * 2))
    rewriter = Rewriter(found, backends(found), {1: Listeners("plain:1", "tls:1")})
    assert serialize(rewriter.directives()).text.count("server {") == 1
    assert "there are not enough ports" in {change.why for change in rewriter.log.changes}


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
    text, log = rewritten(
        f"{HARMFUL['main']} events {{ worker_connections 5; }}"
        f"http {{ {HARMFUL['http']} server {{ {HARMFUL['server']}"
        "location / { alias /etc/; proxy_pass http://192.0.2.7; } location /ok { return 200; } } }"
    )
    assert not re.search(
        r"/etc|/run|/x\b|192\.0\.2|lua|perl|js_|load_module|SECRET|stored|syslog|threads", text
    )
    recorded = {change.what for change in log.changes}
    named = {
        word
        for part in HARMFUL.values()
        for word in re.findall(r"(?:^|; |} )([a-z_]+) ", re.sub(r"\{[^}]*\}", "{}", part))
    }
    assert {name for name in named if name != "include"} <= recorded
    assert "include /etc/passwd" in recorded


@pytest.mark.parametrize(
    "name", ["a_directive_of_tomorrow", "upload_store", "exec", "rtmp", "nchan_store_messages"]
)
def test_unknown_directives_are_left_out(name: str) -> None:
    text, log = rewritten(f"server {{ location / {{ {name} on; proxy_pass http://a; }} }}")
    assert name not in text
    assert [change.what for change in log.changes if change.kind == "left out"] == [name]


@pytest.mark.parametrize("block", ["types", "map $host $x", "geo $x", "split_clients $host $x"])
def test_no_block_of_data_reads_a_file(block: str) -> None:
    text, _ = rewritten(
        f"{block} {{ include /nowhere/file; }} server {{ location / {{ proxy_pass http://a; }} }}"
    )
    assert "include" not in text


def test_servers_that_pass_nothing_on_are_left_out() -> None:
    text, _ = rewritten("server { listen 80; return 301 /; } server { location / { proxy_pass http://a; } }")
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
def test_a_snippet_gets_a_server_block(snippet: str) -> None:
    text, _ = rewritten(snippet)
    assert text.count("server {") == 1
    assert re.search(r"location \S+ \{\s+proxy_pass http://http:1;", text)


def test_named_and_internal_locations_get_an_added_location() -> None:
    text, _ = rewritten(
        "server { location @n { proxy_pass http://a; } location /i { internal; proxy_pass http://b; } }"
    )
    assert re.search(r"location = /bench-internal-1 \{\s+try_files /bench-nowhere @n;", text)
    assert re.search(r"location = /bench-internal-2 \{\s+rewrite \^ /i last;", text)


def test_lua_that_chooses_peers_is_an_obstacle() -> None:
    text, _ = rewritten(
        "upstream app { server 0.0.0.1; balancer_by_lua_block { local b = require 'x' } keepalive 9; }"
        "server { location / { proxy_pass http://app; } }"
    )
    assert "lua" not in text
    assert line_of(text, "proxy_pass") == "proxy_pass http://127.0.0.1:9;"


# What comes through, whatever goes in

OWN = {
    *("daemon off", "worker_processes 1", "pid nginx.pid", "error_log stderr error", "access_log off"),
    *("ssl_certificate certificate.pem", "ssl_certificate_key key.pem", "root html/", "alias html/"),
    *(f"{module}_temp_path {module}" for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
    *("listen plain:1", "listen tls:1 ssl", "proxy_pass http://http:1", "proxy_pass http://bench_1"),
}
STRUCTURE = {"events", "worker_connections", "http", "server", "location", "upstream"}
NAMES = st.one_of(
    st.sampled_from(sorted(allowlist.KEPT | allowlist.UPSTREAM)),
    st.sampled_from(sorted({name for part in HARMFUL.values() for name in re.findall(r"[a-z_]{4,}", part)})),
    st.from_regex(
        r"[a-z]{1,4}(_(by_lua|pass|cache|store|temp_path|ssl_certificate|log|file))?", fullmatch=True
    ),
)
ARGUMENTS = st.lists(
    st.sampled_from(["/etc/shadow", "on", "192.0.2.1:80", "$x", "app"]), min_size=1, max_size=2
)
LINES = st.lists(st.builds(lambda name, args: f"{name} {' '.join(args)};", NAMES, ARGUMENTS), max_size=5)


@given(LINES, LINES, LINES, LINES)
def test_nothing_comes_through_that_is_not_listed(
    main: list[str], http: list[str], server: list[str], location: list[str]
) -> None:
    passing = "proxy_pass http://app;" if "upstream app" in " ".join(http) else "proxy_pass http://192.0.2.7;"
    text, _ = rewritten(
        f"{' '.join(main)} http {{ {' '.join(http)} upstream app {{ server 192.0.2.8; {' '.join(location)} }}"
        f" server {{ {' '.join(server)} location / {{ {' '.join(location)} {passing} }} }} }}"
    )
    for line in lines_of(tree.parse(text, "x").directives):
        is_ours = str(line) in OWN or line.name in STRUCTURE | allowlist.DATA
        is_led_elsewhere = line.name in PROTOCOLS and "192.0.2" not in line.args[0]
        assert is_ours or is_led_elsewhere or line.name in allowlist.KEPT | allowlist.UPSTREAM, line


def lines_of(directives: Iterable[Directive]) -> Iterator[Directive]:
    for line in directives:
        yield line
        if line.name not in allowlist.DATA:
            yield from lines_of(line.block or ())
