"""The grid of a sweep: plan keys with the values that each takes, and the plan of each cell. Pure."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import units
from bench.errors import PlanError
from bench.plan import bounds, load_values, run_plan, toml
from bench.plan.flags import FLAGS, Flag, Kind
from bench.plan.run_plan import Plan

MOST_CELLS = 400
MOST_AXES = 4
_REFUSED = {
    "seed": "it orders all trials",
    "trials": "a cell has as many trials as --trials says",
    "hosts.sysctls": "it is a table",
}


@dataclass(frozen=True, slots=True)
class Axis:
    """One plan key and its values, in the order in which they were given."""

    key: str
    """SECTION.KEY of the plan, or KEY at its top."""
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Return the name without dashes of the flag that sets the key."""
        return flag_of(self.key).name.removeprefix("--")

    def format(self, value: Any) -> str:
        """Return a value as the flag takes it."""
        is_time = flag_of(self.key).kind is Kind.SECONDS
        if is_time:
            return f"{value:g}s"
        return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of the values of its axes is a cell: key -> value."""

    axes: tuple[Axis, ...]

    def __len__(self) -> int:
        return math.prod(len(axis.values) for axis in self.axes)

    def cells(self) -> list[dict[str, Any]]:
        """Return the cells; the values of the last axis change fastest."""
        keys = [axis.key for axis in self.axes]
        values = itertools.product(*(axis.values for axis in self.axes))
        return [dict(zip(keys, each, strict=True)) for each in values]

    def label(self, cell: Mapping[str, Any]) -> str:
        """Return the name of a cell: `pool-idle=4,connections=16`."""
        return ",".join(
            f"{axis.name}={axis.format(cell[axis.key])}" for axis in self.axes if axis.key in cell
        )

    def to_json(self) -> dict[str, list[Any]]:
        """Return the grid as the header of a run holds it."""
        return {axis.key: list(axis.values) for axis in self.axes}

    @classmethod
    def of(cls, values: Mapping[str, Sequence[Any]]) -> "Grid":
        """Return the grid that a header holds; PlanError where a key is none of a plan."""
        return cls(tuple(Axis(flag_of(key).key, tuple(each)) for key, each in values.items()))


def flag_of(name: str) -> Flag:
    """Return the flag that is called `name`, or has that plan key; PlanError where none is."""
    bare = name.removeprefix("--")
    for flag in FLAGS:
        if name == flag.key or bare == flag.name.removeprefix("--") or (flag.short and name == flag.short):
            return flag
    raise PlanError(
        f"{name!r} is no key of a plan; `bench plan` prints them, as --pool-idle or subject.pool_idle"
    )


def normal(key: str, value: Any) -> Any:
    """Return a value as the plan holds it: a rate such as 5k as a number; what is no rate as it is."""
    if key != "load.rate":
        return value
    try:
        return load_values.normal_rate(str(value))
    except ValueError:
        return value  # the plan refuses it, with the reason


def check(axes: Sequence[Axis]) -> Grid:
    """Return the grid of `axes`; PlanError where one makes no sense, or all have too many cells."""
    keys = [axis.key for axis in axes]
    for axis in axes:
        if (reason := _REFUSED.get(axis.key)) is not None:
            raise PlanError(f"--vary {axis.name}: it is no axis, since {reason}; leave it out")
        if keys.count(axis.key) > 1:
            raise PlanError(f"--vary {axis.name} is given twice; name all values once: {axis.name}=1,2,4")
        if len(axis.values) < 2:
            raise PlanError(
                f"--vary {axis.name}={axis.format(axis.values[0])} is one value; name two or more"
            )
        if len(set(map(str, axis.values))) < len(axis.values):
            raise PlanError(f"--vary {axis.name}: a value is there twice; name each once")
    if len(axes) > MOST_AXES:
        raise PlanError(
            f"--vary is given {len(axes)} times, and a sweep has {MOST_AXES} axes at the most; name fewer"
        )
    grid = Grid(tuple(axes))
    if len(grid) > MOST_CELLS:
        shape = " x ".join(str(len(axis.values)) for axis in axes)
        raise PlanError(
            f"--vary: {shape} = {len(grid):,} cells are more than {MOST_CELLS}; name fewer values"
        )
    return grid


def apply(baseline: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the baseline's plan with those of a cell in their places."""
    values = dict(baseline)
    for key, value in cell.items():
        section, _, name = key.rpartition(".")
        if key == "subject.name":
            name_only, at, program = str(value).partition("@")
            inner = {"name": name_only, **({"program": program} if at else {})}
            values = toml.merge(values, {"subject": inner})
        else:
            values = toml.merge(values, {section: {name: value}} if section else {name: value})
    return values


def plans(baseline: Mapping[str, Any], grid: Grid) -> list[tuple[dict[str, Any], Plan]]:
    """Return each cell with its plan; PlanError names the first cell whose plan makes no sense."""
    found = []
    for cell in grid.cells():
        try:
            found.append((cell, run_plan.build(apply(baseline, cell), tuple(cell))))
        except PlanError as error:
            raise PlanError(f"--vary {grid.label(cell)}: {str(error).removeprefix('plan: ')}") from error
    trials = sum(plan.trials * len(plan.modes) for _, plan in found)
    longest_s = max(plan.load.warmup_s + plan.load.duration_s for _, plan in found)
    bounds.check_length(f"--vary: {units.plural(len(found), 'cell')}", trials, longest_s)
    return found
