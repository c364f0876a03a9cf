"""After which exchanges the server keeps an HTTP/1.1 connection, and how many requests it takes on one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.probe.client import NoConnection, ProbeClient
from bench.probe.connection import Ended, ProbeConnection
from bench.probe.exchange import NoAnswer, NoAnswerCause, ProbeAnswer, ProbeRequest
from bench.probe.limits import CASE_REQUESTS, LimitReached
from bench.probe.model import Ending, KeepAliveCase

_ANNOUNCED_S = 1.0
"""How long a server gets to end a connection whose end it has announced."""
_UNANNOUNCED_S = 0.05
"""How long its end is waited for where nothing announced it: it comes right behind the response, or late."""
_COUNTING_S = 10.0
"""How long requests are counted, where answers are slow."""
REFUSALS = (426, 505)
"""What says that a version of HTTP is not spoken (RFC 9110, sections 15.5.22 and 15.6.6)."""
_ABSENT = "bench-probe-no-such-page"
HTTP_1_1, HTTP_1_0, HEAD, NO_CONTENT, NOT_MODIFIED, NOT_FOUND, BAD_REQUEST = (
    "HTTP/1.1 GET",
    "HTTP/1.0 with keep-alive",
    "HEAD",
    "204",
    "304",
    "404",
    "400",
)


@dataclass(frozen=True, slots=True)
class RequestCount:
    """What one connection took of requests."""

    first: ProbeAnswer
    answered: int
    is_ended: bool
    """The server ended it then; otherwise the probe asked no further."""
    ended: Ended | None = None
    is_announced: bool = False
    note: str = ""

    def case(self) -> KeepAliveCase:
        """Return whether the connection was kept after its first request."""
        is_kept = not (self.is_ended and self.answered == 1)
        ending = None if is_kept or self.ended is None else self.ended.ending
        announced = self.is_announced and not is_kept
        return KeepAliveCase(HTTP_1_1, is_kept, announced, self.first.status, ending)


async def count_requests(client: ProbeClient, connection: ProbeConnection, most: int) -> RequestCount:
    """Ask on one connection until the server ends it, or `most` times.

    NoAnswer where the first request gets none.
    """
    clock = asyncio.get_running_loop().time
    request, began_s = ProbeRequest(client.target.path), clock()
    first = answer = await client.ask(connection, request)
    answered = 1
    while True:
        if not answer.keeps:
            ended = await connection.wait_for_end(clock() + _ANNOUNCED_S)
            return RequestCount(first, answered, True, ended, is_announced=True)
        if answer.ended is not None or (answered == 1 and await _ends_unannounced(connection)):
            return RequestCount(first, answered, True, connection.ended)
        if answered >= most:
            return RequestCount(first, answered, False)
        if clock() - began_s > _COUNTING_S:
            note = f"requests on one connection were counted for {_COUNTING_S:g} s, and no longer"
            return RequestCount(first, answered, False, note=note)
        try:
            answer = await client.ask(connection, request)
        except NoAnswer as failure:
            if failure.cause is NoAnswerCause.ENDED:
                return RequestCount(first, answered, True, failure.ended)
            note = f"request {answered + 1} on one connection: {failure}"
            return RequestCount(first, answered, False, note=note)
        answered += 1


async def _ends_unannounced(connection: ProbeConnection) -> bool:
    until_s = asyncio.get_running_loop().time() + _UNANNOUNCED_S
    return await connection.wait_for_end(until_s) is not None


class CaseRunner:
    """Tries one case after the other, on one connection as long as the server keeps it."""

    def __init__(self, client: ProbeClient, count: RequestCount) -> None:
        """`count` is what one connection took of requests."""
        self._client = client
        self._most = count.answered if count.is_ended else None
        self._first = count.first
        self._connection: ProbeConnection | None = None
        self._sent = 0

    async def run(self) -> list[KeepAliveCase]:
        """Return what each case showed."""
        target = self._client.target
        cases = [await self.try_http_1_0()]
        cases.append(await self._try(HEAD, ProbeRequest(target.path, "HEAD")))
        others = [await self._try_path(path) for path in target.more_paths]
        cases.append(self._find_no_content(others))
        cases += [each for each in others if each.name != NO_CONTENT]
        cases.append(await self._try_not_modified())
        folder = target.path.partition("?")[0].rpartition("/")[0]
        cases.append(await self._try(NOT_FOUND, ProbeRequest(f"{folder}/{_ABSENT}"), (404, 410)))
        # HTTP/1.1 without Host is to be answered by 400 (RFC 9112, section 3.2).
        cases.append(await self._try(BAD_REQUEST, ProbeRequest(target.path, has_host=False), range(400, 500)))
        self.close()
        return cases

    def _find_no_content(self, others: list[KeepAliveCase]) -> KeepAliveCase:
        if self._first.status == 204:
            return KeepAliveCase(NO_CONTENT, self._most != 1, status=204)
        for each in others:
            if each.name == NO_CONTENT:
                return each
        return KeepAliveCase(
            NO_CONTENT, None, reason="no path that was asked for answers 204; name one with --path"
        )

    async def _try_path(self, path: str) -> KeepAliveCase:
        case = await self._try(f"GET {path}", ProbeRequest(path))
        if case.status != 204:
            return case
        return KeepAliveCase(NO_CONTENT, case.kept, case.announced, 204, case.ending, case.reason)

    async def _try_not_modified(self) -> KeepAliveCase:
        fields = self._first.fields
        for validator, name in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")):
            if value := fields.get(validator):
                request = ProbeRequest(self._client.target.path, fields=((name, value),))
                return await self._try(NOT_MODIFIED, request, (304,))
        return KeepAliveCase(NOT_MODIFIED, None, reason="the response has no ETag and no Last-Modified")

    async def try_http_1_0(self) -> KeepAliveCase:
        """Return whether a connection is kept by HTTP/1.0, which has to ask for it."""
        self.close()
        request = http_1_0(self._client.target.path)
        spoken = [status for status in range(100, 600) if status not in REFUSALS]
        case = await self._try(HTTP_1_0, request, spoken, follow=request)
        self.close()
        return case

    async def _try(
        self,
        name: str,
        request: ProbeRequest,
        statuses: Sequence[int] = range(100, 600),
        follow: ProbeRequest | None = None,
    ) -> KeepAliveCase:
        """Return what one case shows, or why it was not tried."""
        try:
            connection = await self._connect()
            answer = await self._client.ask(connection, request)
            if answer.status in statuses:
                case = await self._observe(connection, name, answer, follow)
            else:
                reason = f"{request} answers {answer.status}"
                case = KeepAliveCase(name, None, status=answer.status, reason=reason)
        except NoAnswer as failure:
            case = _failed_case(name, failure)
        except NoConnection as failure:
            return KeepAliveCase(name, None, reason=f"no connection: {failure}")
        except LimitReached:
            return KeepAliveCase(name, None, reason="it would exceed the requests or connections of a probe")
        self._sent += CASE_REQUESTS
        if case.kept is not True:
            self.close()
        return case

    async def _observe(
        self, connection: ProbeConnection, name: str, answer: ProbeAnswer, follow: ProbeRequest | None
    ) -> KeepAliveCase:
        """Return whether the connection works on after an answer."""
        clock = asyncio.get_running_loop().time
        if not answer.keeps:
            ended = await connection.wait_for_end(clock() + _ANNOUNCED_S)
            return KeepAliveCase(name, False, True, answer.status, None if ended is None else ended.ending)
        if (ended := await connection.wait_for_end(clock() + _UNANNOUNCED_S)) is not None:
            return KeepAliveCase(name, False, False, answer.status, ended.ending)
        try:
            await self._client.ask(connection, follow or ProbeRequest(self._client.target.path))
        except NoAnswer as failure:
            return _spoiled_case(name, answer.status, failure)
        announced = name == HTTP_1_0 and answer.says_keep_alive
        return KeepAliveCase(name, True, announced, answer.status)

    async def _connect(self) -> ProbeConnection:
        """Return a connection that takes the requests of one more case."""
        is_used_up = self._most is not None and self._sent + CASE_REQUESTS > self._most
        if self._connection is not None and (is_used_up or self._connection.ended is not None):
            self.close()
        if self._connection is None:
            self._connection, self._sent = await self._client.open(), 0
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _failed_case(name: str, failure: NoAnswer) -> KeepAliveCase:
    """Return what a case shows in which no response came, or none behind which the connection works on."""
    ending = None if failure.ended is None else failure.ended.ending
    # A body after a response that has none, as to HEAD: the next response begins within it.
    is_kept = False if failure.cause in (NoAnswerCause.ENDED, NoAnswerCause.SURPLUS) else None
    return KeepAliveCase(name, is_kept, status=failure.status, ending=ending, reason=str(failure))


def _spoiled_case(name: str, status: int, failure: NoAnswer) -> KeepAliveCase:
    """Return what a case shows behind whose response the next request gets none, or not its own."""
    case = KeepAliveCase(name, False, False, status)
    if failure.ended is not None:
        return replace(case, ending=failure.ended.ending)
    if failure.cause is NoAnswerCause.SILENT:
        return replace(case, ending=Ending.SILENCE)
    if failure.cause is NoAnswerCause.SURPLUS:
        return replace(case, reason=str(failure))
    is_kept = False if failure.cause is NoAnswerCause.GARBLED else None
    return replace(case, kept=is_kept, reason=f"the next request: {failure}")


def http_1_0(path: str) -> ProbeRequest:
    """Return a GET in HTTP/1.0 that asks to keep the connection (RFC 9112, appendix C.2.2)."""
    return ProbeRequest(path, version="HTTP/1.0", fields=(("Connection", "keep-alive"),))
