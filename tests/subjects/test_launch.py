"""The launch of a proxy, tried on scripts that behave badly."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.errors import LabError, RoleError
from bench.lab import Host, open_lab
from bench.subjects import envoy, haproxy, programs
from bench.subjects.launch import LaunchSpec, launch, listen_address
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectCounts
from tests import needs

LISTENS = """
import pathlib, signal, socket, sys, time
signalled = pathlib.Path(__file__).with_name("signalled")
signal.signal(signal.SIGHUP, lambda number, frame: signalled.touch())
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
time.sleep(600)
"""
REFUSED = {
    "nginx": ("c", "nonsense;", ("-t", "-q", "-p", "{folder}", "-c", "{folder}/c")),
    "haproxy": ("c", "global\n nonsense 1\n", ("-c", "-f", "{folder}/c")),
    "envoy": (
        "c.json",
        '{"nonsense": 1}',
        ("--mode", "validate", "-c", "{folder}/c.json", "--log-level", "error"),
    ),
    "caddy": (
        "c",
        "http://:1 {\nnonsense\n}\n",
        ("validate", "--config", "{folder}/c", "--adapter", "caddyfile"),
    ),
}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Yield the proxy's host on loopback, whose scratch folders go with it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with open_lab("loopback") as lab:
        yield lab.hosts["proxy"]
        assert len(list(scratch.iterdir())) <= 1
    assert list(scratch.iterdir()) == []


def recipe(listen: str, check: str, run: str, folder: Path) -> LaunchSpec:
    """Return a proxy that is a shell: `check` and `run` are what it does."""
    program = Program("nginx", "/bin/sh", "1.0.0")
    (folder / "listens.py").write_text(LISTENS, encoding="utf-8")
    return LaunchSpec(program, listen, {"conf": "in {folder}"}, ("-c", check), ("-c", run))


def listening(listen: str, folder: Path) -> str:
    """Return a command that listens."""
    address, _, port = listen.rpartition(":")
    return f"exec {sys.executable} {folder}/listens.py {address} {port}"


def test_it_is_ready_when_it_listens(host: Host, tmp_path: Path) -> None:
    listen = listen_address(host)
    run = listening(listen, tmp_path)
    running = launch(
        host,
        None,
        recipe(listen, "case $(cat {folder}/conf) in *{folder}*) ;; *) exit 1 ;; esac", run, tmp_path),
    )
    assert (running.address, running.version) == (listen, "1.0.0")
    running.stop()


def test_it_is_signalled_to_read_its_configuration_anew(host: Host, tmp_path: Path) -> None:
    listen = listen_address(host)
    known = recipe(listen, "true", listening(listen, tmp_path), tmp_path)
    running = launch(
        host, None, replace(known, reload=signal.SIGHUP, count=lambda folder: SubjectCounts(opened=7))
    )
    assert running.count() == SubjectCounts(opened=7)
    running.reload()
    while not (tmp_path / "signalled").exists():
        """Until it has taken the signal."""
    assert running.count() == SubjectCounts(), "what it counted before is gone"
    running.stop()
    running = launch(host, None, known)
    with pytest.raises(RoleError, match="no signal makes it read its configuration anew"):
        running.reload()
    running.stop()


def test_a_restart_is_another_process_at_the_same_address(host: Host, tmp_path: Path) -> None:
    listen = listen_address(host)
    running = launch(host, None, recipe(listen, "true", listening(listen, tmp_path), tmp_path))
    before = running.pid
    running.restart()
    assert before != running.pid
    assert before is not None
    assert not psutil.pid_exists(before)
    name, _, port = running.address.rpartition(":")
    socket.create_connection((name, int(port))).close()
    running.stop()


def test_where_nothing_can_be_written_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with open_lab("loopback") as lab, pytest.raises(LabError, match=r"nowhere: No such file.*set TMPDIR"):
        launch(lab.hosts["proxy"], None, recipe("127.0.0.1:1", "true", "true", tmp_path))


@pytest.mark.parametrize(
    ("check", "run", "message"),
    [
        ("echo '[emerg] no such thing' >&2; exit 1", "true", r"refuses its configuration.*\[emerg\] no such"),
        ("true", "echo 'cannot bind' >&2; exit 3", r"ended before it listened.*exit code 3.*cannot bind"),
    ],
)
def test_what_does_not_come_up_is_reported_in_its_own_words(
    check: str, run: str, message: str, host: Host, tmp_path: Path
) -> None:
    with pytest.raises(RoleError, match=message):
        launch(host, None, recipe(listen_address(host), check, run, tmp_path))


def test_haproxys_count_leaves_out_attempts_that_failed() -> None:
    answer = (
        "# pxname,svname,conn_tot,connect,wretr,econ,\nfront,FRONTEND,7,,,,\n"
        "backend,backend1,,100,3,2,\nbackend,backend2,,10,0,0,\nbackend,BACKEND,,110,3,2,\n\n"
    )
    counted = haproxy.parse_counts(answer)
    assert (counted.opened, counted.accepted, counted.lost) == (105, 7, None)


def test_envoys_count_sums_the_clusters() -> None:
    answer = """{"stats": [
        {"name": "cluster.backend1.upstream_cx_total", "value": 100},
        {"name": "cluster.backend1.upstream_cx_connect_fail", "value": 4},
        {"name": "cluster.backend2.upstream_cx_total", "value": 10},
        {"name": "cluster.backend1.assignment_upstream_cx_total", "value": 9},
        {"name": "http.front.downstream_cx_total", "value": 7},
        {"histograms": {}}]}"""
    counted = envoy.parse_counts(answer)
    assert (counted.opened, counted.accepted) == (106, 7)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nginx", "unknown directive"), ("haproxy", "nonsense"), ("envoy", "nonsense"), ("caddy", "nonsense")],
)
def test_a_program_says_itself_what_is_wrong(name: str, message: str, host: Host, tmp_path: Path) -> None:
    """Each real program gets a configuration that it refuses, under the name that its adapter uses."""
    needs.need(name)
    program = programs.find(name)
    file, text, check = REFUSED[name]
    bad = LaunchSpec(program, listen_address(host), {file: text}, check, ())
    with pytest.raises(RoleError, match=f"{name}: its own check refuses.*{message}"):
        launch(host, None, bad)
