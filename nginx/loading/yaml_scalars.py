"""Find the texts in YAML and JSON that are configurations of nginx: of Kubernetes, Helm, Compose, Ansible.

A block scalar is read as it stands, so that its lines and offsets are those of the file. YAML is read by its
indentation only: a Helm template is no YAML before it is rendered.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s#:'"{}\[\]&*!|>%@`,-][^#\n]*?)"""
_PROPERTIES = r"(?:[&!]\S+ +)*"
_BLOCK = re.compile(rf"^( *)((?:- +)*)({_KEY} *: +)?{_PROPERTIES}([|>])([-+]?\d?[-+]?) *(?:#.*)?\r?$")
_VALUE = re.compile(rf"^( *)((?:- +)*)({_KEY}) *: +{_PROPERTIES}(\S.*?),?\r?$")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_IN_QUOTES = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_MOST_QUOTED_LINES = 200
_STATEMENT_ONLY = re.compile(r"\s*\{\{[^{}]*\}\}\s*")
_OF_NGINX = re.compile(r"\b(?:\w+_pass\s|(?:http|stream|server|upstream|location)\b[^;{}]*\{)")
_LOOKS_LIKE_YAML = re.compile(
    r"\A(?:\ufeff|\s|#.*\n|---.*\n|%YAML.*\n|\{\{[^{}]*\}\})*(?:- +)?(?:[\w./-]+|\"[^\"\n]+\"):(?:\s|$)"
    r"|\A\s*\{\s*\"",
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text in a YAML file."""

    key: str
    """Its key, in a ConfigMap the name of the file."""
    parent: int
    """The line of the key around it; what has the same one lies in one folder."""
    text: str
    lines: tuple[int, ...] | None
    """For a text that is quoted or encoded: the file's line of each of its lines; None for a block."""
    lines_before: int = 0
    """The lines of the file before a block."""
    offset: int = 0
    """Where in the file a block begins."""


def is_yaml(text: str) -> bool:
    """Return whether a text is YAML or JSON: it begins with a key and a colon, unlike nginx's language."""
    return _LOOKS_LIKE_YAML.match(text) is not None


def format_name(text: str) -> str:
    """Return what a text that `is_yaml` is called: JSON is YAML too, but has a name of its own."""
    return "JSON" if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")) else "YAML"


def find_scalars(text: str) -> Iterator[Scalar]:
    """Yield the texts of a YAML file that may be configurations, in their order."""
    lines = text.split("\n")
    starts: list[int] = []
    at = 0
    while at < len(lines):
        block = _BLOCK.match(lines[at])
        if block is not None:
            end = _block_end(lines, at, block)
            content = _unfold(lines[at + 1 : end]) if block[4] == ">" else lines[at + 1 : end]
            inside = "\n".join(content)
            if _may_be_nginx(inside):
                starts = starts or list(accumulate((len(line) + 1 for line in lines), initial=0))
                key = _unquoted(block[3] or "")
                yield Scalar(key, _parent(lines, at), inside, None, at + 1, starts[at + 1])
            at = end
            continue
        value = _VALUE.match(lines[at])
        if value is not None:
            yield from _flow_scalar(lines, at, value)
        at += 1


def _may_be_nginx(text: str) -> bool:
    return _OF_NGINX.search(text) is not None


def _block_end(lines: list[str], at: int, head: re.Match[str]) -> int:
    """Return the line behind a block scalar, both counted from 0.

    Lines of Go's statements may stand further left: they are gone before YAML is read.
    """
    outer = len(head[1]) + len(head[2])
    digits = re.sub(r"\D", "", head[5])
    indent = outer + int(digits) if digits else None
    if head[3] is None and head[2]:
        outer = len(head[1])  # an item of a list: "- |"
    end = at + 1
    for number in range(at + 1, len(lines)):
        line = lines[number]
        if not line.strip() or _STATEMENT_ONLY.fullmatch(line):
            continue
        own = len(line) - len(line.lstrip(" "))
        if own < (outer + 1 if indent is None else indent):
            break
        indent = own if indent is None else indent
        end = number + 1
    return end


def _unfold(lines: list[str]) -> list[str]:
    """Return the lines of a folded scalar without those that a comment swallows, as breaks become spaces."""
    indent = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    kept, in_comment = [], False
    for line in lines:
        ends = not line.strip() or line[indent : indent + 1] == " "
        in_comment = in_comment and not ends
        kept.append(" " * len(line) if in_comment else line)
        in_comment = in_comment or re.search(r"(?:^|[\s;{}])#", line) is not None
    return kept


def _flow_scalar(lines: list[str], at: int, head: re.Match[str]) -> Iterator[Scalar]:
    """Yield the text of a quoted or encoded value that begins in a line."""
    key, value = _unquoted(head[3]), head[4]
    if value.startswith('"'):
        raw, last = _quoted(lines, at, value)
        decoded = _decoded(raw)
        if decoded is not None and _may_be_nginx(decoded):
            numbers = (at + 1,) * (decoded.count("\n") + 1) if last == at else _spread(decoded, at, last)
            yield Scalar(key, _parent(lines, at), decoded, numbers)
    elif _BASE64.fullmatch(value) and len(value) % 4 == 0:
        try:
            plain = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return
        if _may_be_nginx(plain):
            yield Scalar(key, _parent(lines, at), plain, (at + 1,) * (plain.count("\n") + 1))


def _quoted(lines: list[str], at: int, value: str) -> tuple[str, int]:
    """Return the inside of a text in double quotes, its lines folded, and the line where it ends."""
    joined, last = value, at
    while (match := _IN_QUOTES.match(joined)) is None:
        # Without a bound, a quote that nobody closes is looked for again and again.
        if last + 1 == len(lines) or last - at == _MOST_QUOTED_LINES:
            return "", at
        last += 1
        following = lines[last].strip()
        # An escaped break is nothing, an empty line is a break, any other is a space (YAML 1.2, 7.3.1).
        if joined.endswith("\\"):
            joined = joined[:-1] + following.removeprefix("\\")
        else:
            joined += f" {following}" if following else "\\n"
    return match[1], last


def _decoded(raw: str) -> str | None:
    try:
        return str(json.loads(f'"{raw}"', strict=False))
    except ValueError:
        return None


def _spread(decoded: str, first: int, last: int) -> tuple[int, ...]:
    """Return a line of the file for each line of a text that takes several: by its place in the text."""
    count = decoded.count("\n") + 1
    return tuple(first + 1 + number * (last - first) // count for number in range(count))


def _parent(lines: list[str], at: int) -> int:
    """Return the number of the nearest line above with less indentation; 0 at the top of a document."""
    own = len(lines[at]) - len(lines[at].lstrip(" -"))
    for number in range(at - 1, -1, -1):
        line = lines[number]
        if line.startswith("---"):
            return number + 1
        if line.strip() and not line.lstrip().startswith(("#", "{{")):
            indent = len(line) - len(line.lstrip(" -"))
            if indent < own and _is_key(line):
                return number + 1
    return 0


def _is_key(line: str) -> bool:
    return re.match(rf"^ *(?:- +)*{_KEY} *:(?: |\r?$)", line) is not None


def _unquoted(key: str) -> str:
    return key.strip().removesuffix(":").strip().strip("\"'")
