"""`bench watch` from its arguments to its exit code, on made-up snapshots; and on this host, for real."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from bench.commands import json_output
from bench.commands.watch import watch_command
from bench.commands.watch_options import ListenAddress
from bench.runs import storage
from bench.watch import opening, stop_signals
from bench.watch.model import RequestFlow, Snapshot
from bench.watch.session import Session
from tests import bench_process, command_line, needs
from tests.watch.made_up import UPSTREAM, kept, short, watched
from tests.watch.scripted import ScriptedWatch, ToldClock

REQUESTS = (RequestFlow("log", 2_000, port=8080),)
CHURN = watched([replace(row, requests=REQUESTS) for row in short(UPSTREAM, 2_000, 40)])
HEALTHY = watched(kept(UPSTREAM, 8, 40))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> ScriptedWatch:
    """Let the command watch a hop that churns."""
    return _made_up(monkeypatch, CHURN)


def _made_up(monkeypatch: pytest.MonkeyPatch, snapshots: Sequence[Snapshot]) -> ScriptedWatch:
    watch, clock = ScriptedWatch(snapshots), ToldClock()
    monkeypatch.setattr(opening, "open_watch", lambda scope, asked: watch)
    monkeypatch.setattr(opening, "Session", partial(Session, clock=clock))
    monkeypatch.setattr(stop_signals, "heed_signals", lambda: nullcontext(clock))
    return watch


def test_once_answers_with_the_verdict_and_ends_with_1(made_up: ScriptedWatch) -> None:
    done = command_line.run("watch", "--once")
    assert (done.exit_code, done.stderr) == (1, "")
    assert "10.0.0.2:8080" in done.stdout.splitlines()[0]
    assert "TIME_WAIT" in done.stdout
    assert "\x1b" not in done.stdout
    assert made_up.is_closed


def test_once_ends_with_0_where_nothing_is_wasted(monkeypatch: pytest.MonkeyPatch) -> None:
    _made_up(monkeypatch, HEALTHY)
    done = command_line.run("watch", "--once")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.lower().startswith("nothing here wastes connections")


def test_without_a_terminal_each_look_is_a_line(made_up: ScriptedWatch) -> None:
    done = command_line.run("watch", "--duration", "5s")
    assert done.exit_code == 1
    printed = done.stdout.splitlines()
    at = [number for number, line in enumerate(printed) if "; opened " in line]
    assert len(at) == 5
    above, below = printed[: at[-1]], printed[at[-1] :]
    assert sum(line.startswith("Seen in") for line in above) <= 2, "a verdict is told when it is another"
    assert any(line.startswith("Seen in 5 s") for line in below), "and at the end"


def test_json_has_a_line_for_each_look_by_its_schema(made_up: ScriptedWatch) -> None:
    done = command_line.run("watch", "--json", "--duration", "5s")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    for line in lines:
        jsonschema.validate(line, json_output.schema("watch"))
    assert lines[-1]["hops"][0]["hop"] == {"direction": "outgoing", "peer": "10.0.0.2", "port": 8080}
    assert lines[-1]["verdict"]["findings"][0]["pattern"] == "short-connections"
    assert done.exit_code == 1


def test_once_with_json_is_one_line(made_up: ScriptedWatch) -> None:
    done = command_line.run("watch", "--json", "--once")
    assert json.loads(done.stdout)["verdict"]["is_wasteful"]
    assert done.stdout.count("\n") == 1


def test_a_recording_is_a_run_that_show_report_export_and_list_take(
    made_up: ScriptedWatch, tmp_path: Path
) -> None:
    folder = tmp_path / "before"
    done = command_line.run("watch", "--record", folder, "--duration", "20s")
    assert (done.exit_code, f"results: {folder}" in done.stderr) == (1, True)
    shown = command_line.run("show", folder)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "10.0.0.2:8080" in shown.stdout
    assert "A watch of this host" in shown.stdout
    printed = json.loads(command_line.run("show", "--json", folder).stdout)
    jsonschema.validate(printed, json_output.schema("show"))
    assert {case["case"] for case in printed["cases"]} == {"host", "10.0.0.2:8080"}
    page = tmp_path / "page.html"
    assert command_line.run("report", folder, "-o", page).exit_code == 0
    written = page.read_text(encoding="utf-8")
    assert "10.0.0.2:8080" in written
    assert '<td class="words">to 10.0.0.2:8080: ' in written
    assert "seconds since the start" in written
    for form in ("markdown", "csv", "openmetrics"):
        exported = command_line.run("export", folder, "-f", form)
        assert (exported.exit_code, "10.0.0.2:8080" in exported.stdout) == (0, True), form
    assert "a watch of this host" in command_line.run("list", "-o", tmp_path).stdout
    (listed,) = json.loads(command_line.run("list", "--json", "-o", tmp_path).stdout)
    assert (listed["kind"], listed["scope"]) == ("watch", "this host")


def test_a_recording_whose_folder_was_removed_meanwhile_is_not_promised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "before"

    class Removing(ScriptedWatch):
        def snapshot(self) -> Snapshot:
            if self.taken == 15:
                shutil.rmtree(folder)
            return super().snapshot()

    _made_up(monkeypatch, CHURN)
    monkeypatch.setattr(opening, "open_watch", lambda scope, asked: Removing(CHURN))
    done = command_line.run("watch", "--record", folder, "--duration", "20s")
    assert (done.exit_code, "results:" in done.stderr) == (1, False)
    assert f"bench: {folder}: was removed while it was written; nothing is left of it\n" in done.stderr


@pytest.mark.usefixtures("made_up")
def test_a_disk_that_is_full_at_the_end_of_a_recording_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, written = storage._append, list[str]()

    def refuse(file: Any, text: str) -> None:
        written.append(text)
        if len(written) > 3:  # the heads of the three files come first
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, text)

    monkeypatch.setattr(storage, "_append", refuse)
    folder = tmp_path / "full"
    done = command_line.run("watch", "--record", folder, "--duration", "5s")
    assert f"bench: {folder}: No space left on device; the recording ends here" in done.stderr
    assert f"bench: {folder}: nothing was recorded" in done.stderr


def test_a_recording_that_is_there_is_not_written_over(made_up: ScriptedWatch, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text("mine")
    done = command_line.run("watch", "--record", tmp_path, "--duration", "5s")
    assert (done.exit_code, done.stderr) == (2, f"bench: {tmp_path}: is not empty; name a new folder\n")
    assert (tmp_path / "run.jsonl").read_text() == "mine"
    assert made_up.is_closed


def test_an_anonymous_recording_names_no_address(made_up: ScriptedWatch, tmp_path: Path) -> None:
    folder = tmp_path / "masked"
    command_line.run("watch", "--record", folder, "--anonymize", "--duration", "5s")
    written = "".join(each.read_text(encoding="utf-8") for each in folder.iterdir())
    assert ("10.0.0.2" in written, "peer-1:8080" in written) == (False, True)


def test_metrics_are_served_while_it_watches(made_up: ScriptedWatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = command_line.run("watch", "--openmetrics", f":{port}", "--duration", "5s")
    assert done.exit_code == 1
    assert f"bench: metrics at http://127.0.0.1:{port}/metrics" in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (":9100", ("127.0.0.1", 9100)),
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("[::1]:9100", ("::1", 9100)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_where_metrics_are_served(typed: str, expected: tuple[str, int]) -> None:
    assert ListenAddress().convert(typed, None, None) == expected


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--exact --sampled", "--exact has no effect beside --sampled; leave one of them out"),
        ("--once --duration 9s", "--duration 9s has no effect beside --once; leave one of them out"),
        ("--once --record x", "--once has no effect beside --record x; leave one of them out"),
        ("--once --openmetrics :1", "--once has no effect beside --openmetrics :1; leave one of them out"),
        ("--anonymize", "--anonymize has no effect without --record; add it or leave --anonymize out"),
        ("--log-format x", "--log-format x has no effect without --requests"),
        ("--pid 1 --process nginx", "--pid 1 has no effect beside --process nginx"),
        ("--netns a --container b", "--netns a has no effect beside --container b"),
        ("--openmetrics :0", "':0' has no port from 1 to 65535; write :9100"),
        ("--openmetrics :70000", "':70000' has no port from 1 to 65535"),
        ("--openmetrics ::1:9100", "'::1:9100' is not HOST:PORT; write an IPv6 address as [::1]:9100"),
        ("--interval 0", "'0' is not between 0.1s and 60s"),
        ("--interval x", "'x' is not a duration"),
        ("--duration 0.5s", "'0.5s' is not between 1s and 604800s"),
        ("--pid 0", "0 is not in the range"),
        ("--requests nonsense", "names no source of requests; write nginx-status:"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    typed: str, said: str, made_up: ScriptedWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command_line.run("watch", *typed.split())
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done
    assert said in done.stderr
    assert (list(tmp_path.iterdir()), made_up.taken) == ([], 0)


# -- this host, for real


@needs.on_linux
def test_this_host_is_watched_by_any_user() -> None:
    done = bench_process.run("watch", "--once", "--sampled")
    assert done.returncode in (0, 1, 4), done.stderr
    assert "opened/s" in done.stdout
    assert "Traceback" not in done.stderr


@needs.on_linux
def test_connections_to_a_server_of_this_host_are_on_its_hop() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        bench_process.started(
            "watch", "--json", "--sampled", "--interval", "200ms", "--duration", "60s"
        ) as process,
    ):
        port = server.getsockname()[1]
        held = []
        assert process.stdout is not None
        for line in process.stdout:
            client = socket.create_connection(server.getsockname(), timeout=60)
            held += [client, server.accept()[0]]
            hops = {
                (each["hop"]["direction"], each["hop"]["port"]): each for each in json.loads(line)["hops"]
            }
            found = hops.get(("outgoing", port))
            if found is not None and found["state"]["established"] >= 2:
                break
        else:
            pytest.fail("the connections were never seen")
        for each in held:
            each.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=bench_process.TIMEOUT_S)
        assert process.returncode == 130, "before its --duration was over"


@needs.on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_watch_in_order(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ("watch", "--json", "--sampled", "--interval", "100ms", "--record", tmp_path / "run")
    with bench_process.started(*arguments) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        process.send_signal(number)
        _, stderr = process.communicate(timeout=bench_process.TIMEOUT_S)
    assert process.returncode in (0, 1, 4), stderr
    assert stderr.startswith("results: ")
    assert (tmp_path / "run" / "run.jsonl").exists()


@contextmanager
def on_terminal(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start `bench` on a terminal of 80 columns and 24 lines; yield it with the terminal's other end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    argv = [*bench_process.ARGV, *arguments]
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env={**env, **environment})
    os.close(slave)
    try:
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read_until(master: int, wanted: str) -> str:
    """Return what was written to a terminal up to `wanted`."""
    seen = b""
    while wanted.encode() not in seen:
        ready, _, _ = select.select([master], [], [], 120)
        assert ready, f"{wanted!r} never came: {seen[-2000:]!r}"
        try:
            seen += os.read(master, 1 << 16)
        except OSError as error:  # the other end was closed
            raise AssertionError(f"{wanted!r} never came: {seen[-2000:]!r}") from error
    return seen.decode(errors="replace")


def read_to_end(process: subprocess.Popen[bytes], master: int) -> None:
    """Read what a command writes until it ends, so that it is not kept from that."""
    while process.poll() is None:
        ready, _, _ = select.select([master], [], [], 0.05)
        if ready:
            with suppress(OSError):
                os.read(master, 1 << 16)


@needs.on_linux
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(b"q", id="q"),
        pytest.param(b"\x03", id="Ctrl-C", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.long),
    ],
)
def test_on_a_terminal_it_is_a_view_that_ends_in_order(end: bytes | signal.Signals) -> None:
    with on_terminal("watch", "--sampled", TERM="xterm-256color") as (process, master):
        read_until(master, "by opened/s")
        if isinstance(end, bytes):
            os.write(master, end)
        else:
            process.send_signal(end)
        read_until(master, "\x1b[?1049l")  # back to the screen that was there before
        read_to_end(process, master)
        assert process.returncode in (0, 1, 4)


@needs.on_linux
def test_on_a_dumb_terminal_it_is_lines_without_colours() -> None:
    with on_terminal("watch", "--sampled", "--duration", "1s", TERM="dumb") as (process, master):
        seen = read_until(master, "; opened ")
        read_to_end(process, master)
    assert "\x1b" not in seen


@needs.on_linux
@pytest.mark.long
@pytest.mark.parametrize(("environment", "is_marked"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_verdict_is_bold_where_that_is_wanted(environment: dict[str, str], is_marked: bool) -> None:
    arguments = ("watch", "--sampled", "--once", "--interval", "1s")
    with on_terminal(*arguments, **{"TERM": "xterm", **environment}) as (process, master):
        seen = read_until(master, "this host, sampled")
        read_to_end(process, master)
    assert ("\x1b[1m" in seen) is is_marked


def test_threads_are_gone_behind_each_command(made_up: ScriptedWatch) -> None:
    before = threading.active_count()
    command_line.run("watch", "--once")
    assert threading.active_count() == before


@pytest.mark.parametrize("arguments", [["--once"], ["--once", "--json"], ["--duration", "2s"]])
def test_without_a_standard_stream_it_answers_by_its_exit_code(
    made_up: ScriptedWatch, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in ("stdin", "stdout", "stderr"):  # as `bench watch <&- >&- 2>&-` has them
        monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as ended:
        watch_command.main(arguments, standalone_mode=False)
    assert ended.value.code == 1
