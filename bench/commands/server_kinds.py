"""`--backend-like KIND`: servers by their kind, for `bench prove` to play and for `bench fix` to know."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import click

from bench.commands.judging import PerUpstream
from bench.commands.options import Decorated, option
from bench.plan.flags import Heading
from bench.prove.backend_kinds import KINDS, BackendKind
from nginx.rules import CheckSettings

_CLOSING = {
    "closing": "closes after each response",
    "1.0": "answers in HTTP/1.0 and closes",
    "1.0-only": "refuses HTTP/1.1",
    "both-lengths": "answers HTTP/1.1 with two lengths, which nginx refuses since 1.23.0",
}
"""What a server that speaks so does to a connection that nginx would keep."""


class ServerKind(click.ParamType[BackendKind]):
    """The name of a kind of server."""

    name = "KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> BackendKind:
        """Return the kind of that name."""
        if isinstance(value, BackendKind):
            return value
        kind = KINDS.get(str(value).lower())
        if kind is None:
            self.fail(f"{value!r} is none of {', '.join(KINDS)}", param, ctx)
        return kind


def kinds_option(about: str, *, shown_default: str) -> Callable[[Decorated], Decorated]:
    """Return the option `--backend-like`; `about` begins its help."""
    return option(
        Heading.BACKEND,
        "--backend-like",
        multiple=True,
        type=PerUpstream(ServerKind(), "KIND"),
        shown_default=shown_default,
        help=f"{about}, as php-fpm, node or puma (repeatable).",
    )


def with_kinds(settings: CheckSettings, like: Iterable[tuple[str, BackendKind]]) -> CheckSettings:
    """Return settings with what is known of kinds of servers, by upstream; what is given already counts."""
    kinds = dict(like)
    idle_s = {name: kind.idle_s for name, kind in kinds.items() if kind.idle_s is not None}
    capacities = {name: kind.processes for name, kind in kinds.items() if kind.processes is not None}
    closing = {
        name: f"{kind.name} {_CLOSING[kind.dialect]}"
        for name, kind in kinds.items()
        if kind.dialect in _CLOSING
    }
    given_idle_s, given_capacity = settings.backend_idle_s, settings.backend_max_connections
    return replace(
        settings,
        backend_idle_s=idle_s.pop("", None) if given_idle_s is None else given_idle_s,
        backend_max_connections=capacities.pop("", None) if given_capacity is None else given_capacity,
        upstream_idle_s={name: each for name, each in idle_s.items() if name}
        | dict(settings.upstream_idle_s),
        upstream_max_connections={name: each for name, each in capacities.items() if name}
        | dict(settings.upstream_max_connections),
        closing=closing,
    )
