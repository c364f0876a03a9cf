"""A short text that a regular expression matches, as a path or a field's value may have to be. Pure.

PCRE patterns are read with Python's engine; what it does not know, or what no plain text satisfies, has no
example, and the caller says so.
"""

from __future__ import annotations

import importlib
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

# The tree of a pattern has no public name; it is the same since Python 3.11 (Lib/re/_parser.py).
_parser: Any = importlib.import_module("re._parser")
_MOST = 6
_LONGEST = 1024  # of what a repetition comes to; nginx takes no longer request line than 8 KiB
LONGEST_SEARCHED = 8
"""Beyond, a search may take time exponential in the text; what was made for a pattern is then trusted:
whether a request reaches a location is for traffic to tell anyhow."""
_PREFERRED = "a1b/-_.AZ0 "


def compiled(pattern: str, is_caseless: bool = False) -> re.Pattern[str] | None:
    """Returns a PCRE pattern for Python's engine; None for what it does not know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python may read differently one day
            return re.compile(_as_python(pattern), re.IGNORECASE if is_caseless else 0)
    except (re.error, OverflowError, RecursionError):
        return None


def examples(pattern: str, *, is_caseless: bool = False, within: str = "") -> list[str]:
    """Returns a few texts in which the pattern is found; `within` stands before what is not anchored.

    What begins in mid-name, such as an extension, gets a name before it.
    """
    searching = compiled(pattern, is_caseless)
    if searching is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = _parser.parse(searching.pattern, searching.flags)
    is_anchored = re.match(r"(\(\?i\))?(\(\?:)?(\^|\\A)", pattern) is not None
    found: list[str] = []
    for text in itertools.islice(_texts(parsed), 4 * _MOST):
        whole = text if is_anchored or not within else _joined(within, text)
        if (len(whole) > LONGEST_SEARCHED or searching.search(whole)) and whole not in found:
            found.append(whole)
    return found[:_MOST]


def _joined(folder: str, text: str) -> str:
    return folder.removesuffix("/") + text if text.startswith("/") else f"{folder}index{text}"


def _as_python(pattern: str) -> str:
    """Returns a PCRE pattern with its named groups as Python writes them."""
    return re.sub(r"\(\?<(?=\w)", "(?P<", re.sub(r"\(\?'(\w+)'", r"(?P<\1>", pattern))


def _texts(parsed: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """Yields texts of a sequence, the shortest choices first; lookarounds are left to the final search."""
    choices = [list(itertools.islice(_of(str(kind), value), _MOST)) for kind, value in parsed]
    # One part varies at a time: a product over all parts would never come to the last.
    yield "".join(options[0] if options else "" for options in choices)
    for index, options in enumerate(choices):
        for option in options[1:]:
            yield "".join(
                option if at == index else (other[0] if other else "") for at, other in enumerate(choices)
            )


def _of(kind: str, value: Any) -> Iterator[str]:
    match kind:
        case "LITERAL":
            yield chr(value)
        case "NOT_LITERAL":
            yield next(each for each in _PREFERRED if each != chr(value))
        case "ANY":
            yield "a"
        case "IN":
            yield from _members(value)
        case "BRANCH":
            for option in value[1]:
                yield from _texts(option)
        case "SUBPATTERN":
            yield from _texts(value[3])
        case "ATOMIC_GROUP":
            yield from _texts(value)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            yield from _repeated(*value)
        case _:
            yield ""  # an anchor, a lookaround, a back reference


def _repeated(least: int, most: int, parsed: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    for text in _texts(parsed):
        if len(text) * (least + 1) > _LONGEST:
            continue
        yield text * least
        if least < most:
            yield text * (least + 1)


def _members(value: list[tuple[Any, Any]]) -> Iterator[str]:
    """Yields characters of a class; a class that excludes them, those of ours that it leaves."""
    is_negated = bool(value) and str(value[0][0]) == "NEGATE"
    matching = re.compile(f"[{''.join(map(_class_text, value))}]")
    yield from (each for each in _PREFERRED if matching.match(each))
    if not is_negated:
        for kind, item in value:
            if str(kind) == "LITERAL":
                yield chr(item)
            elif str(kind) == "RANGE":
                yield chr(item[0])


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def _class_text(part: tuple[Any, Any]) -> str:
    kind, item = part
    match str(kind):
        case "NEGATE":
            return "^"
        case "LITERAL":
            return re.escape(chr(item))
        case "RANGE":
            return f"{re.escape(chr(item[0]))}-{re.escape(chr(item[1]))}"
        case _:
            return _CATEGORIES.get(str(item), r"\w")
