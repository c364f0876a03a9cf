"""Configurations of all kinds of passes, pools, headers and shapes, for properties of repairs."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

MAPS = """    map $http_upgrade $closing { default upgrade; '' close; }
    map $http_upgrade $kept {
        default upgrade;
        ''      '';
    }
"""
SERVERS = ("10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080 weight=2", "unix:/run/app.sock", "gunicorn:8000")
POOL_LINES = (
    "keepalive 1;",
    "keepalive 2;",
    "keepalive 16;",
    "keepalive_timeout 90s;",
    "keepalive_requests 1;",
    "keepalive_requests 3;",
    "zone app 64k;",
)
METHODS = ("least_conn;", "ip_hash;", "hash $request_uri;", "random;")
VERSIONS_SENT = ("proxy_http_version 1.0;", "proxy_http_version 1.1;", "proxy_http_version 2;")
HEADERS = (
    'proxy_set_header Connection "";',
    "proxy_set_header Connection close;",
    "proxy_set_header Connection keep-alive;",
    "proxy_set_header Connection $closing;",
    "proxy_set_header Connection $kept;",
    "proxy_set_header Host $host;",
    "proxy_set_header X-Forwarded-For $remote_addr; # who asks",
)
SETTINGS = (
    "proxy_next_upstream off;",
    "proxy_next_upstream error non_idempotent;",
    "proxy_request_buffering off;",
    "proxy_redirect default;",
    "proxy_redirect off;",
    "proxy_buffering off;",
    "proxy_bind 127.0.0.1;",
    "proxy_bind $remote_addr transparent;",
    "proxy_ssl_server_name on;",
    "proxy_ssl_name a.example;",
    "keepalive_timeout 30s;",
    "fastcgi_keep_conn on;",
)
PASSES = (
    "proxy_pass http://NAME;",
    "proxy_pass http://NAME/x/;",
    "proxy_pass https://NAME;",
    "proxy_pass http://NAME$request_uri;",
    "fastcgi_pass NAME;",
    "grpc_pass grpc://NAME;",
    "memcached_pass NAME;",
    "uwsgi_pass NAME;",
    "scgi_pass NAME;",
    "proxy_pass http://10.0.0.9:8080;",
    "proxy_pass http://10.0.0.9:8080/x/;",
    "proxy_pass https://10.0.0.9:8443;",
    "proxy_pass http://unix:/run/app.sock:/;",
    "fastcgi_pass 127.0.0.1:9000;",
    "fastcgi_pass unix:/run/php.sock;",
    "set $to 10.0.0.9:8080; proxy_pass http://$to;",
    "set $to NAME; proxy_pass http://$to;",
)


@st.composite
def configurations(draw: DrawFn, passes: tuple[str, ...] = PASSES) -> str:
    """Draw a whole nginx.conf with one to three upstreams and one to three servers."""
    names = ["app", "php", "Shared"][: draw(st.integers(1, 3))]
    upstreams = [draw(_upstream(name)) for name in names]
    servers = [draw(_server(names, passes, number)) for number in range(draw(st.integers(1, 2)))]
    around = [f"    {line}" for line in draw(_some((*VERSIONS_SENT[:2], *HEADERS), 2))]
    workers = draw(st.sampled_from(["", "worker_processes 2;\n", "worker_processes auto;\n"]))
    connections = draw(st.sampled_from(["", "worker_connections 64;", "worker_connections 4096;"]))
    lines = [f"{workers}events {{ {connections} }}", "http {", MAPS, *_each_once(around), *upstreams]
    text = "\n".join([*lines, *servers, "}", ""])
    return text.replace("\n", "\r\n") if draw(st.integers(0, 9)) == 0 else text


@st.composite
def _upstream(draw: DrawFn, name: str) -> str:
    servers = draw(st.lists(st.sampled_from(SERVERS), min_size=1, max_size=3, unique=True))
    lines = [*(f"server {each};" for each in servers), *draw(_some(POOL_LINES, 2))]
    lines = _each_once(line.replace("zone app", f"zone {name.lower()}") for line in lines)
    if draw(st.integers(0, 3)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(METHODS)))
    return _block(f"upstream {name}", lines, 1, in_one_line=draw(st.booleans()))


@st.composite
def _server(draw: DrawFn, names: list[str], passes: tuple[str, ...], number: int) -> str:
    lines = [f"listen {8000 + number};", *draw(_some((*VERSIONS_SENT[:2], *HEADERS), 2))]
    count = draw(st.integers(1, 3))
    locations = [draw(_location(f"/{where}/", names, passes)) for where in "abc"[:count]]
    return _block("server", [*_each_once(lines), *locations], 1)


@st.composite
def _location(draw: DrawFn, path: str, names: list[str], passes: tuple[str, ...]) -> str:
    one = draw(_pass(names, passes))
    lines = [*draw(_some((*VERSIONS_SENT, *HEADERS, *SETTINGS), 3)), one]
    shape = draw(st.integers(0, 7))
    if shape == 0 and one.startswith("proxy_pass") and "/x/" not in one:
        lines.insert(0, f"if ($arg_a) {{ {draw(_pass(names, ('proxy_pass http://NAME;',)))} }}")
    if shape == 1:
        lines.append(_block(f"location {path}deeper/", [draw(_pass(names, passes))], 3, in_one_line=True))
    lines = draw(st.permutations(_each_once(lines)))
    return _block(f"location {path}", lines, 2, in_one_line=draw(st.booleans()))


@st.composite
def _pass(draw: DrawFn, names: list[str], passes: tuple[str, ...]) -> str:
    return draw(st.sampled_from(passes)).replace("NAME", draw(st.sampled_from(names)))


def _some(lines: tuple[str, ...], most: int) -> SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(lines), max_size=most, unique=True)


def _each_once(lines: Iterable[str]) -> list[str]:
    """Return lines without those that nginx accepts once in a block, but for the first one."""
    found: dict[str, str] = {}
    for line in lines:
        words = line.split()
        is_repeated = words[0] in {"server", "location", "if", "proxy_set_header", "set"}
        found.setdefault(line if is_repeated else words[0], line)
    return list(found.values())


def _block(head: str, lines: list[str], depth: int, *, in_one_line: bool = False) -> str:
    """Return a block; inner ones are indented already."""
    outer = "    " * depth
    if in_one_line and not any("#" in line or "\n" in line for line in lines):
        return f"{outer}{head} {{ {' '.join(line.strip() for line in lines)} }}"
    inner = [line if line.startswith(outer) else f"{outer}    {line}" for line in lines]
    return "\n".join((f"{outer}{head} {{", *inner, f"{outer}}}"))
