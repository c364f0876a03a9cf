"""The options by which a run ends before its last trial, and what it must show."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.options import Decorated, Duration, option
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.analysis.metrics import Metric
    from bench.experiment.stopping import Stopping

MOST_BLOCKS = 60
"""Trials of each case where --until alone ends them."""
_OPTIONS: tuple[Callable[[Decorated], Decorated], ...] = (
    option(
        Heading.RUN,
        "--until",
        metavar="[METRIC=]PERCENT",
        shown_default="until the last trial",
        help="End once the ratio's interval is that narrow, as 5%; --trials is then the most.",
    ),
    option(
        Heading.RUN,
        "--require",
        multiple=True,
        metavar="CONDITION",
        shown_default="none",
        help="Exit 1 where it fails, 4 where that cannot be told; end early once it has failed (repeatable).",
    ),
    option(
        Heading.RUN,
        "--time-limit",
        type=Duration(1, 7 * 86_400),
        metavar="SECONDS",
        shown_default="none",
        help="Begin no further round of trials after this time.",
    ),
)


def stopping_options(function: Decorated) -> Decorated:
    """Add `--until`, `--require` and `--time-limit`; they reach the command as arguments for `stopping`."""
    for each in reversed(_OPTIONS):
        function = each(function)
    return function


def stopping(
    until: str | None,
    require: Sequence[str],
    time_limit: float | None,
    cases: int,
    known: "Sequence[Metric] | None" = None,
) -> "Stopping":
    """Return the rules that the options spell for a run of so many cases; PlanError where one is none."""
    from bench.analysis import conditions
    from bench.experiment.stopping import Stopping, parse_until

    rules: dict[str, Any] = {} if known is None else {"known": known}
    made = Stopping(
        until=None if until is None else parse_until(until),
        required=[conditions.parse(text, conditions.REQUIRE) for text in require],
        time_limit_s=time_limit,
        **rules,
    )
    made.check(cases)
    return made


def taken(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options out of the arguments of a command."""
    return {name: given.pop(name) for name in ("until", "require", "time_limit")}


def with_most_trials(file: Path | None, given: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    """Return the flags of a plan, with a number of trials where --until alone is to end them."""
    from bench.plan import toml

    if rules["until"] is None or given.get("trials") is not None:
        return given
    if file is not None and "trials" in toml.load(file):
        return given
    return {**given, "trials": MOST_BLOCKS}
