"""The worker as a process: its pipes, its signals, its limits, and without a harness."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic_ns
from typing import Any

import psutil
import pytest

from bench.load import standalone
from bench.load.__main__ import WorkerControl
from bench.load.job import LoadJob
from bench.load.pipes import CommandError, parse_command
from bench.load.poller import Poller
from tests.load.scripted import answer, answering, serving

ARGV = [sys.executable, "-m", "bench.load"]


def job_line(port: int, **changes: Any) -> bytes:
    values: dict[str, Any] = {"connections": 2, "warmup_s": 0.0, "duration_s": 30.0, "body_bytes": (5, 5)}
    job = LoadJob("127.0.0.1", port, "a", **values | changes)
    return json.dumps({"command": "job", **job.to_json()}).encode() + b"\n"


@contextmanager
def worker(argv: list[str] = ARGV) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker; whatever the test does, it ends with it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def send(process: subprocess.Popen[bytes], command: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(command)
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes], name: str) -> dict[str, Any]:
    """Return the next event called `name`, skipping seconds."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
        assert event["event"] == "second"
    raise AssertionError(f"ended without {name}: {process.stderr.read()!r}" if process.stderr else "")


def go(at_ns: int) -> bytes:
    return b'{"command": "go", "start_ns": %d}\n' % at_ns


def test_job_ready_go_second_done() -> None:
    with serving(answering(answer)) as server, worker() as process:
        send(process, job_line(server.port, duration_s=0.2, worker=4))
        assert receive(process, "ready") == {
            "event": "ready",
            "role": "client",
            "pid": process.pid,
            "worker": 4,
        }
        assert server.accepted == 0
        start_ns = monotonic_ns() + 10_000_000
        send(process, go(start_ns))
        second = receive(process, "second")
        assert (second["second"], second["start_ns"], second["in_window"]) == (0, start_ns, True)
        done = receive(process, "done")
        assert process.wait() == 0
    assert done["requests_total"] == len(server.seen) > 0
    assert done["first_connect_ns"] >= start_ns
    assert not done["interrupted"]


@pytest.mark.parametrize("how", ["command", "SIGTERM", "SIGINT"])
def test_stop_drains(how: str) -> None:
    with serving(answering(answer)) as server, worker() as process:
        send(process, job_line(server.port))
        receive(process, "ready")
        send(process, go(monotonic_ns()))
        receive(process, "second")
        if how == "command":
            send(process, b'{"command": "stop"}\n')
        else:
            process.send_signal(signal.Signals[how])
        done = receive(process, "done")
        assert process.wait() == 0
    assert done["interrupted"]
    assert done["requests_total"] == len(server.seen)
    assert sum(done["errors_total"].values()) == 0


def test_stop_before_go_is_done_at_once() -> None:
    with worker() as process:
        send(process, job_line(9))
        receive(process, "ready")
        send(process, b'{"command": "stop"}\n')
        assert receive(process, "done")["interrupted"]
        assert process.wait() == 0


@pytest.mark.parametrize("when", ["job", "go", "done"])
def test_it_ends_with_the_harness(when: str) -> None:
    with serving(answering(answer)) as server, worker() as process:
        assert process.stdin is not None
        if when != "job":
            send(process, job_line(server.port))
            receive(process, "ready")
        if when == "done":
            send(process, go(monotonic_ns()))
            receive(process, "second")
        process.stdin.close()
        assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


GOOD = json.loads(job_line(9))
ENDLESS = ("Infinity", "-Infinity", "NaN", "1" * 400, "1e999", "-1", '"1"', "[]", "{}", "true")
"""What is no number of seconds, in JSON."""


def changed(**changes: str) -> bytes:
    """Return the line of a job with other values, given in JSON."""
    values = {key: json.dumps(value) for key, value in GOOD.items()} | changes
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in values.items()) + "}\n").encode()


WRONG_LINES = [
    b"hello\n",
    b"{}\n",
    b'{"command": "job", "colour": 1}\n',
    b"[]\n",
    b"7\n",
    b"\xff\n",
    b"[" * 100_000 + b"]" * 100_000 + b"\n",
    b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n",
    changed(colour="1"),
    changed(headers="[[" * 450 + "]]" * 450),
    changed(connections="9" * 5000),
    changed(host='"nowhere"'),
    changed(host='"\\u0000"'),
    changed(host_field='"a\\r\\nb: c"'),
    changed(paths='[["/\\u20ac", 1]]'),
    changed(paths='[["/ x", 1]]'),
    changed(paths='[["/", 0]]'),
    changed(paths="[]"),
    changed(body='"no base64"'),
    changed(headers='[["Content-Length", "5"]]'),
    changed(method='"GET /"'),
    changed(headers='[["A", "b\\nc"]]'),
    changed(headers='["AB"]'),
    changed(headers='{"A": "b"}'),
    changed(client_mode='"both"'),
    changed(statuses="[[200]]"),
    changed(statuses="[[299, 200]]"),
    changed(statuses="[[0, 1e9]]"),
    changed(body_bytes="[0.0, 5]"),
    changed(echo='"yes"'),
    changed(rate="0"),
]


@pytest.mark.parametrize("line", WRONG_LINES, ids=lambda line: ascii(line[:40]))
def test_an_invalid_job_is_rejected_with_a_short_reason(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        LoadJob.from_json(parse_command(line))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("line", WRONG_LINES[:8:3], ids=lambda line: ascii(line[:40]))
def test_an_invalid_job_ends_the_worker_in_one_line(line: bytes) -> None:
    with worker() as process:
        send(process, line)
        assert process.wait() == 2
        assert process.stderr is not None
        message = process.stderr.read().decode()
    assert message.startswith("client: the first line is not a job: ")
    assert message.count("\n") == 1


def read_start(line: bytes) -> int:
    """Return what a worker makes of the line that should be `go`."""
    control = WorkerControl(Poller())
    control.read_command = partial(parse_command, line)  # type: ignore[method-assign]
    return control.read_start()


@pytest.mark.parametrize("value", ENDLESS)
def test_a_start_that_is_no_moment_is_rejected(value: str) -> None:
    assert read_start(b'{"command": "go", "start_ns": 7}\n') == 7
    with pytest.raises(CommandError, match=r"^start_ns = "):
        read_start(b'{"command": "go", "start_ns": %b}\n' % value.encode())


def test_what_is_no_command_ends_the_worker_in_one_line() -> None:
    with worker() as process:
        send(process, job_line(9))
        receive(process, "ready")
        send(process, go(1 << 70))
        assert process.wait() == 2
        assert process.stderr is not None
        message = process.stderr.read().decode()
    assert message.startswith("client: a line is not a command: start_ns = ")
    assert message.count("\n") == 1


def test_what_is_no_command_ends_the_load_in_one_line() -> None:
    with serving(answering(answer)) as server, worker() as process:
        send(process, job_line(server.port, warmup_s=0.05))
        receive(process, "ready")
        send(process, go(monotonic_ns()))
        receive(process, "second")
        send(process, b"what\n")
        assert process.wait() == 2
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"client: a line is not a command: ")


def test_too_low_a_file_limit_is_rejected_before_anything_is_opened() -> None:
    shell = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *ARGV]
    with worker(shell) as process:
        send(process, job_line(9, connections=100))
        assert process.wait() == 3
        assert process.stderr is not None
        assert process.stderr.read().decode() == (
            "client: 100 connections need 132 open files, and the limit is 64;"
            " raise it (ulimit -Hn 132) or use more workers\n"
        )


def test_a_soft_file_limit_is_raised() -> None:
    shell = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *ARGV]
    with worker(shell) as process:
        send(process, job_line(9, connections=100))
        receive(process, "ready")
        soft, _ = psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE)
        assert soft >= 100


def test_commands_may_come_from_a_file(tmp_path: Path) -> None:
    with serving(answering(answer)) as server:
        commands = tmp_path / "commands"
        commands.write_bytes(job_line(server.port, requests=5) + go(monotonic_ns()))
        with commands.open("rb") as file:
            ran = subprocess.run(ARGV, stdin=file, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert json.loads(ran.stdout.splitlines()[-1])["requests_total"] == len(server.seen) >= 5


def test_without_stdin_there_is_no_job() -> None:
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *ARGV]
    ran = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("client: the first line is not a job: stdin cannot be read: ")
    assert ran.stderr.count("\n") == 1


def test_a_worker_imports_little() -> None:
    """What it imports is paid for on the machine that is measured, once a worker."""
    code = "import sys, bench.load.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    heavy = {"asyncio", "uvloop", "click", "numpy", "matplotlib", "subprocess", "argparse", "http", "ssl"}
    assert not heavy & set(loaded.stdout.split())


def run_standalone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ARGV, *arguments], capture_output=True, text=True, check=False)


def test_standalone_prints_one_line() -> None:
    with serving(answering(answer)) as server:
        target = f"http://127.0.0.1:{server.port}/a?b=c"
        ran = run_standalone(
            "--target", target, "--requests", "50", "--connections", "2", "--response-size", "5"
        )
    assert ran.returncode == 0
    assert ran.stdout.count("\n") == 1
    done = json.loads(ran.stdout)
    assert done["requests"] >= 50
    assert done["requests_total"] == len(server.seen)
    assert done["latency_us"]["p50"] <= done["latency_us"]["max"]
    assert all(request.head.startswith(b"GET /a?b=c&n=") for request in server.seen)


TARGET = ("--target", "http://127.0.0.1:9/")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "http://nowhere.invalid/"), "client: --target http://nowhere.invalid/: "),
        (("--target", "ftp://127.0.0.1/"), "client: --target ftp://127.0.0.1/: "),
        (("--target", "http://127.0.0.1:99999/"), "client: --target http://127.0.0.1:99999/: "),
        (("--target", "http://127.0.0.1:0/"), "client: port = 0 is not "),
        (("--target", "http://me@127.0.0.1/"), "client: --target http://me@127.0.0.1/: "),
        (("--target", f"http://{'a' * 64}.invalid/"), "client: --target http://aaa"),
        (("--target", "http://127.0.0.1:9/a b"), "client: paths = "),
        (("--target", "http://127.0.0.1:9/\u20ac"), "client: paths = "),
        ((*TARGET, "--duration", "inf"), "client: duration_s = inf is not "),
        ((*TARGET, "--warmup", "nan"), "client: warmup_s = nan is not "),
        ((*TARGET, "--duration", "-1"), "client: duration_s = -1.0 is not "),
        ((*TARGET, "--rate", "0"), "client: rate = 0 is no rate"),
        ((*TARGET, "--rate", "1e400"), "client: rate = inf is not "),
        ((*TARGET, "--connections", "-1"), "client: connections = -1 is not "),
        ((*TARGET, "--connections", "9" * 400), "client: connections = 999"),
        ((*TARGET, "--connections", "9" * 5000), "client: argument --connections: "),
        ((*TARGET, "--requests", "-5"), "client: requests = -5 is not "),
        ((*TARGET, "--requests-per-connection", "0"), "client: requests_per_connection = 0 is not "),
        ((*TARGET, "--response-size", "-1"), "client: body_bytes = (-1, -1) is not "),
        ((*TARGET, "--colour", "red"), "client: unrecognized arguments: --colour red"),
        ((), "client: the following arguments are required: --target"),
    ],
)
def test_standalone_rejects_what_cannot_be_in_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = standalone.main([*arguments])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


def test_standalone_says_that_its_totals_cannot_be_written() -> None:
    with open("/dev/full", "wb") as full:
        argv = [*ARGV, *TARGET, "--requests", "0"]
        ran = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 3
    assert ran.stderr == "client: the totals cannot be written: No space left on device\n"
