"""One request in HTTP/2 to a server that runs already: what answers there, within a few seconds."""

import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from bench.load import tls
from bench.load.h2_messages import Fields
from bench.load.probe import CONNECT_TIMEOUT_S, Cause, ProbeError, ResponseHead

_RECEIVE_BYTES = 16_384
_LEAVE_OUT = "where it speaks HTTP/1.1 alone, leave out --http2"


def probe_http2(
    address: tuple[str, int], fields: Fields, context: ssl.SSLContext | None, name: str, patience_s: float
) -> ResponseHead:
    """Send the head of a request to `address`, over TLS with `context`, and return what answers.

    `patience_s` is how long the answer may take. ProbeError where nothing answers in HTTP/2.
    """
    began_s = time.monotonic()
    try:
        sock = socket.create_connection(address, CONNECT_TIMEOUT_S)
    except ConnectionRefusedError as error:
        raise ProbeError(Cause.NOBODY) from error
    except OSError as error:
        raise ProbeError(Cause.UNREACHABLE, str(error)) from error
    with sock:
        if context is None:
            return _exchange(sock, fields, began_s, patience_s, "")
        try:
            wrapped = context.wrap_socket(sock, server_hostname=name)
        except OSError as error:
            failure = tls.explain(error)
            raise ProbeError(Cause.TLS_FAILED, failure.reason, failure.remedy) from error
        with wrapped:
            if wrapped.selected_alpn_protocol() != "h2":
                raise ProbeError(Cause.NO_HTTP, "it does not choose HTTP/2", _LEAVE_OUT)
            return _exchange(wrapped, fields, began_s, patience_s, wrapped.version() or "")


def _exchange(
    sock: socket.socket, fields: Fields, began_s: float, patience_s: float, version: str
) -> ResponseHead:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    connection.initiate_connection()
    connection.send_headers(1, fields, end_stream=True)
    sock.settimeout(patience_s)
    try:
        sock.sendall(connection.data_to_send())
        while data := sock.recv(_RECEIVE_BYTES):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return _head(list(event.headers), version, time.monotonic() - began_s)
            sock.sendall(connection.data_to_send())
    except h2.exceptions.ProtocolError as error:
        raise ProbeError(Cause.NO_HTTP, "its answer is no HTTP/2", _LEAVE_OUT) from error
    except TimeoutError as error:
        raise ProbeError(Cause.SILENT, f"within {patience_s:g} s") from error
    except OSError as error:
        raise ProbeError(Cause.CLOSED, remedy=_LEAVE_OUT) from error
    raise ProbeError(Cause.CLOSED, remedy=_LEAVE_OUT)


def _head(fields: Fields, version: str, after_s: float) -> ResponseHead:
    values = {bytes(name): bytes(value).decode("latin-1") for name, value in fields}
    return ResponseHead(
        protocol="HTTP/2",
        status=int(values[b":status"]),
        reason="",
        location=values.get(b"location", ""),
        server=values.get(b"server", ""),
        keeps=True,
        tls=version,
        after_s=after_s,
    )
