"""`bench schema`: what a command prints as JSON is valid by it, to the last key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import jsonschema  # type: ignore[import-untyped]
import pytest

from bench import cli
from bench.commands import json_output
from bench.commands.lazy_group import HELP_NAMES
from tests import command_line

RESULTS = Path(__file__).parents[2] / "results"
CONF = Path(__file__).parents[1] / "golden" / "inputs"

COMMANDS = [
    ("plan", ["plan", "--json", "--rate", "500", "--ports", "2000"]),
    ("list", ["list", "--json", "-o", RESULTS]),
    ("show", ["show", "--json", RESULTS / "reference"]),
    ("show", ["show", "--json", RESULTS / "reference-incident-at-once"]),
    ("show", ["show", "--json", RESULTS / "reference-rpc"]),
    ("show", ["show", "--json", RESULTS / "reference-watch-before"]),
    ("compare", ["compare", "--json", RESULTS / "reference", "--fail-on", "errors>1"]),
    ("compare", ["compare", "--json", RESULTS / "reference-rpc", RESULTS / "reference-rpc"]),
    (
        "compare",
        ["compare", "--json", RESULTS / "reference-watch-before", RESULTS / "reference-watch-after"],
    ),
    ("size", ["size", "--json", "--rate", "20000", "--latency", "8ms", "--proxies", "12"]),
    ("size", ["size", "--json", "--rate", "20000", "--latency", "8ms", "--keepalive", "0"]),
    ("doctor", ["doctor", "--json"]),
    ("check", ["check", "--format", "json", "--nginx-version", "oldest", "--nginx-version", "newest"]),
]


def _closed(shape: Any) -> Any:
    """Return a schema that allows no key which it does not name."""
    if isinstance(shape, list):
        return [_closed(each) for each in shape]
    if not isinstance(shape, dict):
        return shape
    closed = {key: _closed(value) for key, value in shape.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed["additionalProperties"] = False
    return closed


@pytest.mark.parametrize(("name", "arguments"), COMMANDS, ids=lambda value: str(value)[:40])
def test_what_a_command_prints_is_what_its_schema_says(
    name: str, arguments: list[str | Path], tmp_path: Path
) -> None:
    if name == "check":
        arguments = [*arguments, _configuration(tmp_path)]
    if name == "compare":
        arguments = [*arguments, "-o", tmp_path / "picture"]
    printed = json.loads(command_line.run(*arguments).stdout)
    asked = command_line.run("schema", *name.split())
    jsonschema.validate(printed, _closed(json.loads(asked.stdout)))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"unknown": printed}, _closed(json.loads(asked.stdout)))


def _configuration(folder: Path) -> Path:
    """Write a file that has verdicts of several kinds, and findings."""
    file = folder / "nginx.conf"
    file.write_text(
        "events {}\nhttp {\n  upstream app { server 127.0.0.1:1; server 127.0.0.1:2; keepalive 1; }\n"
        "  server {\n    listen 80;\n    location / { proxy_pass http://app; }\n"
        '    location /a { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }\n'
        "    location /b { proxy_pass http://127.0.0.1:3; }\n  }\n}\n"
    )
    return file


def _commands(group: click.Group, before: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in group.list_commands(click.Context(group, help_option_names=HELP_NAMES)):
        each = group.get_command(click.Context(group, help_option_names=HELP_NAMES), name)
        assert each is not None
        if isinstance(each, click.Group):
            found |= _commands(each, f"{before}{name} ")
        else:
            found[before + name] = each
    return found


def _prints_json(command: click.Command) -> bool:
    kinds = (parameter.type for parameter in command.params)
    formats = [kind for kind in kinds if isinstance(kind, click.Choice) and "json" in kind.choices]
    return bool(formats) or any("--json" in parameter.opts for parameter in command.params)


def test_every_command_that_prints_json_has_a_schema() -> None:
    assert {name for name, each in _commands(cli.bench).items() if _prints_json(each)} == set(
        json_output.OUTPUTS
    )
    assert command_line.run("schema").stdout.splitlines() == list(json_output.OUTPUTS)


@pytest.mark.parametrize("name", json_output.OUTPUTS)
def test_a_schema_is_one(name: str) -> None:
    shape = json_output.schema(name)
    jsonschema.Draft202012Validator.check_schema(shape)
    assert shape["title"] == f"The JSON of `bench {name}`"
    assert {"$ref", "anyOf", "items"} & shape.keys(), "it says what the value is"


def test_a_command_without_json_is_named() -> None:
    done = command_line.run("schema", "tour")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("bench: 'tour' prints no JSON; run, ab, plan, ")
