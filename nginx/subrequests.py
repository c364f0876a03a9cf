"""Find the locations that auth_request and mirror send their subrequests to: those answers are not read.

Source: ngx_http_auth_request_handler() and ngx_http_mirror_handler_internal() in src/http/modules, which set
header_only or send no output at release-1.22.1.
"""

from collections.abc import Iterable

from nginx.inheritance import Level
from nginx.tree import Directive

_ASKING = ("auth_request", "mirror")


def subrequest_lines(levels: Iterable[Level]) -> dict[int, Directive]:
    """Return the auth_request or mirror line whose subrequests come to a location, by its identity."""
    lines: dict[tuple[int, str], Directive] = {}
    locations: dict[int, list[Level]] = {}
    for level in levels:
        server = id(level.enclosing("server"))
        if level.kind == "location":
            locations.setdefault(server, []).append(level)
        for line in (line for name in _ASKING for line in level.all(name)):
            if line.args and line.args[0] != "off":
                lines.setdefault((server, line.args[0].partition("?")[0]), line)
    found = ((_find_location(locations.get(server, []), uri), line) for (server, uri), line in lines.items())
    return {id(location): line for location, line in found if location is not None}


def _find_location(locations: Iterable[Level], uri: str) -> Level | None:
    """Return the location for a URI: the exact one, or the longest prefix (patterns left out)."""
    found, longest = None, -1
    for level in locations:
        *how, prefix = (level.opener.args if level.opener else ()) or ("",)
        if how == ["="] and prefix == uri:
            return level
        if how in ([], ["^~"]) and uri.startswith(prefix) and len(prefix) > longest:
            found, longest = level, len(prefix)
    return found


def is_only_for(location: Level, line: Directive) -> bool:
    """Return whether a location is there for subrequests alone: it is internal, or has their very URI."""
    opener = location.opener
    is_named = opener is not None and opener.args[-1:] == (line.args[0].partition("?")[0],)
    return is_named or location.last("internal") is not None
