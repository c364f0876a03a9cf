"""The access logs of a configuration, and in which format each is written."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from bench.watch.requests.log_format import COMBINED
from nginx.tree import Directive

_NO_FILES = ("syslog:", "|")
_OPTIONS = ("buffer=", "gzip", "flush=", "if=")


def log_formats(http: Iterable[Directive], prefix: str) -> dict[str, str]:
    """Return the format of each access log by its path.

    A path with variables is many files, and one that is written in two formats has none; so has a packed one.

    Args:
        http: the directives inside http {}.
        prefix: the folder that relative paths begin in.
    """
    lines = list(_walk(http))
    formats = {"combined": COMBINED}
    for line in lines:
        if line.name == "log_format" and len(line.args) > 1:
            formats[line.args[0]] = "".join(each for each in line.args[1:] if not each.startswith("escape="))
    found: dict[str, set[str | None]] = defaultdict(set)
    for line in lines:
        if line.name == "access_log" and line.args and _is_file(line.args[0]):
            name, *options = line.args[1:] or ("combined",)
            is_packed = any(option.startswith("gzip") for option in (name, *options))
            name = "combined" if name.startswith(_OPTIONS) else name
            path = str(PurePosixPath(prefix, line.args[0]))
            found[path].add(None if is_packed else formats.get(name))
    single = {path: next(iter(each)) for path, each in found.items() if len(each) == 1}
    return {path: log_format for path, log_format in single.items() if log_format is not None}


def _is_file(path: str) -> bool:
    return path != "off" and "$" not in path and not path.startswith(_NO_FILES)


def _walk(directives: Iterable[Directive]) -> Iterator[Directive]:
    for directive in directives:
        yield directive
        yield from _walk(directive.block or ())
