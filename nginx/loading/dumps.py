"""Read what `nginx -T` prints: the files of a configuration, one behind the other, through a terminal or not.

Between them and around them may stand what nginx, docker, kubectl and ssh say; lines may end in CR LF, as a
terminal ends them; and PowerShell redirects into UTF-16.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest

_HEAD = re.compile(r"^# configuration file (.+?):\r?\n", re.MULTILINE)
_SGR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LOGGED = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+: "
_PROMPT = (
    r"(?:\[?[\w.-]+@[\w.-]+[: ][\w~/.-]*\]?[#$%]|(?:/[\w.-]*)+ [#$]|(?:ba|da|a)?sh-[\d.]+[#$])(?:[ \r]|$)"
)
"""What a shell begins its line with, where a dump was copied from a terminal."""
_MESSAGE = re.compile(
    rf"^(?:nginx: (?:\[\w+\] |(?:the )?configuration file )|{_LOGGED}|Default(?:ed|ing) container "
    rf"|command terminated with exit code |Connection to \S+ closed|{_PROMPT}).*\n?",
    re.MULTILINE,
)


def split_dumps(text: str) -> list[dict[str, str]]:
    """Return the texts of each `nginx -T` dump in a text by file, the main file first; [] if it is none.

    A main file that comes again begins the dump of another nginx.
    """
    plain = _SGR.sub("", text.removeprefix("\ufeff"))
    heads = list(_HEAD.finditer(plain))
    found: list[dict[str, str]] = []
    for head, following in zip_longest(heads, heads[1:]):
        end = following.start() if following else len(plain)
        if not found or head[1] == next(iter(found[0])):
            found.append({})
        own = plain[head.end() : end].replace("\r\n", "\n")
        found[-1][head[1]] = _MESSAGE.sub("", own)
    return found


def messages(text: str) -> Iterator[str]:
    """Yield the lines of a text that a program wrote about its run, and that are no configuration."""
    return (match[0].strip() for match in _MESSAGE.finditer(_SGR.sub("", text)))
