"""Hold what `bench` says about a report's configuration against the answer that is right.

A report is a TOML file: where it was read, its point, the smallest input that shows it, and what `check` and
`fix` must answer. A verdict may name several answers that are all right: `reused|depends`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Verdicts = dict[str, list[str]]
"""The right answers of the locations in the order of the text, by nginx version."""


class Done(Protocol):
    """What a command left."""

    @property
    def exit_code(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


Run = Callable[..., Done]


@dataclass(frozen=True, slots=True)
class Fix:
    """What `fix --write` must do to the input."""

    options: tuple[str, ...] = ()
    exit: int | None = None
    changes: bool = True
    after: Verdicts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One public report."""

    source: str
    """Owner, repository and number."""
    point: str
    input: str
    name: str = "nginx.conf"
    crlf: bool = False
    options: tuple[str, ...] = ()
    exit: int | None = None
    verdicts: Verdicts = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    """Rules that find something under one version at least."""
    never: tuple[str, ...] = ()
    """Rules that find nothing."""
    errors: bool = False
    """Whether nginx refuses the text, as findings of the severity error say."""
    says: tuple[str, ...] = ()
    """What the text for people must name."""
    unsaid: tuple[str, ...] = ()
    """What it must not name."""
    fix: tuple[Fix, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Report:
        """Return the report in a file."""
        values = tomllib.loads(path.read_text())
        values["fix"] = tuple(Fix(**each) for each in values.get("fix", ()))
        return cls(**values)

    def write(self, folder: Path) -> Path:
        """Write the input into a folder; returns its path."""
        path = folder / self.name
        text = self.input.replace("\n", "\r\n") if self.crlf else self.input
        path.write_bytes(text.encode())
        return path

    @property
    def versions(self) -> str:
        """The nginx versions to judge for."""
        return ",".join(self.verdicts or ("1.22.1", "1.31.4"))


def differences(report: Report, run: Run, folder: Path) -> Iterator[str]:
    """Yield where the answers to a report are not the right ones."""
    path = report.write(folder)
    checked = ("check", path, "--nginx-version", report.versions, *report.options)
    done = run(*checked, "--format", "json")
    if report.exit is not None and done.exit_code != report.exit:
        yield f"check: exit {done.exit_code}, not {report.exit}"
    if not done.stdout.startswith("{"):
        if report.exit is None or report.verdicts:
            yield f"check: {done.stderr.strip()}"
        return
    result = json.loads(done.stdout)
    yield from _verdicts(report.verdicts, result["locations"], "check")
    yield from _findings(report, result["findings"])
    text = " ".join(run(*checked).stdout.split())
    yield from (f"check: does not name {word}" for word in report.says if word not in text)
    yield from (f"check: names {word}" for word in report.unsaid if word in text)
    for each in report.fix:
        yield from _fixed(report, each, run, folder)


def _verdicts(right: Verdicts, locations: list[dict[str, Any]], command: str) -> Iterator[str]:
    for version, answers in right.items():
        got = [each["verdicts"][version]["verdict"] for each in locations]
        agrees = len(got) == len(answers) and all(map(_is_among, got, answers))
        if not agrees:
            yield f"{command}: {version} {got}, not {answers}"


def _is_among(got: str, answers: str) -> bool:
    return got in answers.split("|")


def _findings(report: Report, findings: list[dict[str, Any]]) -> Iterator[str]:
    found = {each["rule"] for each in findings}
    yield from (f"check: {rule} is missing" for rule in report.rules if rule not in found)
    yield from (f"check: {rule} is wrong" for rule in report.never if rule in found)
    if report.errors != any(each["severity"] == "error" for each in findings):
        yield f"check: {'no ' if report.errors else ''}finding of the severity error"


def _fixed(report: Report, fix: Fix, run: Run, folder: Path) -> Iterator[str]:
    path = report.write(folder)
    before = path.read_bytes()
    versions = ("--nginx-version", report.versions)
    done = run("fix", path, "--write", *versions, *fix.options)
    command = " ".join(("fix", *fix.options))
    if fix.exit is not None and done.exit_code != fix.exit:
        yield f"{command}: exit {done.exit_code}, not {fix.exit}: {(done.stdout + done.stderr).strip()}"
    if fix.changes == (path.read_bytes() == before):
        yield f"{command}: changes {'nothing' if fix.changes else 'the text'}"
    if fix.after:
        done = run("check", path, *versions, *report.options, "--format", "json")
        yield from _verdicts(fix.after, json.loads(done.stdout)["locations"], command)
