"""What `nginx -T` prints, as it arrives through terminals, containers and shells."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx.check import check
from nginx.errors import NginxConfigError
from nginx.loading import sources
from nginx.loading.dumps import split_dumps
from tests import command_line

MAIN = "# configuration file /etc/nginx/nginx.conf:\nevents {}\nhttp { include conf.d/*.conf; }\n\n"
SITE = (
    "# configuration file /etc/nginx/conf.d/a.conf:\n"
    "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
    "server { location / { proxy_pass http://app; proxy_http_version 1.1;"
    ' proxy_set_header Connection ""; } }\n'
)
DUMP = MAIN + SITE
WARNING = 'nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored\n'
LOGGED = "2026/11/30 06:47:00 [notice] 1#1: using the epoll event method\n"
SUCCESS = (
    "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
    "nginx: configuration file /etc/nginx/nginx.conf test is successful\n"
)


@pytest.mark.parametrize(
    "text",
    [
        DUMP,
        DUMP.replace("\n", "\r\n"),
        (SUCCESS + DUMP).replace("\n", "\r\n"),
        WARNING + SUCCESS + DUMP,
        MAIN + WARNING + SITE,
        MAIN + SITE.replace("server { location", f"{WARNING}server {{ location"),
        MAIN.replace("events", f"{LOGGED}events") + SITE + LOGGED,
        'Defaulted container "web" out of: web, logs\n' + DUMP,
        "root@web1:/# nginx -T\n" + DUMP + "root@web1:/# ",
        "[ops@web1 conf.d]$ sudo nginx -T\n" + DUMP + "[ops@web1 conf.d]$ exit\n",
        "/ # nginx -T\n" + DUMP + "/etc/nginx # \n",
        DUMP + "bash-5.1$ ",
        MAIN + 'Defaulted container "web" out of: web, logs\r\n' + SITE.replace("\n", "\r\n"),
        DUMP + "command terminated with exit code 1\n",
        DUMP.replace("# configuration", "\x1b[32m# configuration").replace(".conf:", ".conf:\x1b[0m"),
        "\ufeff" + DUMP,
        "root@web:/# nginx -T\n" + DUMP,
    ],
)
def test_a_dump_is_read_whatever_it_came_through(text: str) -> None:
    (location,) = check("-", ["1.22.1"], text=text).locations
    assert location.verdicts["1.22.1"].answer == "reused"
    assert (location.place.file, location.place.line) == ("/etc/nginx/conf.d/a.conf", 2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_a_dump_that_powershell_wrote(encoding: str, tmp_path: Path) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "dump.txt").write_bytes(mark + DUMP.replace("\n", "\r\n").encode(encoding))
    (location,) = check(tmp_path / "dump.txt", ["1.22.1"]).locations
    assert location.verdicts["1.22.1"].answer == "reused"


def test_each_pods_dump_is_a_configuration() -> None:
    other = DUMP.replace("keepalive 8; ", "")
    assert [list(each) for each in split_dumps(DUMP + other)] == [
        ["/etc/nginx/nginx.conf", "/etc/nginx/conf.d/a.conf"]
    ] * 2
    found = check("-", ["1.22.1"], text=DUMP + other).locations
    assert [each.verdicts["1.22.1"].answer for each in found] == ["reused", "not reused"]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"\x1f\x8b\x08\0\0\0\0\0", "compressed (gzip)"),
        ("server { }".encode("utf-16"), "UTF-16"),
        (b"server {\n\0}", "2: holds a NUL byte"),
    ],
)
def test_what_no_nginx_reads_is_refused_by_its_kind(raw: bytes, named: str) -> None:
    with pytest.raises(NginxConfigError) as refused:
        sources.decode(raw, "x")
    assert named in str(refused.value)


@pytest.mark.parametrize("command", ["check", "fix", "prove"])
def test_what_nginx_says_of_an_error_is_no_configuration(command: str) -> None:
    said = 'nginx: [emerg] open() "/etc/nginx/key.pem" failed (13: Permission denied)\n'
    done = command_line.run(command, "-", stdin=said + said.replace("emerg", "alert"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "what a program wrote: nginx: [emerg] open()" in done.stderr
