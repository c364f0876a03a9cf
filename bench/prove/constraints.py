"""Constraints on a request, so that an `if` of a configuration holds or does not. Pure.

Conditions are followed through maps to what a client decides: the method, the path, the host, fields,
arguments and cookies. What depends on anything else (files, addresses, `set`) has no constraints.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.prove import regex_examples
from nginx.inheritance import Level
from nginx.targets import PROTOCOLS
from nginx.tree import Directive
from nginx.values import pieces
from nginx.variables import Definitions

_MAX_DEPTH = 4
_MAX_OPTIONS = 6
EXAMPLE_HOST = "bench.example"
_EXAMPLE_URL = f"http://{EXAMPLE_HOST}/"
_ORDINARY = ("", "bench", "/bench", "1")
"""Texts that conditions rarely match."""
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_Predicate = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a request must contain besides what reaches its location anyway; None and empty: nothing."""

    method: str | None = None
    path: str | None = None
    host: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    query: str | None = None

    def merged_with(self, other: "Constraints") -> "Constraints":
        """Return both in one; where both constrain the same thing, the other's counts."""
        return Constraints(
            other.method or self.method,
            other.path or self.path,
            other.host or self.host,
            self.fields + other.fields,
            "&".join(filter(None, (self.query, other.query))) or None,
        )


NO_CONSTRAINTS = Constraints()


@dataclass(slots=True)
class ConstraintFinder:
    """Finds constraints in one configuration, whose maps it knows."""

    variables: Definitions
    _open: list[str] = field(default_factory=list)

    def for_level(self, level: Level) -> Iterator[Constraints]:
        """Yield constraints that meet the conditions around a level, likeliest first."""
        yielded: list[Constraints] = []
        for meeting in self._combined([*_conditions_around(level)]):
            for avoiding in (NO_CONSTRAINTS, *self._avoiding(level)):
                found = avoiding.merged_with(meeting)
                if found not in yielded:
                    yielded.append(found)
                    yield found

    def _combined(self, conditions: Sequence[tuple[Directive, bool]]) -> list[Constraints]:
        found = [NO_CONSTRAINTS]
        for condition, wanted in conditions:
            options = list(self.for_condition(condition, wanted))[:_MAX_OPTIONS]
            if options:
                merged = [each.merged_with(option) for each in found for option in options]
                found = merged[:_MAX_OPTIONS]
        return found

    def _avoiding(self, level: Level) -> list[Constraints]:
        """Return constraints that avoid the conditions which lead a request elsewhere."""
        conditions = [
            child
            for outer in level.up()
            for name in ("if", "limit_except")
            for child in outer.all(name)
            if child is not level.opener and _leads_elsewhere(child)
        ]
        return self._combined([(condition, False) for condition in conditions])

    def for_target(self, target: str) -> Constraints:
        """Return constraints that make the client's part of a pass directive's target an address."""
        found, known = NO_CONSTRAINTS, ""
        for text, is_variable in pieces(target):
            if is_variable and not known.rpartition("://")[2]:
                whole = "http" if f"${text}://" in target else _EXAMPLE_URL
                value = EXAMPLE_HOST if "://" in known else whole
                found = found.merged_with(_constrain(text, value) or NO_CONSTRAINTS)
            known += "" if is_variable else text
        return found

    def for_condition(self, condition: Directive, wanted: bool) -> Iterator[Constraints]:
        """Yield constraints with which the condition of an `if` or a limit_except is as wanted."""
        if condition.name == "limit_except":
            inside = next((each for each in ("GET", "POST", "PUT") if each not in condition.args), "PATCH")
            outside = next((each for each in condition.args if each.isalpha()), "GET")
            yield Constraints(method=inside if wanted else outside)
            return
        parsed = _parse_condition(condition.args)
        if parsed is not None:
            variable, holds, texts = parsed
            yield from self._for_variable(variable, lambda text: holds(text) == wanted, texts)

    def _for_variable(self, variable: str, holds: _Predicate, texts: Sequence[str]) -> Iterator[Constraints]:
        block = self.variables.blocks.get(variable)
        if block is not None and block.name == "map":
            yield from self._for_map(block, holds)
            return
        for text in texts:
            if holds(text) and (found := _constrain(variable, text)) is not None:
                yield found

    def _for_map(self, block: Directive, holds: _Predicate) -> Iterator[Constraints]:
        match = _VARIABLE.fullmatch(block.args[0])
        if match is None or match[1] in self._open or len(self._open) >= _MAX_DEPTH:
            return
        entries = {entry.name: entry.args[0] for entry in block.block or () if entry.args}
        default = entries.pop("default", "")
        self._open.append(match[1])
        if holds(default):
            yield from self._for_variable(match[1], _matches_none(entries), ("bench", "/bench"))
        for key, value in entries.items():
            if holds(value):
                yield from self._for_variable(match[1], partial(_matches_key, key), _key_examples(key))
        self._open.pop()


# Conditions


def _leads_elsewhere(condition: Directive) -> bool:
    names = {"return", "rewrite", *PROTOCOLS}
    return any(each.name in names for each in condition.block or ())


def _conditions_around(level: Level) -> Iterator[tuple[Directive, bool]]:
    for outer in level.up():
        if outer.kind in {"if", "limit_except"} and outer.opener is not None:
            yield outer.opener, True


def _parse_condition(args: Sequence[str]) -> tuple[str, _Predicate, Sequence[str]] | None:
    """Return the variable of a condition, whether a value meets it, and texts that may."""
    words = " ".join(args).strip().removeprefix("(").removesuffix(")").split(None, 2)
    match = _VARIABLE.fullmatch(words[0]) if words else None
    if match is None:
        return None
    if len(words) == 1:
        return match[1], lambda text: text not in {"", "0"}, ("1", *_ORDINARY)
    operator, value = words[1], words[2] if len(words) == 3 else ""
    wanted = not operator.startswith("!")
    if operator in {"=", "!="}:
        return match[1], lambda text: (text == value) == wanted, (value, *_ORDINARY)
    if operator.lstrip("!") in {"~", "~*"}:
        is_caseless = operator.endswith("*")
        found = _search(value, is_caseless)
        texts = regex_examples.examples(value, is_caseless=is_caseless)
        return match[1], lambda text: found(text) == wanted, (*texts, *_ORDINARY)
    return None


def _search(pattern: str, is_caseless: bool) -> _Predicate:
    compiled = regex_examples.compiled(pattern, is_caseless)
    if compiled is None:
        return lambda _text: False
    return lambda text: len(text) > regex_examples.MAX_SEARCHED or compiled.search(text) is not None


# Keys of a map


def _matches_none(keys: Iterable[str]) -> _Predicate:
    return lambda text: not any(_matches_key(key, text) for key in keys)


def _matches_key(key: str, text: str) -> bool:
    if key.startswith("~"):
        return _search(key.lstrip("~*"), key.startswith("~*"))(text)
    return key.lstrip("\\").lower() == text.lower()


def _key_examples(key: str) -> Sequence[str]:
    if key.startswith("~"):
        return regex_examples.examples(key.lstrip("~*"), is_caseless=key.startswith("~*"))
    return (key.lstrip("\\"),)


# Variables


def _constrain(variable: str, text: str) -> Constraints | None:
    """Return constraints that give a variable this value; None where no client decides it."""
    prefix, _, name = variable.partition("_")
    found = None
    if variable in {"host", "http_host"}:
        found = Constraints(host=text) if text else None
    elif variable == "request_method":
        found = Constraints(method=text if text.isalpha() else "GET")
    elif variable in {"uri", "document_uri", "request_uri"}:
        path, _, query = text.partition("?")
        found = Constraints(path=path, query=query or None) if path.startswith("/") else None
    elif variable in {"args", "query_string"}:
        found = Constraints(query=text or None)
    elif name and prefix in {"http", "arg", "cookie", "content"}:
        found = _constrain_named(prefix, name, text) if text else NO_CONSTRAINTS
    return found


def _constrain_named(prefix: str, name: str, text: str) -> Constraints | None:
    match prefix, name:
        case "http", _:
            return Constraints(fields=((name.replace("_", "-").title(), text),))
        case "arg", _:
            return Constraints(query=f"{name}={text}")
        case "cookie", _:
            return Constraints(fields=(("Cookie", f"{name}={text}"),))
        case "content", "type":
            return Constraints(fields=(("Content-Type", text),))
    return None
