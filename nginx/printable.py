"""Make text from files and programs fit to be printed: nothing in it moves a cursor, hides or reorders text.

Terminals obey control characters (ECMA-48), and both they and browsers obey the controls of writing direction
(UAX #9), so that a text may look like another one.
"""

import unicodedata


def printable(text: str) -> str:
    """Return `text` with each character that is none to be seen as its escape; lines and tabs stay."""
    return "\n".join(map(_printable_but_tabs, text.split("\n")))


def printable_line(text: str) -> str:
    """Return `text` likewise as one line, with breaks and tabs as their escapes."""
    if text.isprintable():
        return text
    return "".join(each if _is_visible(each) else _escape(each) for each in text)


def _printable_but_tabs(line: str) -> str:
    return "\t".join(map(printable_line, line.split("\t")))


def _is_visible(character: str) -> bool:
    # Spaces of other widths are not printable to Python, but harmless.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    """Return a character as Python, JSON (beyond U+00FF) and TOML write it."""
    return character.encode("unicode_escape").decode("ascii")
