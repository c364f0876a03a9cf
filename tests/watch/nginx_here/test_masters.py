"""How nginx was called, by the title of its master or by the arguments of its only process."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from bench.watch.nginx_here import masters
from bench.watch.nginx_here.masters import NginxArguments, find_masters, parse_command_line
from tests import needs

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


# Processes, as /proc shows them

MASTER, WORKER = "nginx: master process /usr/sbin/nginx", "nginx: worker process"
ENDING = "nginx: worker process is shutting down"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for /proc."""
    monkeypatch.setattr(masters, "_PROC", tmp_path)
    (tmp_path / "self").mkdir()
    return tmp_path


def process(proc: Path, pid: int, title: str, *children: int, started_s: int = 0) -> None:
    """Put a process into /proc, which started so many seconds after the machine did."""
    (proc / f"{pid}/task/{pid}").mkdir(parents=True)
    (proc / f"{pid}/cmdline").write_text(f"{title}\0\0")
    (proc / f"{pid}/task/{pid}/children").write_text("".join(f"{child} " for child in children))
    ticks = started_s * os.sysconf("SC_CLK_TCK")
    before = " ".join(["0"] * 18)  # fields 4 to 21, behind the state
    (proc / f"{pid}/stat").write_text(f"{pid} (ng) inx) S {before} {ticks} 0\n")


def workers_of(pids: Collection[int] | None = None) -> dict[int, int]:
    return {each.pid: each.workers for each in find_masters(pids)}


@needs.on_linux
def test_workers_are_those_that_take_requests(proc: Path) -> None:
    process(proc, 10, MASTER, 11, 12, 13, 14)
    process(proc, 11, ENDING, started_s=5)
    process(proc, 12, WORKER, started_s=70)
    process(proc, 13, WORKER, started_s=60)  # the other one had crashed, and began anew
    process(proc, 14, "nginx: cache manager process", started_s=5)
    (found,) = find_masters()
    assert (found.pid, found.workers) == (10, 2)
    boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert found.read_at_s == pytest.approx(boot_s + 60, abs=5)


@needs.on_linux
def test_a_worker_that_has_no_title_yet_is_no_master(proc: Path) -> None:
    process(proc, 10, MASTER, 11)
    process(proc, 11, MASTER)
    assert workers_of() == {10: 1}
    assert workers_of([11]) == {10: 1}


@needs.on_linux
def test_while_the_program_is_upgraded_there_are_two_masters(proc: Path) -> None:
    process(proc, 10, MASTER, 11, 12)
    process(proc, 11, WORKER)
    process(proc, 12, MASTER, 13, 14)
    process(proc, 13, WORKER)
    process(proc, 14, WORKER)
    assert workers_of() == {10: 1, 12: 2}


@needs.on_linux
def test_processes_that_are_not_asked_for_or_have_ended(proc: Path) -> None:
    process(proc, 10, MASTER, 11, 99)
    process(proc, 11, WORKER)
    process(proc, 20, "nginx: master process nginx -p /srv", 21)
    process(proc, 21, WORKER)
    process(proc, 30, "/bin/sh")
    (proc / "40").mkdir()
    assert workers_of() == {10: 1, 20: 1}
    assert workers_of([11]) == {10: 1}
    assert workers_of([20, 30]) == {20: 1}
    assert workers_of([]) == {}
