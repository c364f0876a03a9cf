"""Short texts that a regular expression matches, as a path or a field's value may need. Pure.

PCRE patterns are read with Python's engine; a pattern that Python does not know, or that no plain text
matches, has no example.
"""

import importlib
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

# The parser of patterns is not public; its tree is the same since Python 3.11 (Lib/re/_parser.py).
_parser: Any = importlib.import_module("re._parser")
_MAX_EXAMPLES = 6
_MAX_REPETITION = 1024  # characters; nginx accepts no request line over 8 KiB
MAX_SEARCHED = 8
"""Characters; a search of more may take exponential time, and traffic shows anyway whether a text matches."""
_PREFERRED = "a1b/-_.AZ0 "


def compiled(pattern: str, is_caseless: bool = False) -> re.Pattern[str] | None:
    """Return a PCRE pattern for Python's engine; None for what it does not know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that Python may read differently one day
            return re.compile(_as_python(pattern), re.IGNORECASE if is_caseless else 0)
    except (re.error, OverflowError, RecursionError):
        return None


def examples(pattern: str, *, is_caseless: bool = False, within: str = "") -> list[str]:
    """Return a few texts in which the pattern is found; `within` precedes what is not anchored.

    What does not begin a name, such as an extension, gets a name before it.
    """
    searching = compiled(pattern, is_caseless)
    if searching is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = _parser.parse(searching.pattern, searching.flags)
    is_anchored = re.match(r"(\(\?i\))?(\(\?:)?(\^|\\A)", pattern) is not None
    found: list[str] = []
    for text in itertools.islice(_texts(parsed), 4 * _MAX_EXAMPLES):
        whole = text if is_anchored or not within else _joined(within, text)
        if (len(whole) > MAX_SEARCHED or searching.search(whole)) and whole not in found:
            found.append(whole)
    return found[:_MAX_EXAMPLES]


def _joined(folder: str, text: str) -> str:
    return folder.removesuffix("/") + text if text.startswith("/") else f"{folder}index{text}"


def _as_python(pattern: str) -> str:
    """Return a PCRE pattern with its named groups as Python writes them."""
    return re.sub(r"\(\?<(?=\w)", "(?P<", re.sub(r"\(\?'(\w+)'", r"(?P<\1>", pattern))


def _texts(parsed: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """Yield texts of a sequence, the shortest choices first; lookarounds are left to the final search."""
    choices = [list(itertools.islice(_node_texts(str(kind), value), _MAX_EXAMPLES)) for kind, value in parsed]
    # One part varies at a time: a product over all parts would never reach the last.
    yield "".join(options[0] if options else "" for options in choices)
    for index, options in enumerate(choices):
        for option in options[1:]:
            yield "".join(
                option if at == index else (other[0] if other else "") for at, other in enumerate(choices)
            )


def _node_texts(kind: str, value: Any) -> Iterator[str]:
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
        case "SUBPATTERN" | "ATOMIC_GROUP":
            yield from _texts(value[3] if kind == "SUBPATTERN" else value)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            yield from _repeated(*value)
        case _:
            yield ""  # an anchor, a lookaround, a back reference


def _repeated(least: int, most: int, parsed: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    for text in _texts(parsed):
        if len(text) * (least + 1) > _MAX_REPETITION:
            continue
        yield text * least
        if least < most:
            yield text * (least + 1)


def _members(value: list[tuple[Any, Any]]) -> Iterator[str]:
    """Yield characters of a class: first the preferred ones, then those that it names."""
    is_negated = bool(value) and str(value[0][0]) == "NEGATE"
    matching = re.compile(f"[{''.join(map(_class_text, value))}]")
    yield from (each for each in _PREFERRED if matching.match(each))
    if not is_negated:
        for kind, item in value:
            if str(kind) == "LITERAL":
                yield chr(item)
            elif str(kind) == "RANGE":
                yield chr(item[0])


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
            name = str(item).removeprefix("CATEGORY_")  # DIGIT, SPACE, WORD, or NOT_ one of them
            letter = name.removeprefix("NOT_")[0]
            return f"\\{letter if name.startswith('NOT_') else letter.lower()}"
