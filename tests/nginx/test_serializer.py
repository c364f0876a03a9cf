"""Writing is the other direction of reading: what was written reads as what it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nginx import tree
from nginx.serializer import quote, serialize
from nginx.tree import Directive, Place

HERE = Place("x", 1)
# Lua blocks are a language of their own, and a NUL is no text.
NAMES = st.text(st.characters(exclude_characters="\0"), max_size=8).filter(
    lambda name: not name.endswith("_by_lua_block") and name not in tree._ARGUMENTS
)
WORDS = st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), max_size=3).map(tuple)
LINES = st.recursive(
    st.builds(Directive, NAMES, WORDS, st.just(HERE)),
    lambda inner: st.builds(
        Directive, NAMES, WORDS, st.just(HERE), block=st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=6,
)


def plain(lines: tuple[Directive, ...]) -> list[object]:
    return [(d.name, d.args, None if d.block is None else plain(d.block)) for d in lines]


@given(st.lists(LINES, max_size=4).map(tuple))
def test_reading_what_was_written(lines: tuple[Directive, ...]) -> None:
    assert plain(tree._TreeBuilder(tree.Tree("x", serialize(lines).text)).build().directives) == plain(lines)


def test_places_follow_line_breaks_inside_words() -> None:
    first, second = Place("a", 7), Place("b", 9)
    text = serialize([Directive("return", ("200", "one\ntwo"), first), Directive("break", (), second)])
    assert text.text == 'return 200 "one\ntwo";\nbreak;\n'
    assert [text.place(line) for line in (1, 2, 3, 4)] == [first, first, second, None]


def test_ordinary_words_stay_bare() -> None:
    assert [quote(text) for text in ("$uri", "http://app", "~*", "", "a b", 'a"b', r"\.")] == [
        "$uri",
        "http://app",
        "~*",
        '""',
        '"a b"',
        '"a\\"b"',
        '"\\\\."',
    ]
