"""The pages that come from the code say what the code says now, and leave nothing out."""

from __future__ import annotations

import dataclasses

import click
import pytest

from bench.cli import bench
from bench.commands.lazy_group import HELP_NAMES
from bench.errors import ExitCode
from bench.plan.flags import FLAGS
from bench.plan.run_plan import Plan
from docs.site import generated, markdown
from docs.site.pages import DOCS
from docs.site.reference.fields import format_default, read_fields
from nginx.rules import CATALOGUE

PAGES = generated.build_pages()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_what_the_code_says(path: str) -> None:
    assert (DOCS / path).read_text(encoding="utf-8") == PAGES[path], "make reference"


def leaves(command: click.Command, context: click.Context) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(context.command_path, command)]
    found = []
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        found += leaves(below, click.Context(below, info_name=name, parent=context))
    return found


def test_all_commands_and_options_are_there() -> None:
    sections = dict(part.split("\n", 1) for part in PAGES["reference/commands.md"].split("\n## ")[1:])
    listed = leaves(bench, click.Context(bench, info_name="bench", help_option_names=HELP_NAMES))
    assert list(sections) == [path for path, _ in listed]
    for path, command in listed:
        options = [name for each in command.params for name in each.opts if name.startswith("--")]
        assert [name for name in options if name not in sections[path]] in ([], ["--help"]), path


def test_all_keys_and_flags_of_a_plan_are_there() -> None:
    page = PAGES["reference/plan.md"]
    for each in read_fields(Plan):
        if dataclasses.is_dataclass(each.default):
            assert f"## [{each.name}]" in page
        else:
            assert f"| `{each.name}` |" in page
    assert [flag.name for flag in FLAGS if f"`{flag.name}`" not in page] == []


LANGUAGES = ("nginx", "text")  # a template is no configuration yet


def test_all_rules_have_their_examples() -> None:
    page = PAGES["reference/rules.md"]
    sections = {part.split(" ", 1)[0]: part for part in page.split("\n## ")[1:]}
    assert set(sections) == set(CATALOGUE)
    for rule in CATALOGUE.values():
        blocks = [each.text for each in markdown.find_blocks(sections[rule.id]) if each.language in LANGUAGES]
        assert len(blocks) == (2 if rule.bad.strip() else 0), rule.id
        assert ("Proven by nginx" in sections[rule.id]) is not bool(rule.unproven), rule.id


def test_all_exit_codes_are_there() -> None:
    assert [f"| {int(code)} | `{code.name}` |" in PAGES["reference/exit-codes.md"] for code in ExitCode] == [
        True
    ] * len(ExitCode)


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a test reads: a field of ours has a string below it."""

    size: int = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), ((), "-"), (dataclasses.MISSING, "-"), (True, "`true`"), (0, "`0`"), ("a", "`a`")],
)
def test_a_default_is_written_as_in_a_plan(value: object, text: str) -> None:
    assert format_default(value) == text


def test_the_string_below_a_field_is_its_meaning() -> None:
    meanings = {each.name: each.meaning for each in read_fields(Plan)}
    assert meanings["trials"] == "Trials of each mode; `both` interleaves them."
    assert meanings["mode"] == ""
    assert [each.default for each in read_fields(Sample)] == [3]


def test_a_cell_of_a_table_stays_one_cell() -> None:
    table = markdown.format_table(("a", "b"), [("x|y", "two\nlines")])
    assert table == "| a | b |\n| --- | --- |\n| x\\|y | two lines |\n"
