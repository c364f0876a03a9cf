"""Where a scheduler is, how to prove who we are there, and why none answers."""

import asyncio
import importlib.util
import socket
import ssl
from pathlib import Path
from typing import Any

from bench.cluster import cluster_file
from bench.cluster.certificates import CertificateFiles
from bench.errors import LabError

EXTRA = ".[cluster]"
_START = "start one with `bench cluster up`, or with Dask's own commands"
_ONE_CA = "give both sides certificates of one CA"
_ITS_PORT = "name the port of a scheduler"
_CONFIGURED = {
    "tls_ca_file": "distributed.comm.tls.ca-file",
    "tls_client_cert": "distributed.comm.tls.client.cert",
    "tls_client_key": "distributed.comm.tls.client.key",
}
"""Attributes of Dask's Security, and the keys of Dask's configuration that they come from."""


def check_packages(*names: str) -> None:
    """Raise LabError unless the packages are installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise LabError(f"cluster: the package {name} is not installed; pip install '{EXTRA}'")


def locate(scheduler: str) -> tuple[str, Any]:
    """Return the address of the scheduler, and Dask's Security, by its address or by a cluster file.

    LabError where Dask is not installed, or where the address wants certificates, and Dask's configuration
    names none that can be read.
    """
    check_packages("distributed")
    import distributed  # noqa: PLC0415 - half a second that only a cluster needs

    if "://" in scheduler:
        security = distributed.Security()  # type: ignore[no-untyped-call]
        if scheduler.startswith("tls://"):
            _check_configured(scheduler, security)
        return scheduler, security
    held = cluster_file.read(Path(scheduler))
    if held.ca is None or held.certificate is None or held.key is None:
        return held.scheduler, distributed.Security()  # type: ignore[no-untyped-call]
    files = CertificateFiles(held.ca, held.certificate, held.key)
    return held.scheduler, distributed.Security(**files.security())  # type: ignore[no-untyped-call]


def _check_configured(address: str, security: Any) -> None:
    for attribute, key in _CONFIGURED.items():
        value = getattr(security, attribute)
        if value is None:
            raise LabError(
                f"cluster: {address} needs certificates, and Dask's configuration has no {key}: set"
                f" {_variable(key)} to a file in PEM, or name a file that `bench cluster up` wrote"
            )
        # What is no path is the text of a PEM file, as Dask takes it too.
        if "\n" not in value and not Path(value).is_file():
            raise LabError(f"cluster: {value}: no such file, which {key} of Dask's configuration names")


def _variable(key: str) -> str:
    return "DASK_" + key.upper().replace(".", "__").replace("-", "_")


def reach(address: str, security: Any, timeout_s: float) -> None:
    """Have the scheduler at `address` answer once; LabError says why it does not.

    Dask's own client would wait for ever where something else listens there.
    """
    try:
        asyncio.run(_reach(address, security, timeout_s))
    except TimeoutError as error:
        reason = f"nothing that speaks as Dask within {timeout_s:g} s; {_ITS_PORT}"
        raise _no_answer(address, reason) from error
    except MemoryError as error:  # Dask takes the first bytes of another protocol for a length
        raise _no_answer(address, f"what listens there does not speak as Dask; {_ITS_PORT}") from error


def _no_answer(address: str, reason: str) -> LabError:
    return LabError(f"cluster: no scheduler answers at {address}: {reason}")


async def _reach(address: str, security: Any, timeout_s: float) -> None:
    """Do the same; TimeoutError where something listens that does not answer."""
    try:
        # Dask would try again and again where nobody listens, and says of TLS that the connection is closed.
        await asyncio.wait_for(_connect(address, None), timeout_s)
    except TimeoutError as error:
        reason = f"no connection within {timeout_s:g} s; let it pass the firewalls between, or {_ITS_PORT}"
        raise _no_answer(address, reason) from error
    await asyncio.wait_for(_identify(address, security), timeout_s)


async def _identify(address: str, security: Any) -> None:
    import distributed  # noqa: PLC0415 - likewise

    try:
        arguments = security.get_connection_args("client")
    except (OSError, ValueError) as error:
        raise LabError(
            f"cluster: {address}: its certificates cannot be used: {_first_line(error)}; {_ONE_CA}"
        ) from error
    if is_tls := address.startswith("tls://"):
        await _connect(address, arguments["ssl_context"])
    try:
        async with distributed.rpc(address, connection_args=arguments) as scheduler:  # type: ignore[no-untyped-call]
            await scheduler.identity()
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        hint = f"it may refuse our certificate: {_ONE_CA}" if is_tls else "write tls:// where it speaks TLS"
        raise _no_answer(address, f"it ends the connection ({_first_line(error)}); {hint}") from error


async def _connect(address: str, context: ssl.SSLContext | None) -> None:
    host, _, port = address.rpartition("//")[2].rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate is not of the CA that is configured ({error.verify_message}); {_ONE_CA}"
        raise _no_answer(address, reason) from error
    except OSError as error:
        reason = f"{error.strerror or _first_line(error)}; {_START}"
        if isinstance(error, ConnectionRefusedError):
            reason = f"nobody listens there; {_START}"
        elif isinstance(error, socket.gaierror):
            reason = "no address is known for that name; write one that is, or an address"
        elif context is not None:
            reason = f"TLS fails ({_first_line(error)}); write tcp:// where it speaks none"
        raise _no_answer(address, reason) from error
    writer.close()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rpartition(">: ")[2] or type(error).__name__
