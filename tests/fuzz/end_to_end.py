"""A real proxy between clients and an upstream of ours: who asked gets the answer, and nobody else.

Each stream has an identity. The upstream lets h11 and httptools read all that the proxy forwards, answers
each request with the identity that it carries, and to a request for `/odd/...` as that stream says.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from tests.fuzz import grammar, oracles, reading
from tests.fuzz.finds import Finds
from tests.fuzz.oracles import Fields, Heard
from tests.fuzz.words import MARK

TIMEOUT_S = 20.0
"""The proxy's own timeouts are 5 s: whoever has no answer by then hangs."""
FLAGS = ("--head-timeout", "5", "--body-timeout", "5", "--read-timeout", "5", "--half-closed-timeout", "5")
_IDENTITY = re.compile(rb"id-[0-9a-f]{16}")
_ANSWERED = re.compile(rb"\r\nX-Id: ([^\r]*)\r\n")
_FINAL = re.compile(rb"HTTP/1\.1 [2-5]\d\d ")
_ORDINARY = frozenset((
    b"accept", b"accept-encoding", b"user-agent", b"cookie", b"content-type", b"date", b"x-other", b"x-same",
))  # fmt: skip
_MOST_INTERIM = 5
"""The proxy may refuse an answer after more of them."""
Address = tuple[str, int]


@dataclass(slots=True)
class Odd:
    """What the upstream sends in answer to one request, before it closes the connection."""

    pieces: list[bytes]


@dataclass(slots=True)
class Upstream:
    """What arrived for each identity, and what is to be answered; `finds` takes what nobody may forward."""

    finds: Finds
    seen: dict[bytes, list[Heard]] = field(default_factory=lambda: defaultdict(list))
    odd: dict[bytes, Odd] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the proxy's."""
        strict, llhttp, data = oracles.H11Requests(), oracles.LlhttpRequests(), b""
        try:
            while piece := await reader.read(65_536):
                data += piece
                first, second = list(strict.feed(piece)), list(llhttp.feed(piece))
                for each in (strict, llhttp):
                    if each.error is not None:
                        self.finds.add(f"forwarded what {each.name} refuses", "", data, "", each.error)
                        return
                if first != second and not llhttp.is_lost:
                    self.finds.add("forwarded what two readers read in two ways", "", data, first, second)
                for heard in first:
                    if not await self._answer(heard, data, writer):
                        return
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _answer(self, heard: Heard, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer; return whether the connection stays."""
        names = set(_IDENTITY.findall(heard.target + repr(heard.fields).encode() + heard.body))
        if len(names) > 1:
            self.finds.add("one forwarded request has two identities", "", data, "one", names)
        name = next(iter(names), b"")
        self.seen[name].append(heard)
        if name in self.odd and heard.target.startswith(b"/odd/"):
            for piece in self.odd[name].pieces:
                if writer.is_closing():
                    break
                writer.write(piece)
                await asyncio.sleep(0)
            return False
        body = b"" if heard.what == b"HEAD" else heard.target
        length = b"Content-Length: %d\r\n" % len(body) if body else b"Content-Length: 0\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\nX-Id: " + name + b"\r\n" + length + b"\r\n" + body)
        return True


async def check_requests(case: str, address: Address, upstream: Upstream) -> None:
    """Send one odd stream of requests; each must arrive as our reader has read it, and be answered."""
    dice = Random(f"{case}-requests")
    name = b"id-%016x" % dice.getrandbits(64)
    data = grammar.requests(dice).replace(MARK, name)
    expected = reading.read_requests([data])
    # Who is refused, or is closed on, waits for it; the others end.
    is_ended = not expected.end.startswith("refused") and expected.end != "closed"
    answers = sum(not each.is_local for each in expected.messages) if is_ended else 1000
    received = await _exchange(address, grammar.pieces(dice, data), answers)
    finds, forwarded = upstream.finds, upstream.seen.pop(name, [])
    if received is None:
        finds.add("a client hangs", case, data, expected, forwarded)
        return
    wanted = [(each.what, each.body) for each in expected.messages if not each.is_local and name in data]
    got = [(each.what, each.body) for each in forwarded]
    if not set(got) <= set(wanted) or len(got) > len(wanted):
        finds.add("forwarded what was not asked", case, data, wanted, got)
    heard = list(oracles.H11Requests().feed(data))
    # Fewer arrive where one has no identity, or was lost with the connection that it was sent on.
    are_all_there = len(heard) == len(forwarded) == len(expected.messages)
    for sent, arrived in zip(heard, forwarded, strict=True) if are_all_there else ():
        if _ordinary(sent, sent) != _ordinary(arrived, sent):
            finds.add("forwarded other fields", case, data, _ordinary(sent, sent), _ordinary(arrived, sent))
    names = _ANSWERED.findall(received)
    if strangers := set(names) - {name, b""}:
        finds.add("answered with another's response", case, data, name, strangers)
    if names.count(name) > len(forwarded):
        finds.add("answered more often than forwarded", case, data, len(forwarded), received)
    if expected.end.startswith("refused") and not re.search(rb"HTTP/1\.1 [45]\d\d ", received):
        finds.add("refused without a word", case, data, expected.end, received)


def _ordinary(heard: Heard, sent: Heard) -> Fields:
    """Return the fields that a proxy has no business with, unless `sent` declares them to be for one hop."""
    options = b",".join(value for name, value in sent.fields if name == b"connection").lower().split(b",")
    hop = {option.strip(b" \t") for option in options}
    return [field for field in heard.fields if field[0] in _ORDINARY and field[0] not in hop]


async def check_response(case: str, address: Address, upstream: Upstream) -> None:
    """Let the upstream answer oddly; the client must read what our reader has read, or a refusal."""
    dice = Random(f"{case}-response")
    name = b"id-%016x" % dice.getrandbits(64)
    method, data = grammar.response(dice)
    data = data.replace(MARK, name)
    expected = reading.read_response_to(method, [data])
    pieces = grammar.pieces(dice, data) if dice.random() < 0.7 else [data]
    upstream.odd[name] = Odd(_joined_from_end(method, pieces))
    length = b"Content-Length: 0\r\n" if method == b"POST" else b""
    request = b"%b /odd/%b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, name, length)
    received = await _exchange(address, [request], 0)
    await _check_good(case, address, upstream, data)
    del upstream.odd[name]
    finds, times = upstream.finds, len(upstream.seen.pop(name, []))
    if received is None:
        finds.add("a client hangs for a response", case, data, expected, "")
        return
    if times > 1 and data:
        finds.add("sent twice, though it was answered", case, data, 1, times)
    if not times and method == b"POST" and _FINAL.match(received) and b" 502 " in received[:13]:
        # The connection was closed as the request was sent: it may not be sent again (RFC 9110, 9.2.2).
        return
    heard, is_whole = oracles.h11_response(method, received)
    got = [(each.what, each.body) for each in heard]
    wanted = [(each.what, each.body) for each in expected.messages]
    is_refused = not is_whole or got[-1][0] in (b"502", b"504")
    if expected.end in ("closed", "trailing") and len(wanted) <= _MOST_INTERIM:
        if got != wanted or not is_whole:
            finds.add(f"a good response to {method.decode()} arrives as another", case, data, wanted, got)
    elif not is_refused and len(wanted) <= _MOST_INTERIM:
        finds.add(f"a bad response to {method.decode()} arrives whole", case, data, expected, got)


def _joined_from_end(method: bytes, pieces: list[bytes]) -> list[bytes]:
    """Return the pieces, with all in one that comes from the end of the response on.

    What came later might meet the next request on its way, and nobody could tell it from the answer to that.
    """
    for count in range(1, len(pieces)):
        if reading.read_response_to(method, [b"".join(pieces[:count])]).end != "incomplete":
            return [*pieces[: count - 1], b"".join(pieces[count - 1 :])]
    return pieces


async def _check_good(case: str, address: Address, upstream: Upstream, data: bytes) -> None:
    """A good request right after gets its own answer: no connection is poisoned."""
    name = b"id-%016x" % Random(f"{case}-good").getrandbits(64)
    received = await _exchange(address, [b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % name])
    upstream.seen.pop(name, None)
    if received is None or not received.endswith(b"\r\n\r\n/" + name):
        upstream.finds.add("the next request gets no answer of its own", case, data, name, received)


async def _exchange(address: Address, pieces: list[bytes], answers: int = 1) -> bytes | None:
    """Send pieces, and a FIN once so many answers are there; return all that comes until the other's FIN.

    None: it does not come. A FIN that came earlier would excuse the proxy from reading on.
    """
    reader, writer = await asyncio.open_connection(*address)
    received = b""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            for piece in pieces:
                if writer.is_closing():
                    # The proxy has refused what came before.
                    break
                writer.write(piece)
                await asyncio.sleep(0)
            while len(_FINAL.findall(received)) < answers:
                data = await reader.read(65_536)
                if not data:
                    return received
                received += data
            writer.write_eof()
            return received + await reader.read()
    except ConnectionError:
        return received
    except TimeoutError:
        return None
    finally:
        writer.close()
