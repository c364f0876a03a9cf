"""Check where locations stand: twice, outside of the one around them, or where none may be.

Source: ngx_http_core_location() at release-1.22.1, measured with `nginx -t`.
"""

from collections.abc import Iterator

from nginx import versions
from nginx.inheritance import Level
from nginx.refusals.refusal import Refusal
from nginx.templates import has_placeholder
from nginx.tree import Directive
from nginx.versions import Version

_MODIFIERS = ("=", "^~", "~*", "~")


def find(levels: list[Level], version: Version) -> Iterator[Refusal]:
    """Yield the locations that a version of nginx refuses."""
    for level in levels:
        seen: dict[tuple[bool, str], Directive] = {}
        for line in level.all("location"):
            modifier, path = _split(line)
            if _is_chosen_by_variable(line, version):
                continue  # wherever it stands
            if has_placeholder(line.args) or not line.args:
                continue
            if len(line.args) == 2 and line.args[0] not in _MODIFIERS:
                yield Refusal(line.place, f'invalid location modifier "{line.args[0]}"')
                continue
            outer = level.opener if level.kind == "location" else None
            if outer is not None and not _is_chosen_by_variable(outer, version):
                yield from _nested(line, modifier, path, outer)
            if modifier.startswith("~") or path.startswith("@"):
                continue
            key = (modifier == "=", path)
            if key in seen and line.place.file == seen[key].place.file:
                yield Refusal(line.place, f'duplicate location "{path}"', "", (seen[key],))
            seen.setdefault(key, line)


def _is_chosen_by_variable(location: Directive, version: Version) -> bool:
    modifier, path = _split(location)
    return not modifier and path.startswith("$") and version >= versions.LOCATION_VARIABLES


def _split(location: Directive) -> tuple[str, str]:
    """Return the modifier and the path of a location; they may be one word."""
    if len(location.args) == 2:
        return location.args[0], location.args[1]
    word = location.args[0] if location.args else ""
    modifier = next((each for each in _MODIFIERS if word.startswith(each)), "")
    return modifier, word[len(modifier) :]


def _nested(line: Directive, modifier: str, path: str, outer: Directive) -> Iterator[Refusal]:
    around, prefix = _split(outer)
    if around == "=":
        yield Refusal(line.place, f'location "{path}" cannot be inside the exact location "{prefix}"')
    elif prefix.startswith("@") and not around:
        yield Refusal(line.place, f'location "{path}" cannot be inside the named location "{prefix}"')
    elif path.startswith("@") and not modifier:
        yield Refusal(line.place, f'named location "{path}" can be on the server level only')
    elif not modifier.startswith("~") and not path.startswith(prefix):
        yield Refusal(line.place, f'location "{path}" is outside location "{prefix}"')
