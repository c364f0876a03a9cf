"""`python -m proxy` as a process: flags, events, commands, signals, workers."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import aiohttp
import psutil
import pytest

from proxy.__main__ import main
from tests import needs
from tests.messages.model import Step
from tests.process_end import still_running
from tests.proxy_loops import HAS_UVLOOP, LOOPS
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import TIMEOUT_S, Received, Upstream, echo


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "proxy", *flags]
    return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


GOOD = ("--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9", "--mode", "short")


@pytest.mark.parametrize(
    ("flags", "talk"),
    [
        ((), "the following arguments are required: --listen, --upstream, --mode"),
        ((*GOOD, "--listen", "nowhere"), "'nowhere' is not HOST:PORT"),
        ((*GOOD, "--listen", "127.0.0.1:70000"), "is not HOST:PORT"),
        ((*GOOD, "--upstream", "127.0.0.1:0"), "has no port"),
        ((*GOOD, "--upstream", "no.such.host.invalid:1"), "cannot resolve 'no.such.host.invalid'"),
        ((*GOOD, "--mode", "long"), "invalid choice: 'long'"),
        ((*GOOD, "--workers", "0"), "'0' is not a whole number of at least 1"),
        ((*GOOD, "--pool-max", "-1"), "not a whole number"),
        ((*GOOD, "--pool-idle", "many"), "'many' is not a whole number"),
        ((*GOOD, "--read-timeout", "nan"), "'nan' is not a number of seconds above 0"),
        ((*GOOD, "--read-timeout", "0"), "not a number of seconds"),
        ((*GOOD, "--source", "here"), "'here' is not an IP address"),
        ((*GOOD, "--source", "::1"), "are of different families"),
        ((*GOOD, "--pool-idel", "1"), "unrecognized arguments: --pool-idel"),
        ((*GOOD, "--loop", "trio"), "invalid choice: 'trio'"),
        ((*GOOD, "--min-body-rate", "-1"), "not a whole number of at least 0"),
        ((*GOOD, "--upstream", "unix:socket"), "'socket' is not the absolute path of a socket"),
        ((*GOOD, "--upstream", "unix:/" + "x" * 107), "of at most 107 bytes"),
        ((*GOOD, "--upstream", "unix:/s", "--source", "127.0.0.1"), "are of different families"),
    ],
)
def test_misuse(flags: tuple[str, ...], talk: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert talk in said.err


def test_misuse_ends_the_process() -> None:
    result = run(*GOOD, "--mode", "long")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run(*GOOD, "--listen", address)
    assert (result.returncode, result.stdout) == (3, "")
    assert (
        result.stderr
        == f"proxy: cannot listen on {address}: address already in use; choose another address or port\n"
    )


def test_too_few_files() -> None:
    result = run(*GOOD, "--max-clients", "1000000000")
    assert (result.returncode, result.stdout) == (3, "")
    assert "open files" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "flags", "said"),
    [
        ("uvloop", ("--loop", "uvloop"), "proxy: --loop uvloop is not installed;"),
        ("h2", ("--http2",), "proxy: --http2 needs the library h2;"),
    ],
)
def test_a_package_that_is_not_installed(
    package: str,
    flags: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main([*GOOD, *flags]) == 2
    words = capsys.readouterr()
    assert (words.out, words.err.count("\n")) == ("", 1)
    assert words.err.startswith(said)


def test_events_and_commands(upstream: Upstream) -> None:
    with running(upstream) as proxy:
        keys = {"event", "role", "pid", "version", "listen", "workers", "loop", "python"}
        assert proxy.ready.keys() == keys
        assert (proxy.ready["event"], proxy.ready["pid"], proxy.ready["workers"]) == ("ready", proxy.pid, 1)
        with Client(proxy) as client:
            client.request("/")
        count = proxy.count()
        assert (count["event"], count["requests"]) == ("count", 1)
        done = proxy.stop()
        assert done == {**count, "event": "done", "accepted": done["accepted"]}
        assert done["first_exhausted_ns"] is None


@pytest.mark.parametrize("loop", LOOPS)
def test_the_loop_that_runs_is_told(loop: str, upstream: Upstream) -> None:
    with running(upstream, "--loop", loop) as proxy, Client(proxy) as client:
        assert proxy.ready["loop"].split(" ")[0] == loop
        assert proxy.ready["python"] == platform.python_version()
        assert client.request("/").status == 200
        proxy.stop()


def test_uvloop_is_chosen_where_it_is_installed(upstream: Upstream) -> None:
    with running(upstream) as proxy:
        assert proxy.ready["loop"].startswith("uvloop " if HAS_UVLOOP else "asyncio")


def refuses(proxy: ProxyProcess) -> bool:
    """Tell whether nobody listens any more."""
    try:
        proxy.connect().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        """It waited with one worker's listener when that closed, and another worker's may be open."""
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_drains(number: signal.Signals, workers: str, upstream: Upstream) -> None:
    """The exchange under way is finished, the connection is closed, nobody new gets in."""
    asked, go = socket.socketpair()

    def wait(request: object) -> object:
        go.recv(1)
        return echo(request)  # type: ignore[arg-type]

    upstream.script = wait  # type: ignore[assignment]
    with (
        asked,
        go,
        running(upstream, "--workers", workers) as proxy,
        Client(proxy) as busy,
        Client(proxy) as idle,
    ):
        busy.sock.sendall(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
        while proxy.count()["requests"] == 0:
            """Until it has come in."""
        proxy.signal(number)
        assert idle.ended()
        while not refuses(proxy):
            """Until every worker has closed its listener."""
        asked.send(b"!")
        response = busy.read()
        assert response is not None
        assert (response.content, response.fields[b"connection"]) == (b"/last", b"close")
        assert busy.ended()
        assert proxy.done()["requests"] == 1


def test_a_drain_ends_in_time(upstream: Upstream) -> None:
    upstream.script = lambda _: ()
    with running(upstream, "--drain-timeout", "0.1") as proxy, Client(proxy) as client:
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while proxy.count()["requests"] == 0:
            """Until it has come in."""
        proxy.signal()
        assert proxy.done()["errors"]["client"]["aborted"] == 1


@pytest.mark.parametrize("workers", ["1", "3"])
def test_no_worker_outlives_the_harness(workers: str, upstream: Upstream) -> None:
    with running(upstream, "--workers", workers) as proxy:
        processes = [psutil.Process(proxy.pid), *psutil.Process(proxy.pid).children()]
        assert len(processes) == (1 if workers == "1" else 4)
        proxy.close_stdin()
        assert still_running(processes, TIMEOUT_S) == []


def test_workers_die_with_their_parent(upstream: Upstream) -> None:
    with running(upstream, "--workers", "2") as proxy:
        children = psutil.Process(proxy.pid).children()
        os.kill(proxy.pid, signal.SIGKILL)
        assert still_running(children, TIMEOUT_S) == []


def worker_of(proxy: ProxyProcess, client: Client) -> psutil.Process:
    """Return the worker that has accepted a client."""
    while True:
        for worker in psutil.Process(proxy.pid).children():
            peers = [each.raddr for each in worker.net_connections("tcp") if each.raddr]
            if client.sock.getsockname() in peers:
                return worker


def clients_of_both(proxy: ProxyProcess, stack: contextlib.ExitStack) -> tuple[Client, Client]:
    """Return clients of two workers: the kernel distributes them by chance."""
    first = stack.enter_context(Client(proxy))
    while True:
        other = stack.enter_context(Client(proxy))
        if worker_of(proxy, first) != worker_of(proxy, other):
            return first, other


def test_a_dead_worker_is_replaced_and_the_others_go_on(upstream: Upstream) -> None:
    asked, go = socket.socketpair()

    def wait(request: Received) -> Sequence[Step]:
        if request.target == b"/busy":
            go.recv(1)
        return echo(request)

    upstream.script = wait
    with (
        asked,
        go,
        running(upstream, "--workers", "2") as proxy,
        contextlib.ExitStack() as stack,
    ):
        victim, busy = clients_of_both(proxy, stack)
        busy.sock.sendall(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        while not upstream.requests:
            """Until it has come in."""
        worker_of(proxy, victim).kill()
        assert victim.ended()
        for number in range(20):
            with Client(proxy) as client:
                assert client.request(f"/{number}").content == b"/%d" % number
        asked.send(b"!")
        response = busy.read()
        assert response is not None
        assert response.content == b"/busy"
        assert busy.request("/next").content == b"/next"
        assert proxy.count()["replaced"] == 1
        assert len(psutil.Process(proxy.pid).children()) == 2
        proxy.command("stop")
        done, code, talk = proxy.last_words()
    assert (done["event"], done["replaced"], code) == ("done", 1, 0)
    assert "has died (exit code -9); another one takes its place" in talk
    assert talk.count("\n") == 1


def test_a_stop_while_a_worker_dies_ends_the_others_in_order(upstream: Upstream) -> None:
    """Whichever of the two the parent sees first."""
    with running(upstream, "--workers", "2") as proxy:
        with Client(proxy) as client:
            client.request("/")
            worker = worker_of(proxy, client)
        (other,) = [each for each in psutil.Process(proxy.pid).children() if each != worker]
        proxy.signal(signal.SIGSTOP)
        other.kill()
        proxy.command("stop")
        proxy.signal(signal.SIGCONT)
        done, code, _ = proxy.last_words()
    assert (done["event"], done["requests"], code) == ("done", 1, 0)


def test_workers_that_die_again_and_again_end_the_service(upstream: Upstream) -> None:
    with running(upstream, "--workers", "2") as proxy:
        parent = psutil.Process(proxy.pid)
        while parent.status() != psutil.STATUS_ZOMBIE:
            for worker in parent.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
        code, talk = proxy.wait()
        assert code == 3
        assert "the others are stopped" in talk.splitlines()[-1]


def test_workers_add_up(upstream: Upstream) -> None:
    with running(upstream, "--workers", "2") as proxy:
        for number in range(20):
            with Client(proxy) as client:
                assert client.request(f"/{number}").content == b"/%d" % number
        assert proxy.count()["requests"] == 20
        done = proxy.stop()
        assert (done["accepted"], done["requests"]) == (20, 20)


def test_listening_on_ipv6(upstream: Upstream) -> None:
    with running(upstream, "--listen", "[::1]:0") as proxy, Client(proxy) as client:
        assert client.request("/six").content == b"/six"
        assert upstream.requests[0].values(b"X-Forwarded-For") == [b"::1"]


@needs.program("curl")
def test_curl(upstream: Upstream) -> None:
    with running(upstream) as proxy:
        url = proxy.url
        result = subprocess.run(
            ["curl", "-sS", url + "[1-20]", "-d", "x=y", "-w", "%{http_code} "],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert result.stdout.split() == [f"/{n}200" for n in range(1, 21)]
        old = subprocess.run(
            ["curl", "-sS", "-0", "-I", url], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        assert "200 OK" in old.stdout
        assert proxy.stop()["opened"] == 1


@needs.program("wrk")
@pytest.mark.parametrize("mode", ["keepalive", "short"])
def test_wrk(mode: str, upstream: Upstream) -> None:
    with running(upstream, "--mode", mode) as proxy:
        url = proxy.url
        result = subprocess.run(
            ["wrk", "-c8", "-t1", "-d1s", url], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        assert "Non-2xx" not in result.stdout
        assert "Socket errors" not in result.stdout
        done = proxy.stop()
        assert done["requests"] > 0
        assert done["opened"] == (done["requests"] if mode == "short" else min(8, done["requests"]))


async def test_aiohttp_client(upstream: Upstream) -> None:
    with running(upstream) as proxy:
        url = proxy.url
        async with aiohttp.ClientSession() as session:
            for number in range(10):
                async with session.post(f"{url}{number}", data=b"x" * 1000 * number) as response:
                    assert await response.text() == f"/{number}"
        assert json.dumps(proxy.stop()["reused"]) == "9"
