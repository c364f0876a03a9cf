"""The options of all commands: under headings, with defaults and units; those of a plan from its flags."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bench import units
from bench.commands.command import Decorated, command, option
from bench.plan import bounds
from bench.plan.flags import FLAGS, REPEATABLE, Flag, Heading, Kind
from bench.plan.run_plan import LABS, SUBJECTS

__all__ = ["Decorated", "command", "option"]

FilePath = click.Path(path_type=Path)


class Duration(click.ParamType[float]):
    """Seconds: 10, 10s, 250ms or 2m; above 0 and within a day where `is_bounded`."""

    name = "seconds"

    def __init__(self, least_s: float | None = None, most_s: float = math.inf) -> None:
        self._least_s, self._most_s = least_s, most_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that `value` names."""
        try:
            seconds = units.duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._least_s is not None and not self._least_s <= seconds <= self._most_s:
            self.fail(f"{value!r} is not between {self._least_s:g}s and {self._most_s:g}s", param, ctx)
        return seconds


class Amount(click.FloatRange):
    """A number within bounds, which "nan" is not, though it is neither below nor above them."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return how the help calls the value."""
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if math.isnan(amount):
            self.fail(f"{value!r} is no number; write it as 20 or 0.5", param, ctx)
        return super().convert(amount, param, ctx)


class Rate(Amount):
    """A rate within bounds: 5000, 5k or 5000/s."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the rate per second."""
        try:
            rate = units.rate_per_s(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return super().convert(rate, param, ctx)


class Count(click.IntRange):
    """A whole number within bounds, and never more than can be counted up to."""

    def __init__(self, least: int, most: int = bounds.MOST_COUNTED) -> None:
        super().__init__(least, most)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return how the help calls the value."""
        return "N"


class SubjectName(click.ParamType[str]):
    """NAME or NAME@PROGRAM."""

    name = "name[@program]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `value`, whose name is that of a subject."""
        name, at, program = str(value).partition("@")
        if name not in SUBJECTS:
            self.fail(f"{name!r} is not one of {', '.join(SUBJECTS)}", param, ctx)
        if at and not program:
            self.fail(
                f"{value!r} names no program; write {name}@system, {name}@wheel or {name}@/path", param, ctx
            )
        return str(value)


output_option = option(
    Heading.OUTPUT,
    "-o",
    "--output",
    default="results",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of results.",
)
json_option = option(
    Heading.OUTPUT, "--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else."
)
quiet_option = option(
    Heading.OUTPUT, "--quiet", "-q", is_flag=True, help="No live line, no table: only where the results are."
)
lab_option = option(
    Heading.LAB,
    "--lab",
    "lab_name",
    default="auto",
    type=click.Choice(LABS),
    help="Network namespaces (exact), or this machine's loopback.",
)

_WITH_WORKERS = ("subject", "load", "backend")
_TYPES: dict[Kind, Any] = {
    Kind.WHOLE: int,
    Kind.NUMBER: float,
    Kind.SECONDS: Duration(),
    Kind.SUBJECT: SubjectName(),
    Kind.PAIRS: str,
    Kind.LIST: str,
    Kind.SWITCH: None,
    Kind.TEXT: str,
}


def plan_options(function: Decorated) -> Decorated:
    """Add each flag of a plan to a click command; they reach it as keyword arguments, see `overrides`."""
    function = option(
        Heading.RUN,
        "--workers",
        type=int,
        metavar="N",
        keys=[f"{section}.workers" for section in _WITH_WORKERS],
        shown_default="1 each",
        help="Worker processes of proxy, load generator and backend.",
    )(function)
    for flag in reversed(FLAGS):
        function = _option(flag)(function)
    return function


def overrides(given: dict[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Take the plan flags out of `given` and return them as the nested values of a plan.

    A flag that was not given leaves the plan's own value, that of `below`, alone.
    """
    values: dict[str, Any] = {}
    workers = given.pop("workers")
    for flag in FLAGS:
        value = given.pop(parameter(flag))
        if value is not None and value != ():
            table = values.setdefault(flag.section, {}) if flag.section else values
            table[flag.field] = dict(map(_pair, value)) if flag.kind is Kind.PAIRS else value
    if (subject := values.get("subject", {})).get("name"):
        subject["name"], at, program = subject["name"].partition("@")
        if at:
            subject["program"] = program
    if workers is not None:
        for section in _sections_with_workers({**below.get("subject", {}), **subject}):
            values[section] = {"workers": workers, **values.get(section, {})}
    return values


def _sections_with_workers(subject: Mapping[str, Any]) -> Sequence[str]:
    """Return the sections of those roles that are started for `subject`."""
    if subject.get("target") is not None:
        return ("load",)
    return ("load", "backend") if subject.get("name") == "direct" else _WITH_WORKERS


def given_keys(values: Mapping[str, Any]) -> list[str]:
    """Return the plan keys that `values`, those of flags, give a value."""
    return [
        f"{name}.{key}" if isinstance(held, dict) else name
        for name, held in values.items()
        for key in (held if isinstance(held, dict) else [""])
    ]


def _option(flag: Flag) -> Callable[[Decorated], Decorated]:
    names = [f"{flag.name}/--no-{flag.name.removeprefix('--')}" if flag.kind is Kind.SWITCH else flag.name]
    return option(
        flag.heading,
        *names,
        *([flag.short] if flag.short else []),
        parameter(flag),
        type=click.Choice(flag.choices) if flag.choices else _TYPES[flag.kind],
        metavar=flag.metavar or (None if flag.choices else flag.kind.value or None),
        multiple=flag.kind in REPEATABLE,
        keys=(flag.key, "subject.program") if flag.kind is Kind.SUBJECT else (flag.key,),
        default=None,
        shown_default=flag.default,
        help=flag.help,
    )


def plan_type(flag: Flag) -> Any:
    """Return what reads the value of `flag` where that is written out, also of a switch."""
    if flag.kind is Kind.SWITCH:
        return click.BOOL
    return click.Choice(flag.choices) if flag.choices else click.types.convert_type(_TYPES[flag.kind])


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in net.ipv4.tcp_tw_reuse=1")
    return key.strip(), value.strip()


def parameter(flag: Flag) -> str:
    """Return the name of the argument under which a command gets the value of `flag`."""
    return flag.key.replace(".", "__")
