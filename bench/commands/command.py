"""How every command takes its options: under headings of its help, with errors that name them as typed."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from bench.commands import typed_options
from bench.commands.lazy_group import HELP
from bench.commands.typed_options import NamedKey, TypedOption
from bench.errors import LabError, PlanError, TargetError, restated
from bench.plan.flags import Heading

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_PROGRAM = "subject.program: "
_TYPED = "bench.typed"
"""Where the options of a command line are kept in click's context."""


class Option(click.Option):
    """An option under a heading of the help; `shown_default` is stated where click knows no default.

    `keys` are the plan keys that it gives a value, and `only_with` and `not_with` other options without or
    beside which it has no effect, by the names of their parameters.
    """

    def __init__(
        self,
        *args: Any,
        heading: str = "Options",
        shown_default: str = "",
        keys: Sequence[str] = (),
        only_with: str = "",
        not_with: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading
        self.shown_default = shown_default
        self.keys = tuple(keys)
        self.only_with = only_with
        self.not_with = tuple(not_with)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return how an error calls it: as it was typed."""
        typed = {} if ctx is None else ctx.meta.get(_TYPED, {})
        return f"'{typed[self.name][-1].name}'" if self.name in typed else super().get_error_hint(ctx)

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what stands in brackets behind the help."""
        extra = super().get_help_extra(ctx)
        if self.shown_default:
            extra["default"] = self.shown_default
        return extra


class Command(click.Command):
    """A command whose help lists its options under their headings, and whose errors name them as typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; UsageError where an option has no effect beside, or without, another."""
        ctx.meta[_TYPED] = typed = typed_options.read(self.get_params(ctx), args)
        left = super().parse_args(ctx, args)
        for param in self.get_params(ctx):
            if isinstance(param, Option) and param.name in typed:
                self._check_effect(ctx, param, typed)
        return left

    def _check_effect(self, ctx: click.Context, param: Option, typed: dict[str, list[TypedOption]]) -> None:
        """Raise UsageError where `param`, which was typed, has no effect."""
        here = typed[str(param.name)][-1]
        for other in param.not_with:
            if other in typed:
                message = f"{here} has no effect beside {typed[other][-1]}; leave one of them out"
                raise click.UsageError(message, ctx)
        if param.only_with and not ctx.params.get(param.only_with):
            needed = next(each.opts[0] for each in self.params if each.name == param.only_with)
            raise click.UsageError(
                f"{here} has no effect without {needed}; add it or leave {here.name} out", ctx
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors about its plan name options as they were typed, not plan keys."""
        # The command takes what it was given out of the parameters.
        params = dict(ctx.params)
        try:
            return super().invoke(ctx)
        except (PlanError, LabError, TargetError) as error:
            message = str(error)
            if any(message.startswith(f"{file}: ") for file in self._files(params)):
                raise
            # What is left of that key was not given: the command looks for a program by itself.
            named = typed_options.name_keys(message, self._named_keys(ctx, params)).removeprefix(_PROGRAM)
            # Some have arguments of their own, which the new text holds.
            raise restated(error, named) if isinstance(error, PlanError) else type(error)(named) from error

    def _files(self, params: dict[str, Any]) -> list[str]:
        """Return the arguments that were given: a plan file, where the command takes one."""
        arguments = (params.get(str(each.name)) for each in self.params if isinstance(each, click.Argument))
        return [str(value) for value in arguments if value is not None]

    def _named_keys(self, ctx: click.Context, params: dict[str, Any]) -> list[NamedKey]:
        """Return every plan key that has an option; with a plan file only those whose option was typed."""
        typed = ctx.meta.get(_TYPED, {})
        known: dict[str, NamedKey] = {}
        for param in self.params:
            if isinstance(param, Option) and param.keys:
                known |= {each.key: each for each in _typed_keys(param, typed.get(param.name, []), params)}
                if not self._files(params):
                    known = {key: NamedKey(key, param.opts[0]) for key in param.keys} | known
        return list(known.values())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, heading by heading, in the order in which they were given."""
        records: dict[str, list[tuple[str, str]]] = {}
        for each in sorted(self.get_params(ctx), key=lambda each: "--help" in each.opts):
            if isinstance(each, click.Option) and (record := each.get_help_record(ctx)) is not None:
                records.setdefault(getattr(each, "heading", Heading.OUTPUT), []).append(record)
        for heading, rows in records.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def _typed_keys(param: Option, typed: Sequence[TypedOption], params: dict[str, Any]) -> Iterator[NamedKey]:
    """Yield the plan keys that `param` was `typed` for."""
    for each in typed:
        for index, key in enumerate(param.keys):
            if param.multiple and "=" in str(each.value):
                for below in (f"{key}.{str(each.value).partition('=')[0]}", key):
                    yield NamedKey(below, each.name, each, is_pair=True)
            elif index == 0 or "@" in str(each.value) or param.name == "workers":
                yield NamedKey(key, each.name, each, params.get(str(param.name)), is_pair=index > 0)


command = partial(click.command, cls=Command, context_settings=HELP)


def option(heading: str, *names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Return click's decorator for an `Option` under `heading`."""
    return click.option(*names, cls=Option, heading=heading, show_default=True, **attributes)
