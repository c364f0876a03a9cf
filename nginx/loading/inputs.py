"""Opens what somebody hands over (a file, a folder, a text, an `nginx -T` dump) as configurations.

Each opening can be read again with other texts for some of its files, which is how a repair is judged
before it is written. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx import tree
from nginx.errors import NginxConfigError
from nginx.loading import sources
from nginx.loading.includes import Configuration, assemble
from nginx.loading.sources import Sources
from nginx.tree import Tree

_READ_TOGETHER = frozenset({"conf.d", "http.d", "sites-enabled", "vhosts.d", "servers"})
_NO_TEXTS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Opening:
    """One configuration, and how to read it.

    Attributes:
        file: the file to begin with, as the caller named it.
        text: its text, where it is no file but standard input or a dump.
        dump: the texts of a dump's files by name, the main file first; None if it is no dump.
        known: what was read already, by file; openings of one folder share it.
    """

    file: str
    text: str | None = None
    dump: Mapping[str, str] | None = None
    root: Path | None = None
    handed_over: tuple[Path, ...] = ()
    known: dict[str, Tree] = field(default_factory=dict)

    def read(self, replaced: Mapping[str, str] = _NO_TEXTS) -> tuple[Configuration, Sources]:
        """Returns the configuration, and the sources that know its texts.

        Raises:
            NginxConfigError: the file cannot be read.
        """
        if self.dump is not None:
            trees = {name: tree.read(replaced.get(name, text), name) for name, text in self.dump.items()}
            dumped = Sources(None, dumped=trees)
            return assemble(next(iter(trees.values())), dumped), dumped
        path = Path(self.file)
        read = self.known
        if replaced:
            read = {file: known for file, known in self.known.items() if file not in replaced}
        if self.text is not None and self.file not in replaced:
            read[self.file] = tree.read(self.text, self.file)
        prefix = None if self.text is not None else path.parent
        found = Sources(prefix, self.root, self.handed_over, replaced=replaced, read=read)
        return assemble(found.load(path), found), found


def openings(
    path: Path, root: Path | None, handed_over: Sequence[Path], text: str | None
) -> Iterator[Opening]:
    """Yields the configurations of a file or of a folder; with a text the path is only its name.

    Raises:
        NginxConfigError: the file cannot be read, or the folder holds no configuration.
    """
    if text is None and path.is_dir():
        yield from _of_folder(path, root, tuple(handed_over))
        return
    content = sources.text_of(path) if text is None else text
    dump = sources.split_dump(content)
    if dump is not None:
        yield Opening(str(path), dump=dump)
    else:
        # What was read is not read again: a pipe gives it once.
        known = {str(path): tree.read(content, str(path))}
        yield Opening(str(path), text, root=root, handed_over=tuple(handed_over), known=known)


def _of_folder(folder: Path, root: Path | None, handed_over: tuple[Path, ...]) -> Iterator[Opening]:
    """Yields a folder's configurations: main files first, then the fragments that none of them includes."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and _is_configuration(p))
    if not paths:
        raise NginxConfigError(str(folder), 0, "holds no configuration (*.conf, or files of sites-enabled)")
    reader = Sources(folder, root)
    trees = [(path, reader.included(path)) for path in paths]
    trees.sort(key=lambda item: not _has_http(item[1]))
    seen: set[str] = set()
    for path, _ in trees:
        if str(path) not in seen:
            beside = _neighbours(path, paths) if path.parent.name in _READ_TOGETHER else ()
            handed = (*handed_over, *beside)
            opening = Opening(str(path), root=root or folder, handed_over=handed, known=reader.read)
            yield opening
            seen.update(_files(opening))


def _files(opening: Opening) -> list[str]:
    configuration, _ = opening.read()
    return configuration.files


def _has_http(read: Tree) -> bool:
    return any(directive.name == "http" for directive in read.directives)


def _neighbours(path: Path, paths: list[Path]) -> tuple[Path, ...]:
    """Returns the other files of a folder that one http {} includes as a whole."""
    return tuple(other for other in paths if other.parent == path.parent and other != path)


def _is_configuration(path: Path) -> bool:
    return path.suffix == ".conf" or path.parent.name in {"sites-enabled", "sites-available"}
