"""`.bench-check.toml`: the options of `bench check` and `bench fix` that a project keeps in a file.

A key is an option without its dashes; `[upstream.NAME]` holds what is about one upstream {}. What is given
on the command line comes before what the file says.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from bench.commands.options import Decorated, option
from bench.errors import PlanError

NAME = ".bench-check.toml"
PER_UPSTREAM = ("backend-idle", "backend-max-connections")
KEYS = (
    "allow-empty",
    "backend-idle",
    "backend-max-connections",
    "baseline",
    "concurrency",
    "fail-on",
    "front-idle",
    "ignore",
    "nginx-version",
    "root",
    "show",
    "strict",
    "with",
    "workers",
)
"""What the file can say; each command takes what it has an option for."""


def find(folder: Path) -> Path | None:
    """Return the nearest file in a folder or above it, within the repository around it."""
    for each in (folder, *folder.parents):
        if (each / NAME).is_file():
            return each / NAME
        if (each / ".git").exists():
            return None
    return None


def read(path: Path) -> dict[str, Any]:
    """Return what a file says, by option; values for one upstream {} as NAME=VALUE.

    Raises:
        PlanError: it cannot be read, or has a key or a type that makes no sense.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{path}: cannot be read: {error}") from error
    upstreams = values.pop("upstream", {})
    for key in values:
        if key not in KEYS:
            raise PlanError(f"{path}: there is no key {key!r}; there are {', '.join((*KEYS, 'upstream'))}")
    for key in PER_UPSTREAM:
        given = [f"{name}={value}" for name, value in _of_upstreams(path, upstreams, key)]
        values[key] = [*_as_list(values.get(key, [])), *given]
    return values


def _of_upstreams(path: Path, upstreams: Any, key: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(upstreams, dict) or not all(isinstance(each, dict) for each in upstreams.values()):
        raise PlanError(f"{path}: upstream is a table of tables; write [upstream.NAME]")
    for name, table in upstreams.items():
        for other in table:
            if other not in PER_UPSTREAM:
                raise PlanError(
                    f"{path}: [upstream.{name}] takes {' and '.join(PER_UPSTREAM)}, not {other!r}"
                )
        if key in table:
            yield name, table[key]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _apply(ctx: click.Context, param: click.Parameter, given: Path | None) -> Path | None:
    """Make what the file says the defaults of the command's options."""
    path = given or find(Path.cwd())
    if path is not None and not ctx.resilient_parsing:
        values = read(path)
        ctx.default_map = dict(_defaults(ctx, path, values)) | dict(ctx.default_map or {})
    return path


def _defaults(ctx: click.Context, path: Path, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for param in ctx.command.params:
        key = next((name.removeprefix("--") for name in param.opts if name.startswith("--")), "")
        if key not in values or param.name is None:
            continue
        value = values[key]
        if isinstance(param.type, click.Path):
            value = [str(path.parent / str(each)) for each in _as_list(value)]
            value = value if param.multiple else value[0]
        elif param.multiple:
            value = _as_list(value)
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        try:
            param.type_cast_value(ctx, value)
        except click.BadParameter as error:
            raise PlanError(f"{path}: {key}: {error.message}") from error
        yield param.name, value


def settings_option(function: Decorated) -> Decorated:
    """Add `--settings FILE`, by default the nearest file of that name."""
    return option(
        "Configuration",
        "--settings",
        metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        callback=_apply,
        is_eager=True,
        shown_default=f"the nearest {NAME}",
        help="A TOML file with options of this command, as keys.",
    )(function)
