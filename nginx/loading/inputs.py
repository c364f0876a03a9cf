"""Find the configurations in an input: a file, a folder, a text or an `nginx -T` dump.

Each can be read again with other texts for some of its files, which is how a repair is checked
before it is written.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nginx import tree
from nginx.errors import NginxConfigError, NothingToJudgeError
from nginx.loading import sources
from nginx.loading.dumps import messages, split_dumps
from nginx.loading.embedded import belonging_together, embedded_texts
from nginx.loading.includes import Configuration, expand_includes
from nginx.loading.sources import Sources, has_http
from nginx.loading.yaml_scalars import format_name, is_yaml
from nginx.tree import Tree

_READ_TOGETHER = frozenset({"conf.d", "http.d", "sites-enabled", "vhosts.d", "servers"})
"""Folders that one http {} includes as a whole."""
_SITES = frozenset({"sites-enabled", "sites-available"})
_YAML = frozenset({".yaml", ".yml"})
_CONFIGURATION = re.compile(
    r".+\.conf(?:\.(?:j2|jinja2?|erb|epp|ejs|tmpl|tpl|template|gotmpl|ctmpl|mustache|hbs|in))?"
)
"""Files and templates of them, as the image of nginx and most tools call them."""
_NO_TEXTS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class ConfigInput:
    """One configuration, and how to read it."""

    file: str
    """The file to begin with, as the caller named it."""
    text: str | None = None
    """Its text, where it is no file but standard input or a dump."""
    dump: Mapping[str, str] | None = None
    """The texts of a dump's files by name, the main file first; None if it is no dump."""
    embedded: tuple[int, ...] | None = None
    """Which of the texts in a YAML file it is: the first begins; None if it is no YAML."""
    root: Path | None = None
    """Where absolute includes are looked up."""
    extra_files: tuple[Path, ...] = ()
    """Files that replace includes that lie elsewhere."""
    cache: dict[str, Tree] = field(default_factory=dict)
    """What was read already, by file; the configurations of one folder share it."""

    def read(self, replaced: Mapping[str, str] = _NO_TEXTS) -> tuple[Configuration, Sources]:
        """Return the configuration, and the sources with its texts.

        Raises:
            NginxConfigError: the file cannot be read.
        """
        if self.dump is not None:
            trees = {name: tree.parse(replaced.get(name, text), name) for name, text in self.dump.items()}
            dumped = Sources(None, dumped=trees)
            return expand_includes(next(iter(trees.values())), dumped), dumped
        if self.embedded is not None:
            return self._read_embedded(self.embedded, replaced)
        path = Path(self.file)
        read = self.cache
        if replaced:
            read = {file: cached for file, cached in self.cache.items() if file not in replaced}
        if self.text is not None and self.file not in replaced:
            read[self.file] = tree.parse(self.text, self.file)
        prefix = None if self.text is not None else path.parent
        found = Sources(prefix, self.root, self.extra_files, replaced=replaced, read=read)
        return expand_includes(found.load(path), found), found

    def _read_embedded(
        self, numbers: tuple[int, ...], replaced: Mapping[str, str]
    ) -> tuple[Configuration, Sources]:
        text = replaced[self.file] if self.file in replaced else self.cache[self.file].text
        texts = embedded_texts(text, self.file)
        own = [texts[number] for number in numbers if number < len(texts)]
        others = [(each.key, each.tree) for each in own]
        prefix = None if self.text is not None else Path(self.file).parent
        read = {self.file: Tree(self.file, text)}
        found = Sources(prefix, self.root, self.extra_files, embedded=others, replaced=replaced, read=read)
        return expand_includes(own[0].tree, found), found


def find_inputs(
    path: Path, root: Path | None, extra_files: Sequence[Path], text: str | None
) -> Iterator[ConfigInput]:
    """Yield the configurations of a file or of a folder; with a text the path is only its name.

    Raises:
        NginxConfigError: the file cannot be read, or the folder holds no configuration.
    """
    if text is None and path.is_dir():
        yield from _of_folder(path, root, tuple(extra_files))
        return
    content = sources.read_text(path) if text is None else text
    dumps = split_dumps(content)
    yield from (ConfigInput(str(path), dump=dump) for dump in dumps)
    if dumps:
        return
    for message in messages(content):
        raise NginxConfigError(str(path), 0, f"is no configuration, but what a program wrote: {message}")
    if is_yaml(content):
        yield from _of_yaml(ConfigInput(str(path), text, root=root, extra_files=tuple(extra_files)), content)
    else:
        # What was read is not read again: a pipe gives it once.
        cache = {str(path): tree.parse(content, str(path))}
        yield ConfigInput(str(path), text, root=root, extra_files=tuple(extra_files), cache=cache)


def _of_yaml(whole: ConfigInput, content: str) -> Iterator[ConfigInput]:
    """Yield the configurations inside a YAML file."""
    texts = embedded_texts(content, whole.file)
    if not texts:
        kind = format_name(content)
        reason = f"is {kind} without a configuration of nginx in a text that can be read; render it first"
        raise NothingToJudgeError(whole.file, 0, reason)
    whole.cache[whole.file] = Tree(whole.file, content)
    yield from (replace(whole, embedded=numbers) for numbers in belonging_together(texts))


def _of_folder(folder: Path, root: Path | None, extra_files: tuple[Path, ...]) -> Iterator[ConfigInput]:
    """Yield a folder's configurations: main files first, then the fragments that none of them includes.

    Then come those inside YAML files.
    """
    files = _distinct(sorted(p for p in folder.rglob("*") if p.is_file()))
    paths = [path for path in files if _is_configuration(path)]
    inside = [each for path in files if path.suffix in _YAML for each in _inside(path, root, extra_files)]
    if not paths and not inside:
        known = "*.conf, templates of them, files of sites-enabled, or YAML with them"
        raise NothingToJudgeError(str(folder), 0, f"holds no configuration ({known})")
    reader = Sources(folder, root)
    trees = [(path, reader.included(path)) for path in paths]
    trees.sort(key=lambda item: not has_http(item[1].directives))
    seen: set[str] = set()
    beside = defaultdict[Path, list[Path]](list)
    for path in paths:
        if path.parent.name in _READ_TOGETHER:
            beside[path.parent].append(path)
    for path, _ in trees:
        if str(path) not in seen:
            together = [other for other in beside[path.parent] if other != path]
            extra = (*extra_files, *together)
            found = ConfigInput(str(path), root=root or folder, extra_files=extra, cache=reader.read)
            yield found
            seen.update(found.read()[0].files)
    yield from inside


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Return paths without those that lead to a file that another one leads to, as from sites-enabled."""
    found: dict[Path, Path] = {}
    for path in paths:
        target = path.resolve()
        if target not in found or "sites-enabled" in path.parts:
            found[target] = path
    return sorted(found.values())


def _inside(path: Path, root: Path | None, extra_files: tuple[Path, ...]) -> list[ConfigInput]:
    """Return the configurations inside a file of a folder; none where it is other YAML, or cannot be read."""
    try:
        content = sources.read_text(path)
        whole = ConfigInput(str(path), root=root, extra_files=extra_files)
        return list(_of_yaml(whole, content)) if is_yaml(content) else []
    except NginxConfigError:
        return []


def _is_configuration(path: Path) -> bool:
    return _CONFIGURATION.fullmatch(path.name) is not None or path.parent.name in _SITES
