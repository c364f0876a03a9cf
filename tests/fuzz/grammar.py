"""Streams of requests and responses, right and odd: made from a grammar and from the corpus, then mutated.

The byte MARK stands for the identity of the stream; a mutation may lose it or double it, but not falsify it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz import words
from tests.fuzz.words import MARK
from tests.messages.corpus import REQUESTS, RESPONSES

_MAX_BYTES = 2500

_REQUEST_SEEDS = [
    message.data.replace(b" /g", b" /" + MARK).replace(b" /p", b" /" + MARK)
    for message in REQUESTS.values()
    if len(message.data) < _MAX_BYTES
]
_RESPONSE_SEEDS = [(m.method.encode(), m.data) for m in RESPONSES.values() if 0 < len(m.data) < _MAX_BYTES]


def requests(dice: Random) -> bytes:
    """Return what one client sends."""
    parts = [
        dice.choice(_REQUEST_SEEDS) if dice.random() < 0.2 else _request(dice)
        for _ in range(dice.choice((1, 1, 1, 2, 3)))
    ]
    return _mutated(dice, b"".join(parts))


def response(dice: Random) -> tuple[bytes, bytes]:
    """Return the method of a request, and what an upstream sends in answer before it closes."""
    if dice.random() < 0.3:
        method, data = dice.choice(_RESPONSE_SEEDS)
        return method, _mutated(dice, data)
    method = dice.choice([b"GET", b"GET", b"GET", b"POST", b"HEAD"])
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" if dice.random() < 0.1 else b""
    data = (
        interim + _odd(dice, words.STATUS_LINES, b"HTTP/1.1 200 OK") + b"\r\n" + _fields(dice) + _framed(dice)
    )
    return method, _mutated(dice, data + (_follow(dice) if dice.random() < 0.3 else b""))


def pieces(dice: Random, data: bytes) -> list[bytes]:
    """Cut a stream: byte by byte, or in a few places."""
    if dice.random() < 0.2:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randint(1, 6)))
    found = [data[low:high] for low, high in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in found if piece]


def _request(dice: Random) -> bytes:
    line = b" ".join((
        _odd(dice, words.METHODS, b"GET", b"POST"),
        _odd(dice, words.TARGETS, b"/" + MARK),
        _odd(dice, words.VERSIONS, b"HTTP/1.1"),
    ))  # fmt: skip
    host = b"Host: a\r\n" if dice.random() < 0.97 else b""
    return line + b"\r\n" + host + _fields(dice) + _framed(dice)


def _fields(dice: Random) -> bytes:
    """Return a few fields, most of them plain."""
    return b"".join(_odd_field(dice) for _ in range(dice.choice((0, 0, 1, 1, 2, 3))))


def _odd_field(dice: Random) -> bytes:
    colon = _odd(dice, (b":", b":\t", b" : ", b":  "), b": ")
    if dice.random() < 0.85:
        name, value = dice.choice(words.PLAIN_FIELDS)
    else:
        name, value = dice.choice(words.NAMES), dice.choice(words.VALUES)
    return name + colon + value + b"\r\n"


def _odd(dice: Random, all_words: Sequence[bytes], *plain: bytes) -> bytes:
    """Return a plain word, and now and then any."""
    return dice.choice(all_words if dice.random() < 0.07 else plain)


def _framed(dice: Random) -> bytes:
    """Return the framing fields, the end of a head and a body, which often fit."""
    kind = dice.random()
    if kind < 0.25:
        return b"\r\n"
    if kind < 0.5:
        body = dice.choice((b"hello", b"", MARK + b"ello", _follow(dice)))
        length = len(body) + (dice.choice((-1, 1, 5)) if dice.random() < 0.1 else 0)
        return b"Content-Length: %d\r\n\r\n" % max(length, 0) + body
    chunks = b"".join(
        dice.choice(words.CHUNKS[:6] if dice.random() < 0.9 else words.CHUNKS)
        for _ in range(dice.randint(0, 3))
    )
    body = chunks + _odd(dice, words.ENDS, b"0\r\n\r\n")
    if kind < 0.92:
        return b"Transfer-Encoding: chunked\r\n\r\n" + body
    length = dice.choice((0, 5, len(body), len(body) + 4))
    return (
        b"Content-Length: %d\r\nTransfer-Encoding: %b\r\n\r\n" % (length, dice.choice(words.CODINGS)) + body
    )


def _follow(dice: Random) -> bytes:
    """Return what smuggling wants to have read as a message of its own."""
    return dice.choice((
        b"GET /s" + MARK + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Id: " + MARK + b"\r\nContent-Length: 6\r\n\r\nPOISON",
        b"0\r\n\r\nGET /s" + MARK + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n", b"G", b"\n", b"0\r\n\r\n",
    ))  # fmt: skip


def _mutated(dice: Random, data: bytes) -> bytes:
    for _ in range(dice.choice((0, 0, 0, 0, 1, 2))):
        data = _mutation(dice, data) or data
    return data[:_MAX_BYTES]


def _mutation(dice: Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return dice.choice(_MUTATIONS)(dice, data, at)


def _new_line_end(dice: Random, data: bytes, _: int) -> bytes:
    parts = data.split(b"\r\n")
    place = dice.randrange(len(parts))
    end = dice.choice((b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"", b"\r\n\r\n"))
    return b"\r\n".join(parts[:place]) + end + b"\r\n".join(parts[place:])


def _shuffled_lines(dice: Random, data: bytes, _: int) -> bytes:
    lines = data.split(b"\r\n")
    dice.shuffle(lines)
    return b"\r\n".join(lines)


def _other_case(dice: Random, data: bytes, at: int) -> bytes:
    end = at + dice.randint(1, 12)
    return data[:at] + data[at:end].swapcase() + data[end:]


_MUTATIONS: tuple[Callable[[Random, bytes, int], bytes], ...] = (
    lambda dice, data, at: data[:at] + dice.choice(words.INSERTS) + data[at:],
    lambda dice, data, at: data[:at] + dice.choice(words.INSERTS) + data[at + 1 :],
    lambda dice, data, at: data[:at] + data[at + dice.randint(1, 3) :],
    lambda dice, data, at: data[: at + dice.randint(1, 40)] + data[at:],
    _new_line_end,
    _shuffled_lines,
    _other_case,
)
