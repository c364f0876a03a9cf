"""Pages are short, and so are their sentences; how that is counted is shown by small texts."""

from __future__ import annotations

import pytest

from docs.site import readability
from docs.site.readability import count_syllables, count_words, find_sentences

TEXTS = {
    name: text for name, text in readability.read_pages().items() if not name.startswith("docs/reference/")
}
PLAIN = [name for name in TEXTS if not name.startswith("docs/development/")]
MOST_WORDS = 900
"""A page is read in a few minutes; what is looked up may be longer."""
LONGEST_SENTENCE = 30


@pytest.mark.parametrize("name", TEXTS)
def test_a_page_is_short(name: str) -> None:
    assert readability.measure(TEXTS[name]).words <= MOST_WORDS


@pytest.mark.parametrize("name", PLAIN)
def test_sentences_are_short(name: str) -> None:
    assert [each for each in find_sentences(TEXTS[name]) if count_words(each) > LONGEST_SENTENCE] == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two. Three four!", ["One two.", "Three four!"]),
        ("One\ntwo.\n\nThree", ["One two.", "Three"]),
        ("One: two; three.", ["One: two; three."]),
        ("At 1.29.7 e.g. this.", ["At 1.29.7 e.g. this."]),
        ("# Heading\n\nOne.", ["One."]),
        ("Before:\n\n```\nbench run. And more.\n```\n\nAfter.", ["Before:", "After."]),
        ("It is `bench run`. `b` is next.", ["It is Code.", "Code is next."]),
        ("See [the page](a/b.md#c).", ["See the page."]),
        ("One ![A picture. Of two](p.png) two.", ["One  two."]),
        ("<!-- figure a.b -->1.5<!-- /figure --> times.", ["1.5 times."]),
        ("- One\n  two.\n- Three\n\n1. Four", ["One two.", "Three", "Four"]),
        ("| a | b |\n|---|---|\n| One two | Three |\n", ["One two", "Three"]),
        ("**One.** Two.", ["**One.", "Two."]),
    ],
)
def test_a_text_has_these_sentences(text: str, sentences: list[str]) -> None:
    assert list(find_sentences(text)) == sentences


@pytest.mark.parametrize(
    ("word", "syllables"), [("the", 1), ("kept", 1), ("connection", 3), ("table", 2), ("use", 1), ("60", 1)]
)
def test_a_word_has_about_these_syllables(word: str, syllables: int) -> None:
    assert count_syllables(word) == syllables


def test_short_words_in_short_sentences_read_with_more_ease() -> None:
    short = readability.measure("The host is slow. No port is free.")
    long = readability.measure("Unavailability of ephemeral identifiers necessitates exhaustive enumeration.")
    assert short.ease == pytest.approx(206.835 - 1.015 * 4 - 84.6 * 1)
    assert (short.words, short.sentences, short.most) == (8, 2, 4)
    assert long.ease < 0 < short.ease


def test_a_text_without_sentences_has_no_ease() -> None:
    assert readability.measure("# Title\n\n```\ncode\n```\n") == readability.Readability(5, 0, "", 0.0)


def test_the_table_has_a_line_for_each_page() -> None:
    lines = readability.format_table({"a.md": "One two.", "b.md": ""}).splitlines()
    assert lines[0].split() == ["words", "sentences", "longest", "ease", "page"]
    assert [line.split()[-1] for line in lines[1:]] == ["a.md", "b.md"]
    assert lines[1].split()[:3] == ["2", "1", "2"]
