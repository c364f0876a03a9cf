"""Expressions and field functions of HTTP/1.1 that requests and responses share."""

import re
from collections.abc import Iterable

from proxy.errors import ProxyError
from proxy.settings import Limits

CHUNKED = -1
"""Length of a body in the chunked coding."""
UNTIL_CLOSE = -2
"""Length of a response body that ends with the connection (RFC 9112, section 6.3, rule 8)."""

FieldMatches = list[tuple[bytes, bytes]]
"""Names and values of the searched fields, in lower case, in the order of the head."""
FieldValues = dict[bytes, list[bytes]]

# RFC 9110, sections 5.6.2 and 5.5: no obs-fold (RFC 9112, section 5.2) and no control character but the tab.
# Possessive repeats of single characters keep every match linear in the length of the head. Groups are never
# repeated so: before Python 3.11.5 that fails to match what it should (CPython, issue 106052).
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
FIELD_LINE = TOKEN + rb":" + VALUE + rb"\r\n"
FIELDS = rb"(?:" + FIELD_LINE + rb")*"

# Never valid in a head, even an incomplete one: a control character, a bare LF or CR (RFC 9112, section 2.2).
BAD_OCTET = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")

# RFC 9110, section 7.6.1.
HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)

NUMBER = re.compile(rb"[0-9]{1,19}")
_MAX_LENGTH = 2**63 - 1


def other_fields(names: Iterable[bytes]) -> bytes:
    """Return an expression for any number of field lines with none of these names, in any case.

    It compares a line's first two letters before it tries the names, and may exclude a few other lines,
    never the reverse.
    """
    firsts, seconds = ({name[at : at + 1] for name in names} for at in (0, 1))
    rests = {_any_case(name[2:] + b":") for name in names}
    return rb"(?:(?!%b%b(?:%b))%b)*" % (
        _one_of(firsts),
        _one_of(seconds),
        rb"|".join(sorted(rests)),
        FIELD_LINE,
    )


def named_fields(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return an expression that finds names and values of these fields in a lower-case head."""
    return re.compile(rb"\n(" + rb"|".join(sorted(names)) + rb"):[\t ]*+([^\r]*)")


def group_values(found: FieldMatches) -> FieldValues:
    """Return the values by name, in order, without surrounding white space."""
    values: FieldValues = {}
    for name, value in found:
        values.setdefault(name, []).append(value.rstrip(b" \t"))
    return values


def list_members(values: list[bytes]) -> set[bytes]:
    """Return the members of a list-valued field without empty ones (RFC 9110, section 5.6.1.2)."""
    found = {member.strip(b" \t") for value in values for member in value.split(b",")}
    found.discard(b"")
    return found


def remove_fields(fields: bytes, names: set[bytes] | frozenset[bytes]) -> bytes:
    """Return the field lines whose lower-case names are not among `names`."""
    lines = fields.split(b"\r\n")
    return b"\r\n".join([line for line in lines if line.partition(b":")[0].lower() not in names])


def exceeds_limits(data: bytes, size: int, limits: Limits) -> bool:
    """Return whether a head of `size` bytes exceeds a limit; its first and last lines are no fields."""
    return size > limits.head_bytes or data.count(b"\n", 0, size) - 2 > limits.head_fields


def read_length(values: list[bytes], error: type[ProxyError]) -> int:
    """Return the value of Content-Length; raise `error` if it is invalid."""
    # RFC 9112, section 6.3, rule 5, allows to read "5, 5" as 5; RFC 9110, section 8.6, to reject it.
    if len(values) != 1 or NUMBER.fullmatch(values[0]) is None:
        raise error("Content-Length is not one number")
    length = int(values[0])
    if length > _MAX_LENGTH:
        raise error("Content-Length is too large")
    return length


def check_incomplete(
    data: bytes, end: int, start: re.Pattern[bytes], limit: int, error: type[ProxyError]
) -> None:
    """Raise `error` if `data` is not a head and cannot become one.

    Args:
        end: where the empty line of the head begins, or -1 if it has not arrived.
        start: matches the first line and the valid field lines after it.
        limit: bytes of a head.
    """
    stop = end + 4 if end >= 0 else min(limit, len(data))
    if BAD_OCTET.search(data, 0, stop) is not None:
        # RFC 9112, section 2.2, and RFC 9110, section 5.5.
        raise error("a control character, a bare CR or a bare LF in the head")
    if data.find(b"\r\n", 0, stop) < 0:
        return
    match = start.match(data)
    if match is None:
        raise error("the first line")
    line_end = data.find(b"\r\n", match.end(), stop)
    if line_end >= 0 and (end < 0 or match.end() < end + 2):
        # RFC 9112, sections 5.1 and 5.2: a space before the colon, a folded line, no name.
        raise error(f"the field line {data[match.end() : min(line_end, match.end() + 40)]!r}")


def _one_of(letters: set[bytes]) -> bytes:
    return rb"[%b]" % b"".join(re.escape(each + each.upper()) for each in sorted(letters))


def _any_case(text: bytes) -> bytes:
    letters = [bytes((octet,)) for octet in text]
    return b"".join(b"[%b%b]" % (each, each.upper()) if each.isalpha() else each for each in letters)
