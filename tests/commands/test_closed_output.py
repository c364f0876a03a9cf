"""A command whose output nobody reads any more, as behind `head`, ends at once and says nothing."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from bench.commands.closed_output import OutputClosed, output_may_close
from bench.errors import ExitCode, LabError
from tests import bench_process, needs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


def code_and_rest(*arguments: str, closed: str, rest: str) -> tuple[int, str]:
    """Run `bench` with a pipe that nobody reads as one stream; return its exit code and the other stream."""
    reads, writes = os.pipe()
    os.close(reads)
    streams = {closed: writes, rest: subprocess.PIPE}
    try:
        done = subprocess.run(
            [*bench_process.ARGV, *arguments],
            stdout=streams["stdout"],
            stderr=streams["stderr"],
            text=True,
            check=False,
            timeout=bench_process.TIMEOUT_S,
            cwd=ROOT,
        )
    finally:
        os.close(writes)
    return done.returncode, getattr(done, rest)


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "show --help",
        "scenario list",
        "show results/reference",
        "plan",
        "size --rate 20000 --latency 8ms",
        "schema probe",
    ],
)
def test_a_command_ends_where_nobody_reads_what_it_prints(command: str) -> None:
    assert code_and_rest(*command.split(), closed="stdout", rest="stderr") == (ExitCode.OUTPUT_CLOSED, "")


@needs.on_linux
@pytest.mark.parametrize("more", [(), ("--json",), ("--once",)])
def test_a_watch_ends_where_nobody_reads_what_it_prints(more: tuple[str, ...]) -> None:
    code, noted = code_and_rest("watch", "--sampled", *more, closed="stdout", rest="stderr")
    assert code == ExitCode.OUTPUT_CLOSED
    assert [line for line in noted.splitlines() if "ipe" in line or not line.startswith("bench: ")] == []


@pytest.mark.parametrize("command", ["no-such-command", "show no-such-run"])
def test_a_command_ends_where_nobody_reads_its_errors(command: str) -> None:
    assert code_and_rest(*command.split(), closed="stderr", rest="stdout") == (ExitCode.OUTPUT_CLOSED, "")


def test_a_connection_that_broke_is_no_closed_output() -> None:
    with pytest.raises(LabError, match="a connection or a pipe to another process broke"), output_may_close():
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(PermissionError), output_may_close():
        raise PermissionError
    assert not issubclass(OutputClosed, OSError), "click ends with 1 for those"


@pytest.mark.parametrize(
    "command",
    [
        "check nginx/conf/keepalive.conf",
        "fix nginx/conf/keepalive.conf",
        "fix nginx/conf/article.conf --diff",
        "export results/reference --format csv",
        "size --rate 20000 --latency 8ms",
    ],
)
def test_a_command_without_any_output_stream_ends_as_with_one(command: str) -> None:
    codes = []
    for output in ("> /dev/null", ">&-"):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {output}', "sh", *bench_process.ARGV, *command.split()],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=bench_process.TIMEOUT_S,
            cwd=ROOT,
        )
        assert "Traceback" not in done.stderr
        codes.append(done.returncode)
    assert codes[0] == codes[1]
