"""What answers at the server of `--target` before a run: a record, or an error with its remedy."""

from ssl import SSLContext
from urllib.parse import urlsplit, urlunsplit

from bench.errors import PlanError, TargetError
from bench.experiment.load_job import load_job
from bench.load import h2_messages, probe, tls
from bench.load.h2_probe import probe_http2
from bench.load.job import LoadJob
from bench.load.messages import RequestBuilder
from bench.load.probe import Cause, ProbeError, ResponseHead
from bench.plan.run_plan import Load, Mode, Plan
from bench.runs.target_record import TargetRecord

_PATIENCE_S = 5.0
"""How long the one answer may take, unless --request-timeout was raised: then so long."""

_PROTOCOLS = ("http/1.1",)
_REMEDIES = {
    Cause.NOBODY: "start the server, or write another port",
    Cause.UNREACHABLE: "write another address, or see what is between",
    Cause.NO_CONNECT: "write another address, or see what drops the packets",
    Cause.SILENT: "see what it waits for; where that is meant, raise --request-timeout above 10s",
    Cause.CLOSED: "see its log, and whether it is to be reached through something else",
    Cause.HTTP2_ONLY: "add --http2, or name a port that speaks HTTP/1.1",
    Cause.NO_HTTP: "name a port that speaks HTTP/1.1",
    Cause.TLS_FAILED: "see its certificate and its versions of TLS",
}


def probe_target(plan: Plan) -> TargetRecord | None:
    """Send the server of `--target` one request of the plan and return what answers; None without a target.

    PlanError where the URL is not of what is there, TargetError where no load can be sent.
    """
    url = plan.subject.target
    if url is None:
        return None
    # New connections would ask for their end, and what the server does by itself is to be seen.
    job = load_job(plan, Mode.KEEPALIVE, None)
    try:
        answer = _probe(job, _patience_s(plan))
    except ProbeError as error:
        raise _error(url, error) from error
    return _record(url, f"[{job.host}]:{job.port}" if ":" in job.host else f"{job.host}:{job.port}", answer)


def _probe(job: LoadJob, patience_s: float) -> ResponseHead:
    address, context, name = (job.host, job.port), _context(job), job.tls_name or job.host
    if job.http2:
        _, fields = next(h2_messages.requests(job))
        return probe_http2(address, fields, context, name, patience_s)
    _, request = next(iter(RequestBuilder(job)))
    return probe.probe(address, request, context, name, patience_s)


def _context(job: LoadJob) -> SSLContext | None:
    """Return the context of TLS that the clients have; None where they have none."""
    if not job.tls:
        return None
    protocols = ("h2",) if job.http2 else _PROTOCOLS
    return tls.client_context(verify=job.tls_verify, authority=job.tls_authority, protocols=protocols)


def _patience_s(plan: Plan) -> float:
    requested = plan.load.request_timeout_s
    return requested if requested > Load().request_timeout_s else min(requested, _PATIENCE_S)


def _error(url: str, error: ProbeError) -> PlanError | TargetError:
    where = f"subject.target = {url!r}"
    if error.cause in (Cause.SPEAKS_TLS, Cause.NO_TLS):
        scheme = "https" if error.cause is Cause.SPEAKS_TLS else "http"
        return PlanError(f"plan: {where}: {error}; write {urlunsplit(urlsplit(url)._replace(scheme=scheme))}")
    return TargetError(f"{where}: {error}; {error.remedy or _REMEDIES[error.cause]}")


def _record(url: str, address: str, answer: ResponseHead) -> TargetRecord:
    return TargetRecord(
        url=url,
        address=address,
        protocol=answer.protocol,
        status=answer.status,
        reason=answer.reason,
        location=answer.location,
        server=answer.server,
        tls=answer.tls,
        keeps=answer.keeps,
    )
