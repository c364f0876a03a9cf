"""Expressions and field functions of HTTP/1.1 that requests and responses share.

A head is read in one pass. `head_lines` returns the expression for its field lines: it captures the fields
that decide about the message in their clean forms, in any order and any letter case, and marks every other
form of a special field. Only a head with such a mark is looked through once more (`special_fields`).
"""

import re
from collections.abc import Collection, Iterable, Sequence

from proxy.errors import ProxyError
from proxy.settings import Limits

CHUNKED = -1
"""Length of a body in the chunked coding."""
UNTIL_CLOSE = -2
"""Length of a response body that ends with the connection (RFC 9112, section 6.3, rule 8)."""

MAX_FIELDS = 100
"""The most fields in a head, as in HAProxy and Envoy, or in a trailer section."""
MAX_RUN = 8
"""The most lines that an expression may go back over where the one that it looks for does not follow."""
_SHORTEST_LINE = len(b"a:\r\n")

FieldValues = dict[bytes, list[bytes]]
"""Values without surrounding white space, by name in lower case, in the order of the head."""
Spans = list[tuple[int, int]]
"""Where field lines begin and end in the data."""

# RFC 9110, sections 5.6.2 and 5.5: no obs-fold (RFC 9112, section 5.2) and no control character but the tab.
# Possessive repeats of single characters keep every match linear in the length of the head. Groups are never
# repeated so: that fails in some releases of Python (CPython, issues 101955 and 106052).
_TOKEN_CHARACTERS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN_CHARACTER = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = _TOKEN_CHARACTER + rb"++"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
FIELD_LINE = TOKEN + rb":" + VALUE + rb"\r\n"
FIELDS = rb"(?:%b){0,%d}" % (FIELD_LINE, MAX_FIELDS)
OWS = rb"[\t ]*+"
IS_TOKEN = re.compile(TOKEN).fullmatch
_FEW = 4
"""Names that are searched for one by one."""
_ANY_FIELD = re.compile(rb"\n([^:\r]++):[^\r]*+\r")

# Never valid in a head, even an incomplete one: a control character, a bare LF or CR (RFC 9112, section 2.2).
BAD_OCTET = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")

# RFC 9110, section 7.6.1.
HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)

NUMBER = re.compile(rb"[0-9]{1,19}")
_MAX_LENGTH = 2**63 - 1


def head_lines(names: Iterable[bytes], clean: Sequence[bytes]) -> bytes:
    """Return an expression for up to MAX_FIELDS valid field lines.

    It never fails, and so never goes back: it ends before the first line that is not valid, or one too many.
    Its last group is there if a line has one of `names` in another form than those in `clean`.

    Args:
        names: the special fields, in lower case.
        clean: expressions for special lines; the first is for one that most heads have.
    """
    names = sorted(names)
    firsts = b"".join({name[:1] for name in names})
    others = _TOKEN_CHARACTERS.translate(None, firsts + firsts.upper())
    # Most lines: the first letter tells that the name is not special.
    usual = rb"[%b]%b*+:%b\r\n" % (re.escape(others), _TOKEN_CHARACTER, VALUE)
    special = _one_of(names)
    other = rb"(?!%b:)%b" % (special, FIELD_LINE)
    lines = (usual, clean[0], other, *clean[1:], rb"(%b:%b\r\n)" % (special, VALUE))
    return rb"(?:%b){0,%d}" % (rb"|".join(lines), MAX_FIELDS)


def field_line(name: bytes, value: bytes) -> bytes:
    """Return an expression for a field line with this value."""
    return rb"%b:%b%b%b\r\n" % (_any_case(name), OWS, value, OWS)


def clean_line(name: bytes, value: bytes, group: int) -> bytes:
    """Return an expression for a line that may go on as it came: no recipient reads it in another way.

    Its value is `group`, which must not have matched before.
    """
    # First the letter that most other lines differ in.
    return rb"%b(?(%d)(?!))%b: ?+(%b)\r\n" % (_any_case(name[:1]), group, _any_case(name[1:]), value)


def only_once(line: bytes, group: int) -> bytes:
    """Return an expression for a line, if its group has not matched before."""
    return rb"(?(%d)(?!))%b" % (group, line)


def lines_of(names: Iterable[bytes]) -> bytes:
    """Return an expression for one to MAX_RUN lines of these fields, whatever their values are."""
    return rb"(?:%b:%b\r\n){1,%d}" % (_one_of(sorted(names)), VALUE, MAX_RUN)


def any_case(word: bytes) -> bytes:
    """Return an expression for a word in lower case that matches it in any letter case."""
    return _any_case(word)


def special_fields(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return an expression that finds the lines of these fields after another line's end.

    Its groups are the name and the value. A name with an underscore for a hyphen is found too, since what
    receives the request may not tell them apart (RFC 3875, section 4.1.18).
    """
    # A search is fast where it begins with a literal; the line feed at the end is the next line's.
    return re.compile(rb"\n(%b):%b([^\r]*+)\r" % (_one_of(sorted(names)), OWS))


def read_special(
    pattern: re.Pattern[bytes], forwarded: Collection[bytes], data: bytes, start: int, end: int
) -> tuple[FieldValues, Spans]:
    """Return the values of the special fields, and the lines of those whose names are not in `forwarded`.

    A name with an underscore has no values: it only looks like the field.
    """
    values: FieldValues = {}
    spans: Spans = []
    for match in pattern.finditer(data, start, end):
        name, value = match.groups()
        name = name.lower()
        if name not in forwarded:
            spans.append((match.start() + 1, match.end() + 1))
        if name in values:
            values[name].append(value.rstrip(b" \t"))
        elif b"_" not in name:
            values[name] = [value.rstrip(b" \t")]
    return values, spans


def spans(match: re.Match[bytes], groups: Iterable[int]) -> Spans:
    """Return where those of these groups are that have matched, in order."""
    return sorted([match.span(group) for group in groups if match.start(group) >= 0])


def cut(data: bytes, start: int, end: int, spans: Spans) -> bytes:
    """Return `data[start:end]` without these spans, which are in order."""
    parts = []
    for begin, after in spans:
        parts.append(data[start:begin])
        start = after
    parts.append(data[start:end])
    return b"".join(parts)


def with_version(lines: bytes, version: bytes) -> bytes:
    """Return the lines with this version at the end of the first one, the request line."""
    end = lines.index(b"\r\n")
    return b"%b%b%b" % (lines[: end - 3], version, lines[end:])


def list_members(values: list[bytes]) -> set[bytes]:
    """Return the members of a list-valued field, in lower case, without empty ones.

    RFC 9110, section 5.6.1.2.
    """
    found = {member.strip(b" \t").lower() for value in values for member in value.split(b",")}
    found.discard(b"")
    return found


def find_fields(data: bytes, start: int, end: int, names: Collection[bytes]) -> Spans:
    """Return where the field lines of these names, which are in lower case, are."""
    if len(names) > _FEW:
        return [
            (match.start() + 1, match.end() + 1)
            for match in _ANY_FIELD.finditer(data, start, end)
            if match[1].lower() in names
        ]
    spans: Spans = []
    lowered = data[:end].lower()
    for name in names:
        at = start
        while (at := lowered.find(b"\n%b:" % name, at)) >= 0:
            spans.append((at + 1, data.index(b"\n", at + 1) + 1))
            at += 1
    return spans


def read_length(values: list[bytes], error: type[ProxyError]) -> int:
    """Return the value of Content-Length; raise `error` if it is invalid."""
    # RFC 9112, section 6.3, rule 5, allows to read "5, 5" as 5; RFC 9110, section 8.6, to reject it.
    if len(values) != 1 or NUMBER.fullmatch(values[0]) is None:
        raise error("Content-Length is not one number")
    length = int(values[0])
    if length > _MAX_LENGTH:
        raise error("Content-Length is too large")
    return length


def has_too_many_fields(data: bytes, start: int, valid: int) -> bool:
    """Return whether there are more fields before `valid` than a head may have, or as many and another one.

    An expression counts a run of lines that are cut as one field.
    """
    if valid - start < _SHORTEST_LINE * MAX_FIELDS:
        return False
    lines = data.count(b"\n", start, valid) - MAX_FIELDS
    return lines > 1 or (lines > 0 and not b"\r\n".startswith(data[valid : valid + 2]))


def check_incomplete(data: bytes, start: int, valid: int, limits: Limits, error: type[ProxyError]) -> None:
    """Raise `error` if the lines from `start` are not a head and cannot become one.

    Args:
        valid: where the first line begins that has not been found valid.
    """
    stop = min(start + limits.head_bytes, len(data))
    if BAD_OCTET.search(data, valid, stop) is not None:
        # RFC 9112, section 2.2, and RFC 9110, section 5.5.
        raise error("a control character, a bare CR or a bare LF in the head")
    line_end = data.find(b"\r\n", valid, stop)
    if line_end >= 0:
        if valid == start:
            raise error("the first line")
        # RFC 9112, sections 5.1 and 5.2: a space before the colon, a folded line, no name.
        raise error(f"the field line {data[valid : min(line_end, valid + 40)]!r}")


def _one_of(names: Sequence[bytes]) -> bytes:
    """Return an expression for these sorted names in any letter case, with underscores for hyphens too.

    It is a tree: what does not match is told by its first letters.
    """
    if len(names) == 1:
        return _any_case(names[0], rb"[-_]")
    branches = []
    for first in sorted({name[:1] for name in names}):
        rests = [name[1:] for name in names if name[:1] == first]
        branches.append(_any_case(first, rb"[-_]") + _one_of(rests) if first else b"")
    return rb"(?:" + rb"|".join(branches) + rb")"


def _any_case(word: bytes, hyphen: bytes = b"-") -> bytes:
    letters = [bytes((octet,)) for octet in word]
    return b"".join(
        b"[%b%b]" % (each, each.upper()) if each.isalpha() else hyphen if each == b"-" else each
        for each in letters
    )
