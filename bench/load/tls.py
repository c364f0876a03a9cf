"""TLS towards a server: the context of a client, its handshakes, and why one fails.

The protocol itself is OpenSSL's, through Python's `ssl`. Imported only by clients that speak TLS, since the
module takes some milliseconds to load.
"""

import re
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_INSECURE = "skip the verification with -k"
_OTHER_HTTP = ("it does not speak the version of HTTP that is asked for", "add --http2, or leave it out")
_ENDED = ("it ends the connection in the TLS handshake", "see whether this port speaks TLS")
_BY_REASON = {
    # Some releases of Python 3.11 raise no SSLEOFError for it.
    "UNEXPECTED_EOF_WHILE_READING": _ENDED,
    "WRONG_VERSION_NUMBER": ("it answers without TLS", "write http:// in place of https://"),
    "HTTP_REQUEST": ("it answers without TLS", "write http:// in place of https://"),
    "UNSUPPORTED_PROTOCOL": ("it offers TLS below 1.2 only", "enable TLS 1.2 or 1.3 there"),
    "TLSV1_ALERT_PROTOCOL_VERSION": ("it speaks no version of TLS that this client does", ""),
    "SSLV3_ALERT_HANDSHAKE_FAILURE": ("it refuses the handshake", "name another server with --sni"),
    "TLSV1_UNRECOGNIZED_NAME": ("it does not know the server name", "name another one with --sni"),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": ("it asks for a certificate of the client", ""),
    "NO_APPLICATION_PROTOCOL": _OTHER_HTTP,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": _OTHER_HTTP,
}
"""By OpenSSL's name: what is wrong with the server, and what to do about it."""

_X509_HOST_MISMATCH = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH (OpenSSL, x509_vfy.h)."""
_X509_EXPIRED = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """Why a handshake failed: `reason` goes on from the name of the server; `remedy` may be empty."""

    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason


def explain(error: OSError) -> TlsFailure:
    """Return why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionResetError | BrokenPipeError):
        return TlsFailure(*_ENDED)
    if isinstance(error, TimeoutError):
        return TlsFailure("it does not answer the TLS handshake", "see whether this port speaks TLS")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        known = _BY_REASON.get(reason)
        return TlsFailure(f"the TLS handshake fails ({reason})") if known is None else TlsFailure(*known)
    return TlsFailure(f"the connection fails in the TLS handshake ({error.strerror or error})")


def _explain_certificate(error: ssl.SSLCertVerificationError) -> TlsFailure:
    # "Hostname mismatch, certificate is not valid for 'a.test'."
    message = error.verify_message.rstrip(".")
    message = message[:1].lower() + message[1:]
    if error.verify_code in _X509_HOST_MISMATCH:
        remedy = f"name the one that it is for with --sni, or {_INSECURE}"
        return TlsFailure(f"its certificate is for another name: {message}", remedy)
    if error.verify_code in _X509_EXPIRED:
        return TlsFailure(f"its certificate is out of date: {message}", f"renew it, or {_INSECURE}")
    remedy = f"give the certificate of its authority with --cacert FILE, or {_INSECURE}"
    return TlsFailure(f"its certificate is not trusted: {message}", remedy)


def client_context(
    *, verify: bool = True, authority: str | None = None, protocols: Sequence[str] = ()
) -> ssl.SSLContext:
    """Return the context of clients; `protocols` are those to negotiate (ALPN, RFC 7301).

    Without `authority`, certificates in PEM, the system's are trusted. ValueError where it holds none.
    """
    if verify:
        try:
            context = ssl.create_default_context(cadata=authority)
        except ssl.SSLError as error:
            raise ValueError(f"it holds no certificate in PEM ({error.reason or error})") from error
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Some releases of Python 3.11 set it: a connection that is cut would pass for one that ends.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def certificates_in(text: str) -> str:
    """Return the certificates in a PEM text, without the rest; ValueError where there is none."""
    found = "\n".join(_CERTIFICATE.findall(text))
    if not found:
        raise ValueError("it holds no certificate in PEM")
    client_context(authority=found)
    return found


@dataclass(slots=True)
class HandshakeCounts:
    """The handshakes of one worker, over the whole trial."""

    full: int = 0
    resumed: int = 0
    negotiated: Counter[str] = field(default_factory=Counter)
    """By version and cipher, as in `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
    failures: Counter[str] = field(default_factory=Counter)
    """By reason."""

    def add(self, sock: ssl.SSLSocket) -> None:
        """Count a handshake that has succeeded."""
        cipher = sock.cipher()
        self.negotiated[f"{sock.version() or '-'} {'-' if cipher is None else cipher[0]}"] += 1
        if sock.session_reused:
            self.resumed += 1
        else:
            self.full += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "full": self.full,
            "resumed": self.resumed,
            "negotiated": dict(self.negotiated),
            "failures": dict(self.failures),
        }
