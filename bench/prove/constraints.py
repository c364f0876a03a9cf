"""What a request has to hold so that an `if` of a configuration holds, or does not. Pure.

Conditions are followed through maps down to what a client decides: the method, the path, the host, fields,
arguments and cookies. What hangs on anything else (files, addresses, `set`) has no wish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bench.prove import regex_examples
from nginx.inheritance import Level
from nginx.targets import PROTOCOLS
from nginx.tree import Directive
from nginx.values import pieces
from nginx.variables import Definitions

_DEEPEST = 4
_SOME_HOST = "bench.example"
_SOME_URL = f"http://{_SOME_HOST}/"
_ORDINARY = ("", "bench", "/bench", "1")
"""Texts that conditions are seldom about."""
_MOST = 6
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request is to hold beside what reaches its location anyway; None and empty: nothing."""

    method: str | None = None
    path: str | None = None
    host: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    query: str | None = None

    def along(self, other: Wish) -> Wish:
        """Returns both wishes in one; where both name the same thing, the other's counts."""
        return Wish(
            other.method or self.method,
            other.path or self.path,
            other.host or self.host,
            self.fields + other.fields,
            "&".join(filter(None, (self.query, other.query))) or None,
        )


NOTHING = Wish()
_Accepts = Callable[[str], bool]


@dataclass(slots=True)
class Wishing:
    """Finds wishes in one configuration, whose maps it knows."""

    variables: Definitions
    _open: list[str] = field(default_factory=list)

    def for_level(self, level: Level) -> Iterator[Wish]:
        """Yields wishes with which a request comes through the conditions around a level, likeliest first."""
        yielded: list[Wish] = []
        for wish in self._combined([*_around(level)]):
            for avoiding in (NOTHING, *self._avoiding(level)):
                found = avoiding.along(wish)
                if found not in yielded:
                    yielded.append(found)
                    yield found

    def _combined(self, conditions: Sequence[tuple[Directive, bool]]) -> list[Wish]:
        wishes = [NOTHING]
        for condition, wanted in conditions:
            options = list(self.for_condition(condition, wanted))[:_MOST]
            if options:
                wishes = [wish.along(option) for wish in wishes for option in options][:_MOST]
        return wishes

    def _avoiding(self, level: Level) -> list[Wish]:
        """Returns wishes that keep a request out of the conditions that would lead it elsewhere."""
        conditions = [
            child
            for outer in level.up()
            for name in ("if", "limit_except")
            for child in outer.all(name)
            if child is not level.opener and _leads_elsewhere(child)
        ]
        return self._combined([(condition, False) for condition in conditions])

    def for_target(self, target: str) -> Wish:
        """Returns a wish for what a client decides of a pass directive's target: that it is an address."""
        wish = NOTHING
        known = ""
        for text, is_variable in pieces(target):
            if is_variable and not known.rpartition("://")[2]:
                value = _SOME_HOST if "://" in known else ("http" if f"${text}://" in target else _SOME_URL)
                wish = wish.along(_holding(text, value) or NOTHING)
            known += "" if is_variable else text
        return wish

    def for_condition(self, condition: Directive, wanted: bool) -> Iterator[Wish]:
        """Yields wishes with which an `if` or a limit_except takes a request, or does not."""
        if condition.name == "limit_except":
            inside = next((each for each in ("GET", "POST", "PUT") if each not in condition.args), "PATCH")
            outside = next((each for each in condition.args if each.isalpha()), "GET")
            yield Wish(method=inside if wanted else outside)
            return
        asked = _asked(condition.args)
        if asked is not None:
            variable, accepts, texts = asked
            yield from self._ways(variable, lambda text: accepts(text) == wanted, texts)

    def _ways(self, variable: str, accepts: _Accepts, texts: Sequence[str]) -> Iterator[Wish]:
        block = self.variables.blocks.get(variable)
        if block is not None and block.name == "map":
            yield from self._through_map(block, accepts)
            return
        for text in texts:
            if accepts(text) and (wish := _holding(variable, text)) is not None:
                yield wish

    def _through_map(self, block: Directive, accepts: _Accepts) -> Iterator[Wish]:
        match = _VARIABLE.fullmatch(block.args[0])
        if match is None or match[1] in self._open or len(self._open) >= _DEEPEST:
            return
        entries = {entry.name: entry.args[0] for entry in block.block or () if entry.args}
        default = entries.pop("default", "")
        self._open.append(match[1])
        if accepts(default):
            yield from self._ways(match[1], _takes_none(entries), ("bench", "/bench"))
        for key, value in entries.items():
            if accepts(value):
                yield from self._ways(match[1], partial(_is_key, key), _key_texts(key))
        self._open.pop()


def _takes_none(keys: Iterable[str]) -> _Accepts:
    return lambda text: not any(_is_key(key, text) for key in keys)


def _leads_elsewhere(condition: Directive) -> bool:
    ways = {"return", "rewrite", *PROTOCOLS}
    return any(each.name in ways for each in condition.block or ())


def _around(level: Level) -> Iterator[tuple[Directive, bool]]:
    for outer in level.up():
        if outer.kind in {"if", "limit_except"} and outer.opener is not None:
            yield outer.opener, True


def _asked(args: Sequence[str]) -> tuple[str, _Accepts, Sequence[str]] | None:
    """Returns the variable that a condition asks about, what it accepts, and texts that it may accept."""
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


def _search(pattern: str, is_caseless: bool) -> _Accepts:
    compiled = regex_examples.compiled(pattern, is_caseless)
    if compiled is None:
        return lambda _text: False
    return lambda text: len(text) > regex_examples.LONGEST_SEARCHED or compiled.search(text) is not None


def _is_key(key: str, text: str) -> bool:
    """Tells whether a key of a map takes a text."""
    if key.startswith("~"):
        return _search(key.lstrip("~*"), key.startswith("~*"))(text)
    return key.lstrip("\\").lower() == text.lower()


def _key_texts(key: str) -> Sequence[str]:
    if key.startswith("~"):
        return regex_examples.examples(key.lstrip("~*"), is_caseless=key.startswith("~*"))
    return (key.lstrip("\\"),)


def _holding(variable: str, text: str) -> Wish | None:
    """Returns a request in which a variable of nginx's has a value, where a client decides it."""
    match variable.partition("_"):
        case ("http", _, "host") | ("host", _, _):
            return Wish(host=text) if text else None
        case ("request", _, "method"):
            return Wish(method=text if text.isalpha() else "GET")
        case ("uri", _, _) | ("document" | "request", _, "uri"):
            return _at(text)
        case ("args", _, _) | ("query", _, "string"):
            return Wish(query=text or None)
        case ("http" | "arg" | "cookie" | "content", _, name) if name:
            return _with(variable, name, text) if text else NOTHING
    return None


def _with(variable: str, name: str, text: str) -> Wish | None:
    if variable.startswith("http_"):
        return Wish(fields=((name.replace("_", "-").title(), text),))
    if variable.startswith("arg_"):
        return Wish(query=f"{name}={text}")
    if variable.startswith("cookie_"):
        return Wish(fields=(("Cookie", f"{name}={text}"),))
    return Wish(fields=(("Content-Type", text),)) if variable == "content_type" else None


def _at(text: str) -> Wish | None:
    if not text.startswith("/"):
        return None
    path, mark, query = text.partition("?")
    return replace(Wish(path=path), query=query if mark else None)
