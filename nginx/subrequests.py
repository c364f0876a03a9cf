"""Find the locations that auth_request and mirror send their subrequests to: those answers are not read.

Source: ngx_http_auth_request_handler() and ngx_http_mirror_handler_internal() in src/http/modules, which set
header_only or send no output at release-1.22.1.
"""

import re
from collections.abc import Iterable

from nginx.inheritance import Level
from nginx.tree import Directive

_ASKING = ("auth_request", "mirror")


def subrequest_lines(levels: Iterable[Level]) -> dict[int, Directive]:
    """Return the auth_request or mirror line whose subrequests come to a location, by its identity.

    A line outside of all servers is one of each of them.
    """
    lines: dict[int, dict[str, Directive]] = {}
    locations: dict[int, list[Level]] = {}
    for level in levels:
        server = id(level.enclosing("server"))
        if level.kind == "location":
            locations.setdefault(server, []).append(level)
        for line in (line for name in _ASKING for line in level.all(name)):
            if line.args and line.args[0] != "off":
                lines.setdefault(server, {}).setdefault(line.args[0].partition("?")[0], line)
    found: dict[int, Directive] = {}
    for server, own in locations.items():
        for uri, line in (lines.get(id(None), {}) | lines.get(server, {})).items():
            location = _find_location(own, uri)
            if location is not None:
                found[id(location)] = line
    return found


def _find_location(locations: Iterable[Level], uri: str) -> Level | None:
    """Return the location for a URI: the exact one, the first pattern that matches, or the longest prefix."""
    found, longest, patterns = None, -1, list[Level]()
    for level in locations:
        how, name = _how_and_name(level)
        if how == "=" and name == uri:
            return level
        if how in {"~", "~*"}:
            patterns.append(level)
        elif how != "=" and uri.startswith(name) and len(name) > longest:
            found, longest = level, len(name)
    if found is not None and _how_and_name(found)[0] == "^~":
        return found
    return next((level for level in patterns if _matches(level, uri)), found)


def _how_and_name(level: Level) -> tuple[str, str]:
    """Return how a location compares URIs, and with what; nginx takes both as one word too."""
    args = level.opener.args if level.opener else ()
    if len(args) == 1:
        how = next((mark for mark in ("=", "^~", "~*", "~") if args[0].startswith(mark)), "")
        return how, args[0].removeprefix(how)
    return (args[0], args[1]) if len(args) == 2 else ("", "")


def _matches(level: Level, uri: str) -> bool:
    """Return whether a location's pattern matches; one that Python cannot read does not."""
    how, pattern = _how_and_name(level)
    try:
        return re.search(pattern, uri, re.IGNORECASE if how == "~*" else 0) is not None
    except re.error:
        return False


def is_only_for(location: Level, line: Directive) -> bool:
    """Return whether subrequests are what comes to a location: it is not for all, and sends none itself."""
    is_asking = any(each is line for each in location.block)
    return location.last("internal") is not None or not (is_asking or _how_and_name(location)[1] == "/")
