"""Split the text of a configuration into tokens, as ngx_conf_read_token() in src/core/ngx_conf_file.c does.

Tokens have offsets, so that an edit can leave everything else as it is. The only directives that matter
here are `*_by_lua_block`: they hold Lua up to their closing brace.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class TokenKind(Enum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted"
    PUNCTUATION = "punctuation"
    COMMENT = "comment"
    LUA = "lua"
    UNCLOSED = "unclosed"


class Token(NamedTuple):
    """One token: its value with escapes undone, and where its raw text stands (`start` to `end`)."""

    kind: TokenKind
    text: str
    line: int
    start: int
    end: int


# A word ends at white space, at ";" and at "{", but not at the "{" of "${name}"; "}" and quotes inside
# a word are ordinary characters. White space is these four characters, and no other that looks like it.
_TOKEN = re.compile(
    r"""[ \t\r\n]+
    | (?P<comment>\#[^\n]*)
    | (?P<punctuation>[{};])
    | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<unclosed>["'].*)
    | (?P<word>(?:[^ \t\r\n;{\\$]+|\$\{?|\\.)+\\?|\\)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {kind.value: kind for kind in TokenKind}
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_LUA_PIECE = re.compile(
    r"""--\[(?P<c>=*)\[.*?\](?P=c)\] | --[^\n]*
    | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    | \[(?P<s>=*)\[.*?\](?P=s)\]
    | (?P<brace>[{}])""",
    re.VERBOSE | re.DOTALL,
)


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a configuration; an unclosed quotation is one last token of its own kind."""
    breaks = [match.start() for match in re.finditer("\n", text)]
    position, statement_starts, lua = 0, True, False
    while (match := _TOKEN.match(text, position)) is not None:
        start, position = match.span()
        group = match.lastgroup
        if group is None:
            continue
        kind = _KINDS[group]
        raw = match.group()
        yield Token(kind, _value(kind, raw), _line(breaks, start), start, position)
        if kind is TokenKind.PUNCTUATION:
            if raw == "{" and lua:
                end = _lua_end(text, position)
                yield Token(TokenKind.LUA, text[position:end], _line(breaks, position), position, end)
                position = end
            statement_starts, lua = True, False
        elif statement_starts and kind is not TokenKind.COMMENT:
            statement_starts, lua = False, raw.endswith("_by_lua_block")


def _line(breaks: list[int], offset: int) -> int:
    return bisect_right(breaks, offset - 1) + 1


def _value(kind: TokenKind, raw: str) -> str:
    if kind is TokenKind.QUOTED:
        raw = raw[1:-1]
    elif kind is not TokenKind.WORD:
        return raw
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), raw) if "\\" in raw else raw


def _lua_end(text: str, start: int) -> int:
    """Return the offset of the brace that closes a Lua block, or the end of the text."""
    depth = 1
    for match in _LUA_PIECE.finditer(text, start):
        if match["brace"] is not None:
            depth += 1 if match["brace"] == "{" else -1
            if depth == 0:
                return match.start()
    return len(text)
