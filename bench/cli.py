"""The command line: the group of the commands, and the one map from errors to exit codes.

stdout carries the answer, stderr the talk; with --json stdout is JSON only. A command is imported where it
is run, and imports its heavy libraries itself: `bench --help` answers at once.
"""

import errno
import sys

import click

from bench import __version__
from bench.commands.closed_output import OutputClosed, discard_output, output_may_close
from bench.commands.lazy_group import HELP, LazyGroup
from bench.errors import RESOURCE_REMEDIES, BenchError, ExitCode
from nginx.errors import NginxConfigError, VersionError
from nginx.printable import printable_line

COMMANDS = {
    "run": "Run the trials of a plan and compare its modes.",
    "ab": "Run two or more plans in one go, their trials in turn, and compare each with the first.",
    "plan": "Print the plan that `bench run` follows with the same arguments, as TOML.",
    "incident": "Measure what people write into nginx.conf, beside HAProxy, Envoy and Caddy.",
    "scenario": "Measure what long connections are used for, from polling to QUIC.",
    "tour": "Put to the test what is said about connections, from short ones to QUIC, as one page.",
    "list": "List the runs of a folder of results, the newest last.",
    "show": "Show a run again, of modes, a scenario or a watch: its table and its finding.",
    "report": "Write one HTML file about a run, to pass on: it carries all it shows, and loads nothing.",
    "export": "Export a run: medians with their 95 % intervals, and what each figure is worth.",
    "compare": "Compare two or more runs of one kind, or the modes of one run; the first is the baseline.",
    "sweep": "Measure every cell of a grid of plan keys, and say where each curve bends.",
    "search": "Find the highest rate at which requirements hold, with its interval.",
    "size": "Compute the pools that a fleet of proxies needs, and what it runs out of first.",
    "probe": "Measure how long a running server keeps its connections, and how it ends them.",
    "schema": "Print the JSON Schema of what a command prints.",
    "doctor": "Show what this machine can measure, and what to change.",
    "cluster": "Bring up machines for `bench run --lab cluster`.",
    "watch": "Watch the TCP connections of this host: which hop churns, who closes first, what to change.",
    "check": "Say whether an nginx configuration reuses its upstream connections, location by location.",
    "fix": "Make each location of an nginx configuration reuse its upstream connections.",
    "prove": (
        "Run an nginx configuration in front of backends that count, and compare it with what check says."
    ),
}
_EXIT_CODES = """\b
Exit codes:
  0    fine
  1    findings, an invalid run, or a condition that fails
  2    misuse: arguments, a plan, a configuration or a run make no sense
  3    the environment failed: a program, a right or a resource is missing
  4    cannot tell: what was measured does not answer the question
  130  interrupted
  141  nobody reads its output any more, as behind `| head`
"""

_NO_THREAD = "start new thread"
"""In what Python says where the system allows no more threads, which has no errno."""


@click.group(
    cls=LazyGroup, table=COMMANDS, epilog=_EXIT_CODES, context_settings={**HELP, "max_content_width": 110}
)
@click.version_option(__version__, prog_name="bench")
def bench() -> None:
    """Measure what connection reuse behind a reverse proxy is worth, and prove that it happens.

    Start with `bench run`: it shows short upstream connections beside keep-alive ones, within a minute.
    """


def main() -> None:
    """Run the command line; every failure ends as one line and an exit code."""
    try:
        with output_may_close():
            _run()
    except OutputClosed:
        discard_output()
        sys.exit(ExitCode.OUTPUT_CLOSED)


def _run() -> None:
    try:
        bench.main(prog_name="bench", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(_misuse(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("bench: interrupted", ExitCode.INTERRUPTED)
    except BenchError as error:
        _fail(f"bench: {error}", error.exit_code)
    except (NginxConfigError, VersionError) as error:
        _fail(f"bench: {error}", ExitCode.MISUSE)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        remedy = RESOURCE_REMEDIES.get(error.errno or 0, "")
        _fail(f"bench: {where}{error.strerror or error}{remedy}", ExitCode.ENVIRONMENT)
    except RuntimeError as error:
        if _NO_THREAD not in str(error):
            raise
        _fail(f"bench: {error}{RESOURCE_REMEDIES[errno.EAGAIN]}", ExitCode.ENVIRONMENT)


def _fail(message: str, code: int) -> None:
    click.echo(printable_line(message), err=True)
    sys.exit(code)


def _misuse(error: click.ClickException) -> str:
    """Return in one line what click found wrong with the command line."""
    context = getattr(error, "ctx", None)
    command = "bench" if context is None else context.command_path
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{command}: {message[0].lower()}{message[1:]}; `{command} --help` says what there is"
