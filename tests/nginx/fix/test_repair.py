"""Repairs: the edit is as small as it can be, reuse is proven by traffic, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx.check import check
from nginx.errors import NginxConfigError
from nginx.fix.repair import Repair, fix, write
from nginx.rules import CheckSettings
from tests import needs
from tests.nginx import real
from tests.nginx.fix.repairing import CONNECTION, VERSION, Recorder, added, at, exchanged, removed

VERSIONS = ["1.22.1", "1.31.4"]
PROGRAMS = real.programs()
POOL = "upstream app {\n    server BACKEND;\n    keepalive 4;\n}\n"
BARE = "upstream app {\n    server BACKEND;\n}\n"


MAP = "map $http_upgrade $c {\n    default upgrade;\n    '' close;\n}\n"

# What is added and what is taken out, in the order of the file.
TABLE = {
    "no keepalive": (BARE + at("proxy_pass http://app;", VERSION, CONNECTION), ["keepalive 32;"], []),
    "no directive": (POOL + at("proxy_pass http://app;"), [VERSION, CONNECTION], []),
    "HTTP/1.0": (
        POOL + at("proxy_pass http://app;", "proxy_http_version 1.0;", CONNECTION),
        [VERSION],
        ["proxy_http_version 1.0;"],
    ),
    "close": (
        POOL + at("proxy_pass http://app;", VERSION, "proxy_set_header Connection close;"),
        [CONNECTION],
        ["proxy_set_header Connection close;"],
    ),
    "few requests": (
        POOL.replace("}", "    keepalive_requests 2;\n}") + at("proxy_pass http://app;", VERSION, CONNECTION),
        ["keepalive_requests 1000;"],
        ["keepalive_requests 2;"],
    ),
    "map": (
        MAP + POOL + at("proxy_pass http://app;", VERSION, "proxy_set_header Connection $c;"),
        ["'' '';"],
        ["'' close;"],
    ),
    "balancer": (
        POOL.replace("}", "    least_conn;\n}") + at("proxy_pass http://app;", VERSION, CONNECTION),
        ["least_conn;"],
        ["least_conn;"],
    ),
    "list of the server": (
        POOL + at("proxy_pass http://app;", VERSION, around="    proxy_set_header Host x;\n"),
        [CONNECTION],
        [],
    ),
    "literal": (
        at("proxy_pass http://BACKEND/two/;"),
        [
            "upstream NAME {",
            "server BACKEND;",
            "keepalive 32;",
            "}",
            "",
            "proxy_pass http://NAME/two/;",
            "proxy_redirect http://BACKEND/two/ /one/;",
            VERSION,
            "proxy_set_header Host BACKEND;",
            CONNECTION,
        ],
        ["proxy_pass http://BACKEND/two/;"],
    ),
    "literal with other header lines": (
        at("proxy_pass http://BACKEND;", "proxy_set_header X-A a;", "proxy_set_header X-B b;", VERSION),
        [
            "upstream NAME {",
            "server BACKEND;",
            "keepalive 32;",
            "}",
            "",
            "proxy_pass http://NAME;",
            "proxy_redirect http://BACKEND/ /;",
            "proxy_set_header Host BACKEND;",
            CONNECTION,
        ],
        ["proxy_pass http://BACKEND;"],
    ),
    "literal with Host and without redirects": (
        at(
            "proxy_pass http://BACKEND;",
            VERSION,
            CONNECTION,
            "proxy_set_header Host $host;",
            "proxy_redirect off;",
        ),
        ["upstream NAME {", "server BACKEND;", "keepalive 32;", "}", "", "proxy_pass http://NAME;"],
        ["proxy_pass http://BACKEND;"],
    ),
    "literal with variables in its path": (
        at("proxy_pass http://BACKEND$request_uri;", VERSION, CONNECTION),
        [
            "upstream NAME {",
            "server BACKEND;",
            "keepalive 32;",
            "}",
            "",
            "proxy_pass http://NAME$request_uri;",
            "proxy_set_header Host BACKEND;",
        ],
        ["proxy_pass http://BACKEND$request_uri;"],
    ),
    "in one line": (BARE + "server { listen SOCKET; location /one/ { proxy_pass http://app; } }\n", None, []),
}


def repaired(folder: Path, text: str) -> Repair:
    path = folder / "site.conf"
    path.write_text(text)
    return fix(path, VERSIONS)


@pytest.mark.parametrize(("text", "more", "less"), TABLE.values(), ids=TABLE)
def test_the_edit_is_small(text: str, more: list[str] | None, less: list[str], tmp_path: Path) -> None:
    repair = repaired(tmp_path, text.replace("BACKEND", "127.0.0.1:9000"))
    assert len(repair.repaired) == 1
    assert not repair.skipped
    if more is not None:
        named = [
            line.replace("NAME", "backend_127_0_0_1_9000").replace("BACKEND", "127.0.0.1:9000")
            for line in more
        ]
        assert added(repair) == named
        assert removed(repair) == [line.replace("BACKEND", "127.0.0.1:9000") for line in less]


@pytest.mark.parametrize(("text", "more", "less"), TABLE.values(), ids=TABLE)
def test_a_repair_is_complete(text: str, more: object, less: object, tmp_path: Path) -> None:
    repair = repaired(tmp_path, text.replace("BACKEND", "127.0.0.1:9000"))
    write(repair)
    again = fix(tmp_path / "site.conf", VERSIONS)
    assert not again.repaired
    assert not again.skipped
    assert not again.diff()


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("text", [row[0] for row in TABLE.values()], ids=TABLE)
def test_reuse_is_proven_and_nothing_else_changes(text: str, version: str, tmp_path: Path) -> None:
    recorder = Recorder()
    program = PROGRAMS[version]
    with real.serving(recorder.exchange) as server:
        text = text.replace("BACKEND", server.address)
        before = exchanged(program, tmp_path, text, server, recorder)
        accepted = server.accepted
        repair = repaired(tmp_path, text)
        after = exchanged(program, tmp_path, repair.after[str(tmp_path / "site.conf")], server, recorder)
        assert server.accepted - accepted == 1
    assert after == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (at("uwsgi_pass 127.0.0.1:9000;"), "never reused"),
        (at("proxy_pass http://a.example:9000$request_uri;"), "resolved for each request"),
        (at("proxy_pass http://127.0.0.1:9000;", "proxy_cache c;"), "proxy_cache_key"),
        (at("proxy_pass http://127.0.0.1:9000;", "proxy_set_header X-To $proxy_host;"), "$proxy_host"),
        (at("grpc_pass grpc://127.0.0.1:9000;"), ":authority"),
        (at("proxy_pass http://app;", "include x.conf;"), "missing here"),
        (BARE + at("proxy_pass http://app;", "proxy_bind $remote_addr transparent;"), "source address"),
        (BARE + at("proxy_pass http://app;").replace("/one/", "/owa/"), "NTLM"),
        (
            POOL + at("proxy_pass http://app;", VERSION, "set $c close;", "proxy_set_header Connection $c;"),
            "close from elsewhere",
        ),
        ("proxy_pass http://127.0.0.1:9000;", "no server {}"),
        (
            at("location /one/two { uwsgi_pass 127.0.0.1:9001; }", "proxy_pass http://127.0.0.1:9000;"),
            "which inherits from it",
        ),
        (
            at("if ($arg_a) { proxy_pass http://127.0.0.1:9000; }", "uwsgi_pass 127.0.0.1:9001;"),
            "which inherits from it",
        ),
        (
            MAP
            + POOL
            + at("proxy_pass http://app;", VERSION, "proxy_set_header Connection $c; return 200 $c;"),
            "also used by",
        ),
    ],
)
def test_what_cannot_be_repaired_is_left_alone(text: str, reason: str, tmp_path: Path) -> None:
    repair = repaired(tmp_path, text.replace("BACKEND", "127.0.0.1:9000"))
    assert not repair.after
    assert any(reason in refusal.reason for refusal in repair.skipped)


def test_one_pool_serves_all_locations_with_the_same_target(tmp_path: Path) -> None:
    text = at("proxy_pass http://127.0.0.1:9000;") + at("proxy_pass http://127.0.0.1:9000;")
    repair = repaired(tmp_path, text)
    assert len(repair.repaired) == 2
    assert added(repair).count("server 127.0.0.1:9000;") == 1


def test_headers_that_were_inherited_are_repeated_where_a_line_is_added(tmp_path: Path) -> None:
    around = "    proxy_set_header X-A a;\n    proxy_set_header X-B 'b c';\n"
    text = at("proxy_pass https://127.0.0.1:9000;", around=around)
    repair = repaired(tmp_path, text)
    lines = added(repair)
    assert lines[-4:] == [
        "proxy_set_header X-A a;",
        "proxy_set_header X-B 'b c';",
        "proxy_set_header Host 127.0.0.1:9000;",
        CONNECTION,
    ]
    assert "proxy_ssl_name 127.0.0.1;" in lines


@pytest.mark.parametrize(
    ("target", "server", "named", "host"),
    [
        ("http://a.example", "a.example", "http://NAME", "a.example"),
        ("https://a.example/x", "a.example:443", "https://NAME/x", "a.example"),
        ("http://a.example:80/", "a.example:80", "http://NAME/", "a.example"),
        ("http://[::1]:8080", "[::1]:8080", "http://NAME", "[::1]:8080"),
        ("http://unix:/run/app.sock:/x/", "unix:/run/app.sock", "http://NAME/x/", "localhost"),
        ("http://unix:/run/app.sock", "unix:/run/app.sock", "http://NAME", "localhost"),
    ],
)
def test_targets_become_upstreams(target: str, server: str, named: str, host: str, tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text(at(f"proxy_pass {target};"))
    settings = CheckSettings(workers=2, backend_max_connections=200)
    lines = added(fix(tmp_path / "site.conf", VERSIONS, settings=settings))
    name = lines[0].split()[1]
    assert f"server {server};" in lines
    assert f"proxy_pass {named.replace('NAME', name)};" in lines
    assert f"proxy_set_header Host {host};" in lines


def test_comments_and_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "site.conf"
    text = POOL.replace("BACKEND", "127.0.0.1:9000") + at("proxy_pass http://app;  # our application")
    path.write_bytes(text.replace("\n", "\r\n").encode())
    repair = fix(path, VERSIONS)
    write(repair)
    written = path.read_bytes()
    assert written.count(b"\r\n") == written.count(b"\n") == text.count("\n") + 2
    assert b"proxy_pass http://app;  # our application\r\n" in written
    assert [each.verdicts["1.22.1"].answer for each in check(path, ["1.22.1"]).locations] == ["reused"]


def test_several_default_redirects_are_all_said(tmp_path: Path) -> None:
    repair = repaired(
        tmp_path,
        at(
            "proxy_pass http://127.0.0.1:9000;",
            "proxy_redirect default;",
            "proxy_redirect http://a.example/ /;",
        ),
    )
    assert "proxy_redirect http://127.0.0.1:9000/ /;" in added(repair)
    assert removed(repair) == ["proxy_pass http://127.0.0.1:9000;", "proxy_redirect default;"]


def test_new_pools_idle_shorter_than_their_servers(tmp_path: Path) -> None:
    path = tmp_path / "site.conf"
    path.write_text((BARE + at("proxy_pass http://app;")).replace("BACKEND", "127.0.0.1:9000"))
    repair = fix(path, VERSIONS, settings=CheckSettings(backend_idle_s=5))
    assert added(repair)[:2] == ["keepalive 32;", "keepalive_timeout 4s;"]


def test_a_folder_is_repaired_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("events {}\nhttp {\n    include conf.d/*.conf;\n}\n")
    (tmp_path / "conf.d/pools.conf").write_text(BARE.replace("BACKEND", "127.0.0.1:9000"))
    (tmp_path / "conf.d/site.conf").write_text(at("proxy_pass http://app;"))
    repair = fix(tmp_path, VERSIONS)
    assert sorted(Path(file).name for file in repair.after) == ["pools.conf", "site.conf"]
    write(repair)
    assert not fix(tmp_path, VERSIONS).after
    assert [each.verdicts[VERSIONS[0]].answer for each in check(tmp_path, VERSIONS).locations] == ["reused"]


def test_a_dump_is_repaired_by_the_names_in_it_and_not_written() -> None:
    dump = (
        "# configuration file /etc/nginx/nginx.conf:\nevents {}\nhttp {\n    include conf.d/*.conf;\n}\n\n"
        f"# configuration file /etc/nginx/conf.d/a.conf:\n{BARE}{at('proxy_pass http://app;')}\n"
    ).replace("BACKEND", "127.0.0.1:9000")
    repair = fix("standard input", VERSIONS, text=dump)
    assert list(repair.after) == ["/etc/nginx/conf.d/a.conf"]
    assert repair.diff().startswith("--- a/etc/nginx/conf.d/a.conf\n")
    with pytest.raises(NginxConfigError, match="apply the diff"):
        write(repair)


def test_a_map_that_others_use_stays_and_gets_a_copy(tmp_path: Path) -> None:
    text = MAP + POOL + at("proxy_pass http://app;", VERSION, "proxy_set_header Connection $c;")
    more = at(
        "set $to 127.0.0.1:9001;", "proxy_pass http://$to/two;", VERSION, "proxy_set_header Connection $c;"
    )
    repair = repaired(tmp_path, (text + more).replace("BACKEND", "127.0.0.1:9000"))
    assert len(repair.repaired) == len(repair.skipped) == 1
    assert removed(repair) == ["proxy_set_header Connection $c;"]
    assert added(repair) == [
        "map $http_upgrade $c_kept {",
        "default upgrade;",
        "'' '';",
        "}",
        "proxy_set_header Connection $c_kept;",
    ]


def test_a_list_that_others_inherit_stays_and_gets_a_copy(tmp_path: Path) -> None:
    around = "    proxy_set_header Host x;\n    proxy_set_header Connection close;\n"
    around += "    location /two/ { proxy_pass http://10.0.0.7; proxy_cache c; proxy_http_version 1.1; }\n"
    text = POOL + at("proxy_pass http://app;", VERSION, around=around)
    repair = repaired(tmp_path, text.replace("BACKEND", "127.0.0.1:9000"))
    assert (removed(repair), added(repair)) == ([], ["proxy_set_header Host x;", CONNECTION])


def test_what_an_include_puts_into_a_block_stays_there(tmp_path: Path) -> None:
    (tmp_path / "servers.inc").write_text("server 127.0.0.1:9000;\n# the end\n")
    text = "upstream app {\n    include servers.inc;\n}\n" + at("proxy_pass http://app;", VERSION, CONNECTION)
    repair = repaired(tmp_path, text)
    assert repair.after == {
        str(tmp_path / "site.conf"): text.replace("servers.inc;\n", "servers.inc;\n    keepalive 32;\n")
    }


def test_a_file_that_is_included_twice_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pass.inc").write_text("proxy_pass http://127.0.0.1:9000/;\n")
    text = "server {\n    location /a/ { include pass.inc; }\n    location /b/ { include pass.inc; }\n}\n"
    repair = repaired(tmp_path, text)
    assert not repair.after
    assert "included in several places" in repair.skipped[0].reason
