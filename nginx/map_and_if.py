"""Evaluate map {}, geo {}, split_clients {} and the conditions of `if`, as far as values are known.

Source: ngx_http_map_find() in src/http/ngx_http_variables.c, and ngx_http_rewrite_if_condition() in
src/http/modules/ngx_http_rewrite_module.c.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache

from nginx.tree import Directive
from nginx.values import EMPTY, Values, expand, known_text, unknown

Lookup = Callable[[str], Values]
_MAP_PARAMETERS = frozenset({"default", "hostnames", "volatile", "include"})
_MOST_RESULTS = 64
_LONGEST_MATCHED = 24  # a pattern may take time exponential in the text; longer ones stay undecided


def map_values(block: Directive, lookup: Lookup) -> Values:
    """Return what the variable of a map {} can be, given what its source can be."""
    entries = [(entry.name, entry.args[0]) for entry in block.block or () if entry.args]
    default = next((value for name, value in entries if name == "default"), "")
    rules = [(name.removeprefix("\\"), value) for name, value in entries if name not in _MAP_PARAMETERS]
    chosen: set[str] = set()
    for source in expand(block.args[0], lookup):
        text = known_text(source)
        if text is None:
            chosen.update((default, *(value for _, value in rules)))
        else:
            chosen |= _map_results(text, rules, default)
    return _expand_all(chosen, block, lookup)


def list_values(block: Directive, lookup: Lookup) -> Values:
    """Return what the variable of a geo {} or split_clients {} can be: any value in its list."""
    entries = {
        entry.args[0] for entry in block.block or () if entry.args and entry.name not in _GEO_PARAMETERS
    }
    has_default = block.name != "geo" or any(entry.name == "default" for entry in block.block or ())
    return _expand_all(entries if has_default else entries | {""}, block, lookup)


_GEO_PARAMETERS = frozenset({"include", "proxy", "proxy_recursive", "delete", "ranges"})


def evaluate_if(condition: Sequence[str], lookup: Lookup) -> bool | None:
    """Return whether an `if` condition is true; None where that is unknown."""
    words = _without_parentheses(condition)
    if len(words) == 1:
        texts = {known_text(value) for value in expand(words[0], lookup)}
        results = {None if text is None else text not in {"", "0"} for text in texts}
    elif len(words) == 3:
        left, operator, right = words
        results = {
            _compares(known_text(value), operator, right, known_text(other))
            for value in expand(left, lookup)
            for other in (expand(right, lookup) if operator in {"=", "!="} else EMPTY)
        }
    else:
        return None
    return results.pop() if len(results) == 1 else None


def _expand_all(templates: set[str], block: Directive, lookup: Lookup) -> Values:
    name = block.args[-1].lstrip("$")
    if len(templates) > _MOST_RESULTS:
        return unknown(name, f"the {block.name} at {block.place} has {len(templates)} values")
    return frozenset().union(*(expand(template, lookup) for template in templates))


def _map_results(text: str, rules: list[tuple[str, str]], default: str) -> set[str]:
    """Return the value that a map gives a known text; more than one where a pattern cannot be decided."""
    lowered = text.lower()
    exact = next((value for name, value in rules if name.lower() == lowered and name[:1] != "~"), None)
    if exact is not None:
        return {exact}
    undecided: set[str] = set()
    for name, value in rules:
        if name.startswith("~"):
            match = _regex_matches(name[1:], text)
            if match:
                return undecided | {value}
            if match is None:
                undecided.add(value)
    return undecided | {default}


def _compares(text: str | None, operator: str, pattern: str, other: str | None) -> bool | None:
    if text is None:
        return None
    negated = operator.startswith("!")
    match operator.lstrip("!"):
        case "=":
            result = None if other is None else text == other
        case "~":
            result = _regex_matches(pattern, text)
        case "~*":
            result = _regex_matches("*" + pattern, text)
        case _:
            return None
    return None if result is None else result != negated


def _regex_matches(pattern: str, text: str) -> bool | None:
    """Return whether a pattern is found in a text ("*" leads for any case); None if it cannot be compiled."""
    compiled = _compiled(pattern) if len(text) <= _LONGEST_MATCHED else None
    return None if compiled is None else compiled.search(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    flags = re.IGNORECASE if pattern.startswith("*") else 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python may read differently one day
            return re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", pattern.removeprefix("*")), flags)
    except (re.error, OverflowError, RecursionError):
        return None  # a PCRE pattern that Python's engine does not know: undecided


def _without_parentheses(condition: Sequence[str]) -> list[str]:
    words = list(condition)
    if words:
        words[0] = words[0].removeprefix("(")
        words[-1] = words[-1].removesuffix(")")
    return [word for index, word in enumerate(words) if word or 0 < index < len(words) - 1]
