"""Parse the text of one file into a tree of directives; what nginx would refuse is recorded, not raised.

Includes stay directives here; nginx.loading.includes replaces them by their files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from nginx import characters, templates
from nginx.lexer import Token, TokenKind, tokenize

_DAY_S = 86400.0
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S, "w": 7 * _DAY_S}
_UNITS_S |= {"M": 30 * _DAY_S, "y": 365 * _DAY_S, "": 1.0}
# No more digits than nginx accepts, whose numbers have 64 bits.
_DIGITS = "[0-9]{1,18}"
_NUMBER = re.compile(_DIGITS)
_SIZE = re.compile(rf"({_DIGITS})([kmg]?)", re.IGNORECASE)
_UNITS_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TIME = re.compile(rf"(?:{_DIGITS}(?:ms|[smhdwMy]))*(?:{_DIGITS})?")


def parse_time_s(text: str) -> float | None:
    """Return a time such as `60`, `1m30s` or `500ms` in seconds; None if it is none."""
    if not text or _TIME.fullmatch(text) is None:
        return None
    parts = re.findall(r"([0-9]+)(ms|[a-zA-Z]?)", text)
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, eq=False)
class Directive:
    """One directive; `block` is None for a simple one. Compared by identity: two equal lines are two."""

    name: str
    args: tuple[str, ...]
    place: Place
    block: "tuple[Directive, ...] | None" = None
    start: int = 0
    end: int = 0
    args_end: int = 0
    lua: str = ""

    def __str__(self) -> str:
        return " ".join((self.name, *(f'"{arg}"' if not arg or " " in arg else arg for arg in self.args)))

    @property
    def number(self) -> int | None:
        """The first argument as a whole number; None if it is none."""
        first = self.args[0] if self.args else ""
        return int(first) if _NUMBER.fullmatch(first) else None

    @property
    def size(self) -> int | None:
        """The first argument as a size such as `0`, `10k` or `1m`, in bytes; None if it is none."""
        match = _SIZE.fullmatch(self.args[0]) if self.args else None
        return int(match[1]) * _UNITS_BYTES[match[2].lower()] if match is not None else None

    @property
    def seconds(self) -> float | None:
        """The first argument as a time such as `60`, `1m30s` or `500ms`, in seconds; None if it is none."""
        return parse_time_s(self.args[0]) if self.args else None

    @property
    def is_on(self) -> bool:
        """The only argument is `on`, which nginx reads in any case of its letters."""
        return len(self.args) == 1 and self.args[0].lower() == "on"

    @property
    def is_off(self) -> bool:
        """The only argument is `off`."""
        return len(self.args) == 1 and self.args[0].lower() == "off"

    @property
    def is_filled_in(self) -> bool:
        """An argument is filled in before nginx reads it, as by a template."""
        return templates.has_placeholder(self.args)

    def children(self, name: str) -> "Iterator[Directive]":
        """Yield the directives of that name directly inside this block."""
        return (child for child in self.block or () if child.name == name)

    def child(self, name: str) -> "Directive | None":
        """Return the last directive of that name directly inside this block."""
        return next((child for child in reversed(self.block or ()) if child.name == name), None)


@dataclass(frozen=True, slots=True)
class Problem:
    """What nginx would refuse, in its own words where it has any."""

    place: Place
    reason: str


@dataclass(slots=True)
class Tree:
    """One file's directives, what nginx would refuse in it, and the comments that ignore rules."""

    file: str
    text: str
    directives: tuple[Directive, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    odd_words: list[Problem] = field(default_factory=list)
    """Words with a character that cannot be seen; nginx may accept them, and reads another word."""
    ignored: dict[int, dict[str, str]] = field(default_factory=dict)
    """The rules that comments accept, by the line that they are about; each with the reason, or none."""
    template: tuple[str, int] | None = None
    conditional: tuple[tuple[Directive, ...], ...] = ()
    """The directives of a template where each of its conditions holds, and where none does."""
    part: str = ""
    """What tells it from others of the same file, such as a key in YAML."""

    @property
    def identity(self) -> str:
        """The file, and the part of it that this is."""
        return self.file + self.part


# How many arguments nginx accepts, for the directives that the model reads; with fewer they are left out.
_ANY = (0, 1 << 16)
_ARGUMENTS = {
    "include": (1, 1),
    "upstream": (1, 1),
    "keepalive": (1, 2),
    "keepalive_requests": (1, 1),
    "keepalive_timeout": (1, 2),
    "listen": (1, 99),
    "server_name": (1, 999),
    "error_page": (2, 99),
    "map": (2, 2),
    "set": (2, 2),
    "proxy_bind": (1, 2),
    "proxy_http_version": (1, 1),
    "proxy_set_header": (2, 2),
    "tunnel_pass": (0, 1),
} | {f"{module}_pass": (1, 1) for module in ("proxy", "fastcgi", "grpc", "memcached", "scgi", "uwsgi")}
DATA_BLOCKS = frozenset({"map", "geo", "geoip2", "split_clients", "types", "charset_map", "match"})
"""Blocks that hold data, not directives."""
_WITH_TEXTS = frozenset(
    {"return", "add_header", "add_trailer", "log_format", "sub_filter", "if", "rewrite", "set"}
)
"""Directives with texts for people, in which any character may be meant."""
_WITH_DIRECTIVES = frozenset(
    {"events", "http", "server", "location", "upstream", "if", "limit_except", "stream"}
)
_NAME = re.compile(r"[A-Za-z0-9_]+")
_MAX_DEPTH = 64
_IGNORE = re.compile(r"#\s*bench:\s*ignore\s+((?:[A-Z]{2}\d{3}[a-z]?[,\s]*)+)")


def parse(text: str, file: str) -> Tree:
    """Return the directives of one file's text; of a template, what can be read of it."""
    template = templates.language(text)
    plain = _TreeBuilder(Tree(file, text)).build()
    if template is None or (not plain.problems and "_by_lua_block" in text):
        return plain  # what looks like an expression in a Lua block is a table
    read_as = [
        _TreeBuilder(Tree(file, each, template=template)).build() for each in templates.renderings(text)
    ]
    found = min(read_as, key=lambda tree: len(tree.problems))
    cases = [_TreeBuilder(Tree(file, each)).build() for each in templates.conditional_renderings(text)]
    if all(len(each.problems) <= len(found.problems) for each in cases):
        found.conditional = tuple(each.directives for each in cases)
    return found


class _TreeBuilder:
    """A stack of open blocks; each token either extends the statement at hand or ends it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._stack: list[tuple[list[Token], list[Directive]]] = []
        self._done: list[Directive] = []
        self._words: list[Token] = []
        self._lua = ""
        self._code_line = 0

    def build(self) -> Tree:
        text = self._tree.text
        last_line = 1
        for token in tokenize(text):
            last_line = token.line
            self._add_token(token)
        self._finish(last_line, len(text))
        self._tree.directives = tuple(self._done)
        return self._tree

    def _add_token(self, token: Token) -> None:
        match token.kind:
            case TokenKind.COMMENT:
                self._comment(token)
                return
            case TokenKind.LUA:
                self._lua = token.text
            case TokenKind.UNCLOSED:
                self._problem(token.line, 'unexpected end of file, expecting ";" or "}" (unclosed quotation)')
            case TokenKind.PUNCTUATION if token.text == ";":
                self._simple(token)
            case TokenKind.PUNCTUATION if token.text == "{":
                self._open(token)
            case TokenKind.PUNCTUATION:
                self._close(token)
            case _:
                self._words.append(token)
        self._code_line = token.line

    def _comment(self, token: Token) -> None:
        match = _IGNORE.match(token.text)
        if match is None:
            return
        # On a line of its own the comment is about the next line, behind a directive about that line.
        line = token.line if token.line == self._code_line else token.line + 1
        named, reason = re.findall(r"[A-Z]{2}\d{3}[a-z]?", match[1]), token.text[match.end() :].strip()
        self._tree.ignored.setdefault(line, {}).update(dict.fromkeys(named, reason))

    def _simple(self, token: Token) -> None:
        if not self._words:
            self._problem(token.line, 'unexpected ";"')
            return
        self._add(self._words, None, token.end)
        self._words = []

    def _open(self, token: Token) -> None:
        if not self._words:
            self._problem(token.line, 'unexpected "{"')
        if len(self._stack) == _MAX_DEPTH:
            self._problem(
                token.line, f"blocks are nested more than {_MAX_DEPTH} deep; what lies deeper is left out"
            )
        self._stack.append((self._words or [token], self._done))
        self._words, self._done = [], []

    def _close(self, token: Token) -> None:
        self._unterminated(token.line, token.start)
        if not self._stack:
            self._problem(token.line, 'unexpected "}"')
            return
        self._pop(token.end)

    def _pop(self, end: int) -> None:
        words, outer = self._stack.pop()
        block = tuple(self._done) if len(self._stack) < _MAX_DEPTH else ()
        self._done = outer
        self._add(words, block, end)

    def _add(self, words: list[Token], block: tuple[Directive, ...] | None, end: int) -> None:
        name = words[0]
        self._check_characters(words)
        at_least, at_most = _ARGUMENTS.get(name.text, _ANY)
        if not at_least <= len(words) - 1 <= at_most:
            self._problem(name.line, f'invalid number of arguments in "{name.text}" directive')
            if len(words) - 1 < at_least:
                return
        self._done.append(
            Directive(
                name=name.text,
                args=tuple(word.text for word in words[1:]),
                place=Place(self._tree.file, name.line),
                block=block,
                start=name.start,
                end=end,
                args_end=words[-1].end,
                lua=self._lua if block is not None and name.text.endswith("_by_lua_block") else "",
            )
        )
        self._lua = ""

    def _check_characters(self, words: list[Token]) -> None:
        """Record a name that nginx cannot know, or the first argument that is not what it looks like."""
        name, *args = words
        if self._stack and self._stack[-1][0][0].text in DATA_BLOCKS:
            args = words  # what stands first there is data too
        elif self._is_no_name(name):
            self._problem(name.line, f'unknown directive "{name.text}"')
        elif (at := characters.unlike_a_name(name.text)) is not None:
            self._problem(name.line, f'unknown directive "{name.text}": {self._odd(name, at)}')
            return
        if name.text in _WITH_TEXTS:
            return
        for word in args:
            if word.kind is TokenKind.WORD and (at := characters.unseen(word.text)) is not None:
                reason = f'"{word.text}" is another word than it seems: {self._odd(word, at)}'
                self._tree.odd_words.append(Problem(Place(self._tree.file, word.line), reason))
                return

    def _is_no_name(self, word: Token) -> bool:
        """Return whether a word that looks ordinary cannot be a directive, where only directives stand."""
        is_known = not self._stack or self._stack[-1][0][0].text in _WITH_DIRECTIVES
        is_ordinary = is_known and word.text.isascii() and word.text.isprintable()
        return is_ordinary and not _NAME.fullmatch(word.text) and not templates.has_placeholder([word.text])

    def _odd(self, word: Token, at: int) -> str:
        """Return which character of a word is odd, and where: in its line, columns counted from 1."""
        start = word.start + at + (word.kind is TokenKind.QUOTED)
        column = start - self._tree.text.rfind("\n", 0, start)
        return f"{characters.describe(word.text[at])} at column {column} is a part of it for nginx"

    def _unterminated(self, line: int, end: int) -> None:
        """Add a directive that lacks its ";", and the problem."""
        if self._words:
            self._problem(self._words[0].line, f'directive "{self._words[0].text}" is not terminated by ";"')
            self._add(self._words, None, end)
            self._words = []

    def _finish(self, line: int, end: int) -> None:
        self._unterminated(line, end)
        if self._stack:
            self._problem(line, 'unexpected end of file, expecting "}"')
        while self._stack:
            self._pop(end)

    def _problem(self, line: int, reason: str) -> None:
        self._tree.problems.append(Problem(Place(self._tree.file, line), reason))
