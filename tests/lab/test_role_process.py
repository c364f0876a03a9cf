"""A role's process: events out, commands in, its last words, and the end of all that it started."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import lab
from bench.errors import RoleError
from bench.lab import Host
from bench.lab.role_process import Process
from tests import needs
from tests.process_end import still_running

TIMEOUT_S = 60.0

PRELUDE = """
import json, os, signal, sys, time
def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with lab.open_lab("loopback") as place:
        yield place.hosts["proxy"]


def start(host: Host, source: str, **how: object) -> Process:
    return host.start([sys.executable, "-I", "-S", "-c", PRELUDE + source], name="proxy", **how)  # type: ignore[arg-type]


def test_events_come_by_name_in_order_and_others_stay(host: Host) -> None:
    role = start(host, "say('ready'); say('second', n=0); say('second', n=1); say('done')")
    assert role.wait_event("done", TIMEOUT_S) == {"event": "done"}
    assert [event["n"] for event in role.events("second")] == [0, 1]
    assert role.events("second") == []
    assert role.wait_event("ready", TIMEOUT_S) == {"event": "ready"}
    assert role.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(("refusal", "option"), [(errno.EMFILE, "-n"), (errno.EAGAIN, "-u")])
def test_a_limit_that_forbids_a_process_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch, refusal: int, option: str
) -> None:
    def refuse(*anything: object, **more: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(
        RoleError, match=rf"^proxy: cannot start .+; raise the limit of .+ \(ulimit {option}\)$"
    ):
        start(host, "")


def test_a_command_is_one_line_of_json(host: Host) -> None:
    role = start(host, "say('heard', line=sys.stdin.readline())")
    role.send({"command": "count", "n": 1})
    assert role.wait_event("heard", TIMEOUT_S)["line"] == '{"command": "count", "n": 1}\n'


def test_a_handler_may_keep_events_to_itself(host: Host) -> None:
    seen = []

    def take(event: dict[str, object]) -> bool:
        seen.append(event["event"])
        return event["event"] == "second"

    role = start(host, "say('second'); say('done')", on_event=take)
    role.wait_event("done", TIMEOUT_S)
    assert seen == ["second", "done"]
    assert role.events("second") == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sys.exit(3)", "proxy: ended before it was ready (exit code 3)"),
        (
            "sys.exit('proxy: cannot listen')",
            "proxy: ended before it was ready (exit code 1); stderr: proxy: cannot listen",
        ),
        ("os.kill(os.getpid(), 9)", "proxy: ended before it was ready (killed by SIGKILL)"),
        ("print('hello', flush=True); sys.stdin.read()", "proxy: printed a line that is no event: 'hello'"),
        ("print('[1]', flush=True); sys.stdin.read()", "proxy: printed a line that is no event: '[1]'"),
        ("say('done')", "proxy: ended before it was ready (exit code 0)"),
    ],
)
def test_a_role_that_does_not_come_up_is_reported_in_one_line(host: Host, source: str, message: str) -> None:
    role = start(host, source)
    with pytest.raises(RoleError) as raised:
        role.wait_event("ready", TIMEOUT_S)
    assert str(raised.value) == message
    assert raised.value.exit_code == 3


def test_a_silent_role_is_reported_after_the_timeout(host: Host) -> None:
    role = start(host, "say('other'); sys.stdin.read()")
    role.wait_event("other", TIMEOUT_S)
    with pytest.raises(RoleError, match=r"^proxy: not ready within 0\.05 s$"):
        role.wait_event("ready", 0.05)


def test_a_program_that_is_missing_is_named(host: Host) -> None:
    with pytest.raises(RoleError, match=r"^nginx: cannot start /no/such/nginx: No such file or directory$"):
        host.start(["/no/such/nginx"], name="nginx", control=False)


def test_a_command_to_a_role_that_is_gone(host: Host) -> None:
    role = start(host, "os.close(0); say('ready'); os._exit(4)")
    role.wait_event("ready", TIMEOUT_S)
    with pytest.raises(RoleError, match=r"proxy: cannot be sent stop: Broken pipe \(exit code 4\)"):
        role.send({"command": "stop"})
    assert role.wait(TIMEOUT_S) == 4
    with pytest.raises(RoleError, match=r"proxy: cannot be sent stop: it has ended \(exit code 4\)"):
        role.send({"command": "stop"})


def test_stop_asks_first(host: Host) -> None:
    role = start(
        host,
        """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
say("ready")
signal.sigwait({signal.SIGTERM})
say("done")
""",
    )
    role.wait_event("ready", TIMEOUT_S)
    assert role.stop() == 0
    assert role.events("done") == [{"event": "done"}]


def test_stop_ends_the_whole_tree_of_a_role_that_does_not_listen(host: Host) -> None:
    role = start(
        host,
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        os.setpgid(0, 0)
    say("ready")
signal.pause()
""",
    )
    role.wait_event("ready", TIMEOUT_S)
    role.wait_event("ready", TIMEOUT_S)
    tree = psutil.Process(role.pid).children(recursive=True)
    assert len(tree) == 2
    assert role.stop(grace_s=0.1) == -9
    assert still_running(tree, TIMEOUT_S) == []


def test_stderr_is_kept_short_and_copied_whole(host: Host, tmp_path: Path) -> None:
    copy = tmp_path / "stderr"
    role = start(host, "for n in range(1000): print(n, file=sys.stderr)", stderr_path=copy)
    role.wait(TIMEOUT_S)
    assert list(role.stderr_lines) == [str(n) for n in range(800, 1000)]
    assert role.exit_message == "999"
    assert copy.read_text().split() == [str(n) for n in range(1000)]


def test_a_copy_of_stderr_that_cannot_be_is_reported_before_the_start(host: Host, tmp_path: Path) -> None:
    with pytest.raises(RoleError, match=r"^proxy: cannot keep its stderr in .*no/such: No such file"):
        start(host, "", stderr_path=tmp_path / "no" / "such")


def test_a_role_that_ended_can_be_stopped_again(host: Host) -> None:
    role = start(host, "sys.exit(3)")
    assert role.wait(TIMEOUT_S) == 3
    assert (role.stop(), role.kill()) == (3, 3)


def test_a_program_without_control_has_no_stdin_and_talks_text(host: Host) -> None:
    role = start(host, "print(len(sys.stdin.read()), 'not json')", control=False)
    assert role.wait(TIMEOUT_S) == 0
    assert list(role.stdout_lines) == ["0 not json"]
    with pytest.raises(RoleError, match="accepts no commands"):
        role.send({})


@needs.on_linux
def test_a_role_is_pinned_and_we_are_not(host: Host) -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    role = start(host, "say('ready', cores=list(os.sched_getaffinity(0)))", cpus={core})
    assert role.wait_event("ready", TIMEOUT_S)["cores"] == [core]
    assert os.sched_getaffinity(0) == before
    assert host.call(os.sched_getaffinity, 0) == before


def test_a_role_may_have_an_environment_of_its_own(host: Host) -> None:
    role = start(host, "say('ready', seen=os.environ['ONLY'])", env={"ONLY": "this"})
    assert role.wait_event("ready", TIMEOUT_S)["seen"] == "this"


def test_a_role_ends_with_its_lab() -> None:
    with lab.open_lab("loopback") as place:
        role = start(
            place.hosts["backend"], "signal.signal(15, signal.SIG_IGN); say('ready'); signal.pause()"
        )
        role.wait_event("ready", TIMEOUT_S)
    assert role.returncode == -9
