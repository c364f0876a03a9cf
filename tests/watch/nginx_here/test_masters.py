"""How nginx was called, by the title of its master or by the arguments of its only process."""

from __future__ import annotations

import pytest

from bench.watch.nginx_here.masters import NginxArguments, parse_command_line

SBIN = "/usr/sbin/nginx"
TITLES = {
    SBIN: NginxArguments(SBIN),
    "nginx -g daemon off;": NginxArguments("nginx", directives="daemon off;"),
    f"{SBIN} -g daemon on; master_process on;": NginxArguments(
        SBIN, directives="daemon on; master_process on;"
    ),
    f"{SBIN} -c /etc/nginx/nginx.conf": NginxArguments(SBIN, conf="/etc/nginx/nginx.conf"),
    f"{SBIN} -c/etc/nginx/nginx.conf": NginxArguments(SBIN, conf="/etc/nginx/nginx.conf"),
    f"{SBIN} -p /srv/web -c conf/web.conf -e stderr -g daemon off; -q": NginxArguments(
        SBIN, "/srv/web", "conf/web.conf", "stderr", "daemon off;"
    ),
    f"{SBIN} -g worker_processes 2; -c /srv/my web/nginx.conf": NginxArguments(
        SBIN, conf="/srv/my web/nginx.conf", directives="worker_processes 2;"
    ),
    f"{SBIN} -qc /a.conf": NginxArguments(SBIN, conf="/a.conf"),
    f"{SBIN} -c /old.conf -c /new.conf": NginxArguments(SBIN, conf="/new.conf"),
    f"{SBIN} -c": NginxArguments(SBIN, conf=""),
}


@pytest.mark.parametrize(("title", "arguments"), TITLES.items())
def test_titles_of_masters(title: str, arguments: NginxArguments) -> None:
    # The title takes the place of the arguments and of the environment, whose end is filled up.
    raw = f"nginx: master process {title}".encode() + bytes(40)
    assert parse_command_line(raw) == arguments


ONLY_PROCESSES = {
    b"/usr/sbin/nginx\0-c\0/srv/my web/nginx.conf\0-g\0master_process off; daemon off;\0": NginxArguments(
        SBIN, conf="/srv/my web/nginx.conf", directives="master_process off; daemon off;"
    ),
    b"nginx\0": NginxArguments("nginx"),
    b"nginx: worker process\0": None,
    b"nginx: cache manager process\0": None,
    b"nginx\0-t\0-c\0/a.conf\0": None,
    b"nginx\0-s\0reload\0": None,
    b"/bin/sh\0nginx\0": None,
    b"vim\0/etc/nginx\0": None,
    b"": None,
}


@pytest.mark.parametrize(("raw", "arguments"), ONLY_PROCESSES.items())
def test_processes_without_a_master(raw: bytes, arguments: NginxArguments | None) -> None:
    assert parse_command_line(raw) == arguments


def test_arguments_may_be_given_again() -> None:
    raw = b"nginx: master process nginx -e stderr -g daemon off; -p /srv -c web.conf"
    arguments = parse_command_line(raw)
    assert arguments is not None
    assert arguments.to_list() == ["-p", "/srv", "-c", "web.conf", "-e", "stderr", "-g", "daemon off;"]
