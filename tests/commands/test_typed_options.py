"""Plan keys in errors become the options that were typed; words that look like keys stay words."""

from __future__ import annotations

import click
import pytest

from bench.commands import typed_options
from bench.commands.typed_options import NamedKey, TypedOption

PARAMS = [
    click.Option(["--connections", "-c"], type=int),
    click.Option(["--pin/--no-pin"], default=None),
    click.Option(["--sysctl"], multiple=True),
]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("-c 3", {"connections": ["-c 3"]}),
        ("-c3", {"connections": ["-c 3"]}),
        ("--connections=3", {"connections": ["--connections 3"]}),
        ("-c 3 --connections 4", {"connections": ["-c 3", "--connections 4"]}),
        ("--no-pin plan.toml", {"pin": ["--no-pin"]}),
        ("--sysctl a=b --sysctl=c=d", {"sysctl": ["--sysctl a=b", "--sysctl c=d"]}),
        # The value of one option is no other option, and behind -- there are none.
        ("--sysctl -c -- --connections 3", {"sysctl": ["--sysctl -c"]}),
        ("-c", {"connections": ["-c"]}),
    ],
)
def test_options_are_read_as_they_were_typed(typed: str, found: dict[str, list[str]]) -> None:
    read = typed_options.read(PARAMS, typed.split())
    assert {name: list(map(str, options)) for name, options in read.items()} == found


KEYS = [
    NamedKey("mode", "--mode", TypedOption("--mode", "short"), "short"),
    NamedKey("trials", "--trials", TypedOption("--trials", "5"), 5),
    NamedKey("load.rate", "--rate", TypedOption("--rate", "1e12"), 1e12),
    NamedKey("load.connections", "--connections"),
    NamedKey("load.warmup_s", "--warmup", TypedOption("--warmup", "30h"), 108_000.0),
    NamedKey("settings.bytes", "--set", TypedOption("--set", "bytes=1e18"), is_pair=True),
]


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("plan: load.rate = 1e+12 is too much", "--rate 1e12 is too much"),
        ("plan: load.connections = 64; lower it", "--connections 64; lower it"),
        ("plan: load.warmup_s = 108000 must be", "--warmup 30h must be"),
        ("load.warmup_s: nothing", "--warmup 30h: nothing"),
        # Another value than the one that was typed is a remedy.
        ("plan: load.rate = 5 would do", "--rate 5 would do"),
        ("plan: trials = 5: 10 trials of 7 s", "--trials 5: 10 trials of 7 s"),
        ("plan: trials is no number", "--trials 5 is no number"),
        ("there the mode is fixed; set mode = 'keepalive'", "there the mode is fixed; set --mode keepalive"),
        ("plan: settings.bytes = 1e+18 is no", "--set bytes=1e18 is no"),
        # Not these keys.
        ("plan: load.rates = 5 is", "plan: load.rates = 5 is"),
        ("plan: xload.rate = 5 is", "plan: xload.rate = 5 is"),
        ("a/load.rate: missing", "a/load.rate: missing"),
        ("the mode of 3 trials", "the mode of 3 trials"),
        ("plan: hosts.ports = 5 is", "plan: hosts.ports = 5 is"),
    ],
)
def test_keys_are_named_as_options(message: str, named: str) -> None:
    assert typed_options.name_keys(message, KEYS) == named


def test_a_long_value_is_cut() -> None:
    assert str(TypedOption("--trials", "9" * 400)) == f"--trials {'9' * 80}..."
