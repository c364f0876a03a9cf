"""Read the configuration of a running nginx: its main file and what that includes, as nginx finds them.

A pattern is looked up in the folder of the main file, and its files are taken in their order
(ngx_conf_include() in src/core/ngx_conf_file.c). Nothing is searched for elsewhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bench.observe.rooted_files import RootedFiles
from nginx import tree
from nginx.errors import NginxConfigError
from nginx.loading.sources import LARGEST_BYTES, decode
from nginx.tree import Directive

_MOST_FILES = 5000
_WILD = frozenset("*?[")
_CLOCK_S = 0.1
"""The clocks of files and of processes tick in up to 10 ms each, and a busy machine starts a worker late."""


@dataclass(slots=True)
class RunningFiles:
    """The texts of a configuration by path, the main file first, and what is wrong with reading them."""

    texts: dict[str, str] = field(default_factory=dict)
    changed_at_s: dict[str, float] = field(default_factory=dict)
    """When each file was last written, renamed or given other rights, in seconds since 1970."""
    unread: dict[str, str] = field(default_factory=dict)
    """Files that could not be read, and why."""

    def changed_since(self, moment_s: float) -> list[str]:
        """Return the files that are newer than a moment."""
        return [path for path, at_s in self.changed_at_s.items() if at_s > moment_s + _CLOCK_S]


def read_running_files(files: RootedFiles, main: str) -> RunningFiles:
    """Return what nginx would read now, beginning with the file `main`."""
    found = RunningFiles()
    pending = [main]
    while pending and len(found.texts) < _MOST_FILES:
        path = pending.pop(0)
        if path in found.texts or path in found.unread:
            continue
        try:
            raw, status = files.read(path, LARGEST_BYTES)
            found.texts[path] = decode(raw, path)
        except NginxConfigError as error:
            found.unread[path] = error.reason
            continue
        except OSError as error:
            found.unread[path] = f"cannot be read: {error.strerror}"
            continue
        found.changed_at_s[path] = max(status.st_mtime, status.st_ctime)
        included = _includes(tree.parse(found.texts[path], path).directives)
        pending[:0] = [each for pattern in included for each in _matches(files, main, pattern, found)]
    return found


def _includes(directives: Iterable[Directive]) -> Iterator[str]:
    for directive in directives:
        if directive.name == "include" and len(directive.args) == 1 and directive.block is None:
            yield directive.args[0]
        yield from _includes(directive.block or ())


def _matches(files: RootedFiles, main: str, pattern: str, found: RunningFiles) -> list[str]:
    path = str(PurePosixPath(main).parent / pattern)
    if _WILD.isdisjoint(pattern):
        return [path]
    try:
        return files.matches(path)
    except OSError as error:
        found.unread[path] = f"cannot be read: {error.strerror}"
        return []
