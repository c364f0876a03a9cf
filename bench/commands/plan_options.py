"""The flags that a plan can be given on the command line: one table, laid over the TOML plan.

A flag that is not given leaves the plan's own value alone. Spelling only; the plan checks.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from bench import units
from bench.plan.run_plan import BACKENDS, LABS, METHODS, SECOND_OPINIONS, SUBJECTS, ClosesFirst, Mode, Plan

Command = TypeVar("Command", bound=Callable[..., Any])


class _Duration(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return units.duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Amount(click.FloatRange):
    """A number within bounds, which "nan" is not, though it is neither below nor above them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        amount = super().convert(value, param, ctx)
        if math.isnan(amount):
            self.fail(f"{value!r} is no number", param, ctx)
        return amount


class _SubjectName(click.ParamType[str]):
    """NAME or NAME@PROGRAM."""

    name = "name[@program]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name, at, program = str(value).partition("@")
        if name not in SUBJECTS:
            self.fail(f"{name!r} is not one of {', '.join(SUBJECTS)}", param, ctx)
        if at and not program:
            self.fail(
                f"{value!r} names no program; write {name}@system, {name}@wheel or {name}@/path", param, ctx
            )
        return str(value)


_TIME = _Duration()
_SUBJECT = _SubjectName()
_MODES = [mode.value for mode in Mode]
_CLOSES_FIRST = [closes_first.value for closes_first in ClosesFirst]

# (flags, where in the plan, type, help)
_FLAGS: tuple[tuple[tuple[str, ...], str, Any, str], ...] = (
    (
        ("--mode",),
        "mode",
        click.Choice([*_MODES, "both"]),
        "Upstream connections: one per request, pooled, or both in turn.",
    ),
    (
        ("--closes-first",),
        "closes_first",
        click.Choice(_CLOSES_FIRST),
        "Who closes a short connection first.",
    ),
    (("--lab",), "lab", click.Choice(LABS), "Network namespaces (exact), or this machine's loopback."),
    (("--trials",), "trials", int, "Trials of each mode."),
    (("--subject",), "subject.name", _SUBJECT, f"The proxy under test: {', '.join(SUBJECTS)}."),
    (
        ("--program",),
        "subject.program",
        str,
        "Which nginx, haproxy, envoy, caddy or nghttpx: a path, system or wheel.",
    ),
    (
        ("--target",),
        "subject.target",
        str,
        "Load a server that runs already: http://...",
    ),
    (("--proxy-workers",), "subject.workers", int, "Worker processes of the proxy."),
    (("--pool-idle",), "subject.pool_idle", int, "Idle upstream connections kept per worker."),
    (("--pool-max",), "subject.pool_max", int, "Upstream connections opened at most per worker."),
    (
        ("--pool-idle-timeout",),
        "subject.pool_idle_timeout_s",
        _TIME,
        "They live so long when idle.",
    ),
    (("--requests-per-connection",), "subject.requests_per_connection", int, "Then the proxy closes it."),
    (("--upstream-http",), "subject.upstream_http", click.Choice(["1.0", "1.1"]), "Version sent upstream."),
    (("--connections", "-c"), "load.connections", int, "Client connections, in all."),
    (("--client-workers",), "load.workers", int, "Worker processes of the load generator."),
    (("--rate",), "load.rate", float, "Open loop: requests per second, sent when due."),
    (("--method",), "load.method", click.Choice(METHODS), "Of the requests; none may repeat a POST."),
    (("--client-mode",), "load.client_mode", click.Choice(_MODES), "The clients' own connections."),
    (("--warmup",), "load.warmup_s", _TIME, "Time before the window."),
    (("--duration", "-d"), "load.duration_s", _TIME, "The window that is measured."),
    (("--connect-timeout",), "load.connect_timeout_s", _TIME, "Client: until connected."),
    (("--request-timeout",), "load.request_timeout_s", _TIME, "Client: until the next byte."),
    (("--total-timeout",), "load.total_timeout_s", _TIME, "Client: until the whole response."),
    (
        ("--second-opinion",),
        "load.second_opinion",
        click.Choice(SECOND_OPINIONS),
        "After each trial, ask this load generator too.",
    ),
    (("--backend",), "backend.kind", click.Choice(BACKENDS), "The raw, fast server or an aiohttp service."),
    (("--backend-workers",), "backend.workers", int, "Worker processes of the backend."),
    (("--body",), "backend.body", str, "Response body: 2, 100KiB, 1KiB-64KiB."),
    (("--delay",), "backend.delay", str, "Before answering: 5ms, uniform:1ms-20ms, exponential:10ms."),
    (("--backend-idle-timeout",), "backend.idle_timeout_s", _TIME, "The backend closes idle connections."),
    (("--backend-requests",), "backend.requests_per_connection", int, "Then the backend closes it."),
    (("--close",), "backend.close", str, "How the backend closes: at-once, linger:5ms, never."),
    (("--fail",), "backend.fail", str, "Spoil every n-th response: reset:100, cut:50, garbage:1000."),
    (("--ports",), "hosts.ports", int, "Narrow the proxy host's port range to so many."),
    (("--proxy-addresses",), "hosts.proxy_addresses", int, "Source addresses of the proxy."),
    (("--backends",), "hosts.backends", int, "Backend addresses."),
    (("--pin/--no-pin",), "hosts.pin", None, "Give the client cores of its own."),
)


def plan_flags(command: Command) -> Command:
    """Add every plan flag to a click command; they reach it as keyword arguments, see `overrides`."""
    command = click.option("--workers", type=int, help="Worker processes of every role.")(command)
    command = click.option(
        "--sysctl", "sysctls", multiple=True, metavar="KEY=VALUE", help="Set on every host of the lab."
    )(command)
    for names, key, kind, text in reversed(_FLAGS):
        command = click.option(*names, _parameter(key), type=kind, default=None, help=text)(command)
    return command


def overrides(given: dict[str, Any]) -> dict[str, Any]:
    """Take the plan flags out of `given` and return them as the nested values of a plan."""
    values: dict[str, Any] = {}
    if (workers := given.pop("workers")) is not None:
        for section in ("subject", "load", "backend"):
            values[section] = {"workers": workers}
    if sysctls := given.pop("sysctls"):
        values["hosts"] = {"sysctls": dict(_sysctl(text) for text in sysctls)}
    for _, key, _, _ in _FLAGS:
        if (value := given.pop(_parameter(key))) is not None:
            section, _, name = key.rpartition(".")
            table = values.setdefault(section, {}) if section else values
            table[name] = value
    if (subject := values.get("subject", {})).get("name"):
        subject["name"], at, program = subject["name"].partition("@")
        if at:
            subject["program"] = program
    return values


def command(values: Mapping[str, Any]) -> str | None:
    """Return the `bench run` that asks for the plan `values`, with what differs from the default.

    None where the plan says something that no flag can.
    """
    default = Plan().to_json()
    different = {
        (section, key): value
        for section, held in values.items()
        for key, value in (held.items() if isinstance(held, dict) else [("", held)])
        if value != (default.get(section, {}).get(key) if key else default.get(section))
    }
    words = ["bench", "run"]
    for names, path, kind, _ in _FLAGS:
        section, _, key = path.rpartition(".")
        value = different.pop((section, key) if section else (key, ""), None)
        if value is not None:
            words += _written(names[0], kind, value)
    for name, value in different.pop(("hosts", "sysctls"), {}).items():
        words += ["--sysctl", f"{name}={value}"]
    return None if different else shlex.join(words)


def _written(flag: str, kind: Any, value: Any) -> list[str]:
    if isinstance(value, bool):
        yes, _, no = flag.partition("/")
        return [yes if value else no]
    if kind is _TIME:
        return [flag, f"{value:g}s"]
    return [flag, f"{value:g}" if isinstance(value, float) else str(value)]


def _sysctl(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in net.ipv4.tcp_tw_reuse=1")
    return key.strip(), value.strip()


def _parameter(key: str) -> str:
    return key.replace(".", "__")
