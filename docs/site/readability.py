"""How long the pages and their sentences are, and how hard to read: `python -m docs.site.readability`.

What counts are the sentences of paragraphs, lists and table cells. Blocks of code, headings and the heads of
tables are left out. A piece of code within a sentence counts as one word of one syllable, since its reader
knows it or looks at it, and does not pronounce it.

The score is Flesch's reading ease: 100 is a text for children, 60 plain English, 30 a scientific paper
(R. Flesch, A New Readability Yardstick, Journal of Applied Psychology 32, 1948). Technical words are long, so
that it compares pages with one another rather than with a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from docs.site import markdown
from docs.site.pages import ROOT

_BLOCKS = re.compile(r"^```.*?^```[^\S\n]*$", flags=re.DOTALL | re.MULTILINE)
_IMAGES = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINKS = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_CODE = re.compile(r"`[^`\n]*`")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_HEADS = re.compile(r"^\|.*\|\n\|[\s:|-]+\|$", flags=re.MULTILINE)
_ENDS = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`]*[A-Z0-9])")
_WORD = re.compile(r"[\w][\w'’.,/%-]*")
_VOWELS = re.compile(r"[aeiouy]+")


@dataclass(frozen=True)
class Readability:
    """What the sentences of a text are like; of a text without sentences all is 0."""

    words: int
    """All words of the page, those of code included; comments, such as marks of figures, are not read."""
    sentences: int
    longest: str
    """The sentence with the most words."""
    ease: float
    """Flesch's reading ease."""

    @property
    def most(self) -> int:
        """The words of the longest sentence."""
        return count_words(self.longest)


def measure(text: str) -> Readability:
    """Return how readable a Markdown text is."""
    sentences = list(find_sentences(text))
    total = len(markdown.remove_comments(text).split())
    if not sentences:
        return Readability(total, 0, "", 0.0)
    words = [word for sentence in sentences for word in find_words(sentence)]
    syllables = sum(map(count_syllables, words))
    ease = 206.835 - 1.015 * len(words) / len(sentences) - 84.6 * syllables / len(words)
    return Readability(total, len(sentences), max(sentences, key=count_words), ease)


def find_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a Markdown text, those of list items and table cells apart; code is `Code`."""
    text = _IMAGES.sub("", markdown.remove_comments(_BLOCKS.sub("", text)))
    text = _HEADS.sub("", _LINKS.sub(r"\1", text))
    text = _CODE.sub("Code", text)
    for part in _parts(text):
        yield from (sentence for sentence in _ENDS.split(part.strip()) if count_words(sentence))


def _parts(text: str) -> Iterator[str]:
    """Yield what no sentence goes beyond: a paragraph, a list item, a cell of a table."""
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        is_row, is_item = line.lstrip().startswith("|"), _ITEM.match(line)
        if is_row or is_item or not line.strip() or line.startswith("#"):
            yield " ".join(paragraph)
            paragraph = []
        if is_row:
            yield from line.strip().strip("|").split("|")
        elif not line.startswith("#"):
            paragraph.append(_ITEM.sub("", line).strip())


def find_words(sentence: str) -> list[str]:
    """Return the words of a sentence."""
    return _WORD.findall(sentence)


def count_words(sentence: str) -> int:
    """Return how many words a sentence has."""
    return len(find_words(sentence))


def count_syllables(word: str) -> int:
    """Return about how many syllables an English word has: groups of vowels, without a silent e."""
    letters = re.sub(r"[^a-z]", "", word.lower())
    groups = len(_VOWELS.findall(letters))
    if letters.endswith("e") and not letters.endswith(("le", "ee")) and groups > 1:
        groups -= 1
    return max(1, groups)


def format_table(texts: dict[str, str]) -> str:
    """Return a line for each page: words, sentences, the words of the longest, reading ease."""
    rows = [f"{'words':>6} {'sentences':>10} {'longest':>8} {'ease':>5}  page"]
    for name, text in texts.items():
        found = measure(text)
        rows.append(f"{found.words:>6} {found.sentences:>10} {found.most:>8} {found.ease:>5.0f}  {name}")
    return "\n".join(rows)


def read_pages() -> dict[str, str]:
    """Return the texts of README.md and of all pages, by path."""
    files = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


if __name__ == "__main__":
    print(format_table(read_pages()))  # noqa: T201
