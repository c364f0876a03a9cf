"""Certificates of a trial, made for it and gone with it. No files: who needs some writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.subjects.subject import Certificate


class Issued(NamedTuple):
    """A certificate, and the one by which it can be verified."""

    certificate: Certificate
    authority: str
    """PEM."""


def issue(names: Sequence[str], *, rsa: bool = False) -> Issued:
    """Return a certificate for host names and addresses: ECDSA P-256, or RSA with 2,048 bits."""
    import trustme  # noqa: PLC0415 - a quarter of a second that only a trial with TLS needs

    authority = trustme.CA()
    issued = authority.issue_cert(*names, key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA)
    chain = "".join(each.bytes().decode() for each in issued.cert_chain_pems)
    key = issued.private_key_pem.bytes().decode()
    return Issued(Certificate(chain, key), authority.cert_pem.bytes().decode())
