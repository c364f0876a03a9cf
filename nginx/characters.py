"""Find characters that a reader takes for white space, or for nothing, and nginx takes for a part of a word.

Source: ngx_conf_read_token() in src/core/ngx_conf_file.c, to which space, tab, CR and LF separate words.
"""

import unicodedata

_NAMES = {
    "\ufeff": "a byte order mark",
    "\ufffd": "a byte that is no UTF-8",
    "\u0085": "a next-line character",
    "\v": "a vertical tab",
    "\f": "a form feed",
    "\x1b": "an escape character",
}
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode's categories of controls, of characters without a width and of white space."""


def unseen(word: str) -> int | None:
    """Return the offset of the first character that cannot be seen for what it is; None if there is none."""
    if word.isascii() and word.isprintable():
        return None
    return next((at for at, each in enumerate(word) if unicodedata.category(each) in _UNSEEN), None)


def unlike_a_name(word: str) -> int | None:
    """Return the offset of the first character that no directive's name has; None if there is none."""
    if word.isascii() and word.isprintable():
        return None
    return next((at for at, each in enumerate(word) if not (each.isascii() and each.isprintable())), None)


def describe(character: str) -> str:
    """Return a character's number and what it is called: `U+00A0 (no-break space)`."""
    name = _NAMES.get(character) or unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X} ({name})"
