"""A whole probe of a server: versions, what keeps a connection, how many requests, how much idle time."""

import asyncio
from typing import NoReturn

from bench.errors import BenchError, PlanError, TargetError
from bench.load import probe as first_answer
from bench.load.probe import Cause, ProbeError
from bench.probe.cases import HTTP_1_0, REFUSALS, CaseRunner, RequestCount, count_requests, http_1_0
from bench.probe.client import NoConnection, ProbeClient
from bench.probe.connection import Contexts, ProbeConnection
from bench.probe.exchange import NoAnswer, NoAnswerCause, ProbeRequest
from bench.probe.http2 import find_http2
from bench.probe.idle import IdleFindings, measure_idle
from bench.probe.limits import Budget, ProbeSettings, reserved_requests
from bench.probe.model import KeepAliveCase, ProbeResult
from bench.probe.progress import ProbeProgress, Report
from bench.probe.target import ProbeTarget, resolve
from bench.probe.watching import IdleWait

_REMEDIES = {
    Cause.NOBODY: "start the server, or write another port",
    Cause.UNREACHABLE: "write another address, or see what is between",
    Cause.NO_CONNECT: "write another address, or see what drops the packets",
    Cause.SILENT: "see what it waits for, or raise --timeout",
    Cause.CLOSED: "see its log, and whether it is to be reached through something else",
    Cause.HTTP2_ONLY: "name a port that speaks HTTP/1.1",
    Cause.NO_HTTP: "name a port that speaks HTTP/1.1",
    Cause.TLS_FAILED: "see its certificate and its versions of TLS",
}


def probe(
    target: ProbeTarget,
    settings: ProbeSettings,
    contexts: Contexts | None,
    report: Report,
) -> ProbeResult:
    """Measure what the server at `target` does with its connections.

    `contexts` are those of TLS: one that offers HTTP/1.1, one that offers HTTP/2 too; None without TLS.
    TargetError or PlanError where nothing can be measured.
    """
    return asyncio.run(_Probe(target, settings, contexts, report).run())


class _Probe:
    """One probe as it goes on."""

    def __init__(
        self,
        target: ProbeTarget,
        settings: ProbeSettings,
        contexts: Contexts | None,
        report: Report,
    ) -> None:
        self._target, self._settings, self._report = target, settings, report
        self._context = None if contexts is None else contexts[0]
        self._alpn = None if contexts is None else contexts[1]
        self._budget = Budget(settings.most_requests)
        self._notes: list[str] = []

    async def run(self) -> ProbeResult:
        """Return what the server does."""
        began_s = asyncio.get_running_loop().time()
        self._report(ProbeProgress("the first connection"))
        client, connection = await self._connect()
        count = await self._count(client, connection)
        self._report(ProbeProgress("kinds of requests"))
        cases = [count.case(), *await CaseRunner(client, count).run()]
        http2, waits = await find_http2(client, self._alpn)
        idle = await self._measure_idle(client, count, cases, waits)
        announced_s = count.first.keep_alive("timeout")
        return ProbeResult(
            target=self._target.text,
            host=self._target.host,
            port=self._target.port,
            path=self._target.path,
            server=count.first.fields.get("server"),
            versions=_versions(count, cases, http2),
            cases=tuple(cases),
            max_requests=count.answered if count.is_ended else None,
            requests_tried=count.answered,
            max_requests_announced=count.is_announced,
            announced=count.first.fields.get("keep-alive"),
            announced_max=count.first.keep_alive("max"),
            idle=idle.after_response,
            idle_before_request=idle.before_request,
            idle_http2=idle.http2,
            announced_idle_s=None if announced_s is None else float(announced_s),
            connections_used=self._budget.connections,
            requests_used=self._budget.requests,
            took_s=round(asyncio.get_running_loop().time() - began_s, 3),
            notes=(*self._notes, *idle.notes),
        )

    async def _connect(self) -> tuple[ProbeClient, ProbeConnection]:
        """Return a client of the first address that accepts, and its connection."""
        addresses = await asyncio.to_thread(resolve, self._target)
        reason = ""
        for address in addresses:
            client = ProbeClient(self._target, address, self._settings, self._budget, self._context)
            try:
                connection = await client.open()
            except NoConnection as failure:
                reason = str(failure)
                continue
            if len(addresses) > 1:
                self._notes.append(f"of {len(addresses)} addresses {address[0]} was measured")
            return client, connection
        self._explain(addresses[-1], reason)

    async def _count(self, client: ProbeClient, connection: ProbeConnection) -> RequestCount:
        """Return how many requests the first connection takes; TargetError where not even one."""
        self._report(ProbeProgress("requests on one connection"))
        most = self._budget.requests_left - reserved_requests(len(self._target.more_paths))
        try:
            count = await count_requests(client, connection, most)
        except NoAnswer as failure:
            if failure.cause in (NoAnswerCause.ENDLESS, NoAnswerCause.CUT):
                raise TargetError(
                    f"{self._target.text}: GET {self._target.path}: {failure};"
                    " name a path with a short answer by --path"
                ) from failure
            self._explain(client.address, str(failure))
        finally:
            connection.close()
        if count.first.status == 400 and self._context is None:
            # What web servers say to HTTP on a port of TLS: 400, and a sentence.
            self._budget.take_connection()
            if await asyncio.to_thread(first_answer.speaks_tls, client.address):
                raise self._wrong_scheme(ProbeError(Cause.SPEAKS_TLS))
        self._notes += self._note_status(count)
        return count

    def _note_status(self, count: RequestCount) -> list[str]:
        status, notes = count.first.status, [count.note] if count.note else []
        if 300 <= status < 400 and (location := count.first.fields.get("location")):
            notes.append(
                f"GET {self._target.path} answers {status}, which leads to {location}: what follows is about"
                " the server that answers so"
            )
        elif status >= 400:
            notes.append(f"GET {self._target.path} answers {status}: name another path by --path")
        return notes

    async def _measure_idle(
        self, client: ProbeClient, count: RequestCount, cases: list[KeepAliveCase], http2: list[IdleWait]
    ) -> IdleFindings:
        """Return the idle times, by the kind of request after which connections are kept."""
        request, most = ProbeRequest(self._target.path), count.answered if count.is_ended else None
        if not count.case().kept:
            if not any(case.name == HTTP_1_0 and case.kept for case in cases):
                for wait in http2:
                    wait.connection.close()
                return IdleFindings(None, None)
            request, most = http_1_0(self._target.path), None
        return await measure_idle(client, request, most, http2, self._report)

    def _explain(self, address: tuple[str, int], reason: str) -> NoReturn:
        """Raise the error that says why nothing can be measured at `address`."""
        request = ProbeRequest(self._target.path).encode(self._target.host_field, self._target.fields)
        patience_s = self._settings.patience_s
        try:
            first_answer.probe(address, request, self._context, self._target.tls_name, patience_s)
        except ProbeError as error:
            if error.cause in (Cause.SPEAKS_TLS, Cause.NO_TLS):
                raise self._wrong_scheme(error) from error
            remedy = error.remedy or _REMEDIES[error.cause]
            raise TargetError(f"{self._target.text}: {error}; {remedy}") from error
        raise TargetError(f"{self._target.text}: {reason}; see what sends it, or name another path by --path")

    def _wrong_scheme(self, error: ProbeError) -> BenchError:
        scheme = "https" if error.cause is Cause.SPEAKS_TLS else "http"
        return PlanError(f"{self._target.text}: {error}; write {self._target.with_scheme(scheme)}")


def _versions(count: RequestCount, cases: list[KeepAliveCase], http2: str | None) -> tuple[str, ...]:
    answers_1_0 = any(
        case.name == HTTP_1_0 and case.status is not None and case.status not in REFUSALS for case in cases
    )
    spoken = (
        ("HTTP/1.0", answers_1_0 or count.first.version == "HTTP/1.0"),
        ("HTTP/1.1", count.first.version == "HTTP/1.1"),
        (str(http2), http2 is not None),
    )
    return tuple(name for name, is_spoken in spoken if is_spoken)
