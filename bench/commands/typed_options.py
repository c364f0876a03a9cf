"""The options of a command line as they were typed, and errors that name them so.

What checks a plan knows its keys alone, as a plan file has them. Who typed `-c 0` reads `-c 0` in the error,
not `load.connections = 0`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

_SHOWN = 80
"""Characters of a value that an error repeats."""
_VALUE = r"""(?: = ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\{[^}]*\}|[^\s;:]+?(?=[;:,.]*(?:\s|$))))"""


@dataclass(frozen=True, slots=True)
class TypedOption:
    """One option of a command line: its name and its value, letter by letter; no value for a switch."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return self.name
        value = self.value if len(self.value) <= _SHOWN else f"{self.value[:_SHOWN]}..."
        return f"{self.name} {value or repr('')}"


def read(params: Sequence[click.Parameter], args: Sequence[str]) -> dict[str, list[TypedOption]]:
    """Return the options among `args` in their order, by the name of their parameter."""
    named = {
        name: param
        for param in params
        if isinstance(param, click.Option)
        for name in (*param.opts, *param.secondary_opts)
    }
    found: dict[str, list[TypedOption]] = {}
    left = iter(args)
    for word in left:
        if word == "--":
            break
        name, value = _split(word, named)
        if (param := named.get(name)) is None:
            continue
        if value is None and not (param.is_flag or param.count):
            value = next(left, None)
        found.setdefault(str(param.name), []).append(TypedOption(name, value))
    return found


def _split(word: str, named: Mapping[str, click.Option]) -> tuple[str, str | None]:
    """Return the name and the value of --NAME=VALUE or -nVALUE; another word is its own name."""
    if word.startswith("--") and "=" in word:
        name, _, value = word.partition("=")
        return name, value
    if not word.startswith("--") and word[:2] in named and len(word) > 2:
        return word[:2], word[2:]
    return word, None


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A plan key, and how the command line calls it.

    `typed` is what was typed for it, if anything was, and `meant` the value that was understood; with
    `is_pair` it is a part of what was typed.
    """

    key: str
    name: str
    typed: TypedOption | None = None
    meant: Any = None
    is_pair: bool = False

    def shown(self, value: str | None) -> str:
        """Return how an error that says KEY, or KEY = `value`, is to say it."""
        if self.typed is not None and (
            self.is_pair or value is None or value in list(_spellings(self.meant))
        ):
            return str(self.typed)
        return self.name if value is None else f"{self.name} {value.strip(chr(39))}"


def _spellings(value: Any) -> Iterator[str]:
    """Yield how errors may spell a value."""
    if isinstance(value, str):
        yield from (repr(str(value)), str(value))
    else:
        yield repr(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            yield from (f"{value:g}", f"{value:,}", f"{value:,.15g}", str(value))
        except (ValueError, OverflowError):  # too many digits
            return


def name_keys(message: str, keys: Sequence[NamedKey]) -> str:
    """Return `message` with the plan keys in it as options; a key that stands for a word stays a word."""
    bare = body = message.removeprefix("plan: ")
    for each in keys:
        # A key of a section is no word; one of the top may be, unless it begins the message or has a value.
        key = re.escape(each.key)
        pattern = rf"(?<![\w./-]){key}(?!\.?\w){_VALUE}?"
        if "." not in each.key:
            pattern = rf"^{key}(?![\w.-]){_VALUE}?|(?<![\w./-]){key}{_VALUE}"
        body = re.sub(pattern, lambda found, each=each: each.shown(_value_of(found)), body)  # type: ignore[misc]
    return message if body == bare else body


def _value_of(found: re.Match[str]) -> str | None:
    return next((group for group in found.groups() if group is not None), None)
