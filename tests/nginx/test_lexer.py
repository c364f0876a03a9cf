"""The lexer reads what crossplane reads, and knows where it stands."""

from __future__ import annotations

from pathlib import Path

import crossplane
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx.lexer import TokenKind, tokenize

WORD = st.text("abcZ019_./:~^$*|()=-\"'", min_size=1, max_size=12).filter(lambda w: w[0] not in "\"'")
# Not "${host}" at the end of a word: crossplane 0.5.8 takes the white space behind it for a part of it.
VARIABLE = st.sampled_from(["$uri", "${host}/", "a${b}c", "http://$x:80", "~^/([0-9]+)$"])
QUOTED = st.builds(
    lambda quote, text: quote + text.replace(quote, "") + quote,
    st.sampled_from("\"'"),
    st.text("ab {};#$\n\t'\"", max_size=12),
)
GAP = st.sampled_from([" ", "\n", "\t ", "  # a comment; {\n", "\n\n"])
SIMPLE = st.lists(st.one_of(WORD, VARIABLE, QUOTED), min_size=1, max_size=4)


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> str:
    text = ""
    for _ in range(draw(st.integers(0, 4))):
        words = draw(SIMPLE)
        text += draw(GAP) + "".join(word + draw(GAP) for word in words)
        is_block = depth > 0 and draw(st.booleans())
        text += "{" + draw(statements(depth - 1)) + "\n}" if is_block else ";"
    return text


@given(text=statements())
@settings(max_examples=300, deadline=None)
def test_tokens_are_those_of_crossplane(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "text.conf"
    path.write_text(text + "\n")
    expected = [(word, line) for word, line, quoted in crossplane.lex(str(path)) if quoted or word[:1] != "#"]
    ours = [(token.text, token.line) for token in tokenize(text) if token.kind is not TokenKind.COMMENT]
    comments = {token.text for token in tokenize(text) if token.kind is TokenKind.COMMENT}
    assert all(comment.startswith("#") for comment in comments)
    assert ours == expected


@given(text=statements())
@settings(max_examples=100, deadline=None)
def test_offsets_cover_everything_but_white_space(text: str) -> None:
    position = 0
    for token in tokenize(text):
        assert not text[position : token.start].strip()
        position = token.end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("return 200 a}b;", ["return", "200", "a}b", ";"]),
        (r'return 200 "a\"b\\";', ["return", "200", 'a"b\\', ";"]),
        (r"rewrite ^/a\;b$ /;", ["rewrite", r"^/a\;b$", "/", ";"]),
        ("set $x ${y}z;", ["set", "$x", "${y}z", ";"]),
        ("set $x ${y} z;", ["set", "$x", "${y}", "z", ";"]),
        ("a#b c;", ["a#b", "c", ";"]),
        ("content_by_lua_block { if x then y = {'}'} end -- }\n } b;", None),
    ],
)
def test_as_nginx_does(text: str, words: list[str] | None) -> None:
    found = list(tokenize(text))
    if words is not None:
        assert [token.text for token in found] == words
    else:
        assert [token.kind for token in found].count(TokenKind.LUA) == 1
        assert [token.text for token in found][-2:] == ["b", ";"]


def test_unclosed_quotation_is_a_token_of_its_own() -> None:
    assert [token.kind for token in tokenize('a "b; c')] == [TokenKind.WORD, TokenKind.UNCLOSED]
