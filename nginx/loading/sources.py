"""Find and read the files of a configuration: on disk, in an `nginx -T` dump, or stock files of nginx."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from nginx import files, tree
from nginx.errors import NginxConfigError
from nginx.loading.dumps import split_dumps
from nginx.tree import Directive, Place, Problem, Tree

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GLOB = frozenset("*?[")
_ASTERISKS = re.compile(r"\*{2,}")
LARGEST_BYTES = 32 << 20
"""Of one text: what is larger is no configuration."""
_SYSTEM_FOLDERS = {("/", "etc"), ("/", "usr"), ("/", "opt")}
_PREFIX = PurePosixPath("/etc/nginx")

# Debian's proxy_params; the other stock files hold nothing about upstream connections.
_PROXY_PARAMS = """proxy_set_header Host $http_host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
"""
_EMPTY_STOCK = {
    "mime.types",
    "fastcgi_params",
    "fastcgi.conf",
    "fastcgi-php.conf",
    "uwsgi_params",
    "scgi_params",
}
_EMPTY_STOCK |= {"koi-utf", "koi-win", "win-utf", "options-ssl-nginx.conf", "snakeoil.conf"}
_STOCK = {"proxy_params": _PROXY_PARAMS} | dict.fromkeys(_EMPTY_STOCK, "")


@dataclass(slots=True)
class Sources:
    """The files that a configuration may include."""

    prefix: Path | None
    """The folder that relative includes start from; None for standard input."""
    root: Path | None = None
    """Where absolute includes are looked up instead of in the file system; None if nowhere."""
    extra_files: Sequence[Path] = ()
    """Further files that replace includes of the same name."""
    dumped: dict[str, Tree] | None = None
    """The files of an `nginx -T` dump by name; with them no other file is read."""
    embedded: Sequence[tuple[str, Tree]] = ()
    """Further texts of the same file by name, as the keys of a ConfigMap."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Texts to read instead of files, by name."""
    read: dict[str, Tree] = field(default_factory=dict)
    """The files that were read, by name."""

    def find(self, pattern: str) -> list[Tree] | None:
        """Return the files that an include names, in nginx's order; None if it is missing.

        A pattern with wildcards that matches nothing is no error for nginx, so it is [] here.
        """
        is_glob = not _GLOB.isdisjoint(pattern)
        if self.dumped is not None:
            found = [parsed for name, parsed in self.dumped.items() if self._dump_matches(name, pattern)]
            return found if found or is_glob else None
        for place in self._places(pattern):
            files = _files(place)
            if files:
                return [self.included(file) for file in files]
        basename = PurePosixPath(pattern).name
        given = [part for name, part in self.embedded if fnmatchcase(name, basename)]
        given += [self.included(path) for path in self.extra_files if fnmatchcase(path.name, basename)]
        if is_glob:
            given = [parsed for parsed in given if not has_http(parsed.directives)]
        if given:
            return given
        if basename in _STOCK:
            return [tree.parse(_STOCK[basename], f"(stock) {basename}")]
        return [] if is_glob else None

    def load(self, path: Path) -> Tree:
        """Return a file's directives; each file is read once."""
        key = str(path)
        if key not in self.read:
            self.read[key] = tree.parse(self.replaced[key] if key in self.replaced else read_text(path), key)
        return self.read[key]

    def text(self, file: str) -> str | None:
        """Return the text of a file that was read; None for stock files."""
        found = (self.read if self.dumped is None else self.dumped).get(file)
        return found.text if found is not None else None

    def included(self, path: Path) -> Tree:
        """Return a file's directives; a file that cannot be read is a problem of the configuration."""
        try:
            return self.load(path)
        except NginxConfigError as error:
            problem = Problem(Place(str(path), error.line), error.reason)
            return self.read.setdefault(str(path), Tree(str(path), "", problems=[problem]))

    def _dump_matches(self, name: str, pattern: str) -> bool:
        main = PurePosixPath(next(iter(self.dumped or {}), ""))
        return PurePosixPath(name).match(str(main.parent / pattern))

    def _places(self, pattern: str) -> list[Path]:
        """Return where an include may lie, most likely first.

        nginx starts from the folder of the main file. A fragment's main file lies in its own folder or
        above it, and a repository keeps /etc/nginx/... as a folder of its own; only what belongs to the
        system's own configuration is looked up in the system.
        """
        wanted = PurePosixPath(pattern)
        places: list[Path] = []
        if self.root is not None:
            places += [self.root / str(wanted).lstrip("/"), self.root / "etc/nginx" / wanted]
        if self.prefix is None:
            return places
        if not wanted.is_absolute():
            near = [self.prefix / wanted, self.prefix.parent / wanted]
            return [*places, *(place for place in near if self._is_near(place))]
        if self.root is None and _is_system(self.prefix, wanted):
            places.append(Path(wanted))
        if wanted.is_relative_to(_PREFIX):
            tail = wanted.relative_to(_PREFIX)
        else:
            tail = PurePosixPath(*wanted.parts[-2:])
        if len(tail.parts) == 1 and not _GLOB.isdisjoint(tail.name):
            return places  # "*.conf" beside the file would be everything that lies there, itself too
        return [*places, self.prefix / tail, self.prefix.parent / tail]

    def _is_near(self, place: Path) -> bool:
        """Return whether a file may belong to the configuration: what `..` leads to may be of others."""
        assert self.prefix is not None
        normal = Path(os.path.normpath(place.absolute()))
        folder = Path(os.path.normpath(self.prefix.parent.absolute()))
        return normal.is_relative_to(folder) or _is_system(self.prefix, PurePosixPath(normal))


def read_text(path: Path) -> str:
    """Return a file's text; bytes that are no UTF-8 stay visible as replacement characters.

    Raises:
        NginxConfigError: the file cannot be read, is too large, or is binary.
    """
    try:
        return decode(files.read_bytes(path, LARGEST_BYTES), str(path))
    except OSError as error:
        raise NginxConfigError(str(path), 0, f"cannot be read: {error.strerror}") from error


def has_http(directives: Iterable[Directive]) -> bool:
    """Return whether there is an http {}, so that the file is a main one and no fragment."""
    return any(directive.name == "http" for directive in directives)


def decode(raw: bytes, name: str) -> str:
    """Return the text of a configuration's bytes, all of it: a byte order mark is a part of it for nginx.

    Raises:
        NginxConfigError: the bytes are compressed, of UTF-16, or hold a NUL, so they are no configuration.
    """
    if raw.startswith(b"\x1f\x8b"):
        raise NginxConfigError(name, 0, "is compressed (gzip); unpack it first")
    if raw.startswith(_UTF16):
        text = raw.decode("utf-16", "replace")
        if split_dumps(text):
            return text  # as PowerShell redirects what nginx prints
        raise NginxConfigError(name, 1, "is UTF-16, which nginx does not read; save it as UTF-8")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise NginxConfigError(name, line, "holds a NUL byte; a binary file, not a configuration")
    return raw.decode("utf-8", "replace")


def _files(place: Path) -> list[Path]:
    """Return the files at a place; none where the system refuses the name, or to look."""
    try:
        if _GLOB.isdisjoint(str(place)):
            return [place] if place.is_file() else []
        anchor = Path(place.anchor)
        # To glob(3) two asterisks are one; to Python they are folders at any depth.
        pattern = _ASTERISKS.sub("*", str(place.relative_to(anchor)))
        return sorted(path for path in anchor.glob(pattern) if path.is_file())
    except OSError:
        return []


def _is_system(prefix: Path, wanted: PurePosixPath) -> bool:
    return Path(wanted).is_relative_to(prefix) or prefix.parts[:2] in _SYSTEM_FOLDERS
