"""Certificates of a trial, made for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Host, supervisor

CHAIN, KEY = "certificate.pem", "key.pem"
"""The names of a certificate's files."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, as PEM."""

    chain: str
    key: str
    authority: str = ""
    """The certificate that verifies it, for clients that do."""

    @property
    def files(self) -> dict[str, str]:
        """Return its files: name -> text."""
        return {CHAIN: self.chain, KEY: self.key}


def write_files(host: Host, name: str, files: Mapping[str, str]) -> Path:
    """Write files to a folder of `host` that goes with the lab, and return it."""
    folder = host.scratch(name)
    with supervisor.writing(folder):
        for each, text in files.items():
            (folder / each).write_text(text, encoding="ascii")
    return folder


def issue(names: Sequence[str], *, rsa: bool = False) -> Certificate:
    """Return a certificate for host names and addresses: ECDSA P-256, or RSA with 2,048 bits."""
    import trustme  # noqa: PLC0415 - a quarter of a second that only a trial with TLS needs

    authority = trustme.CA()
    issued = authority.issue_cert(*names, key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA)
    chain = "".join(each.bytes().decode() for each in issued.cert_chain_pems)
    key = issued.private_key_pem.bytes().decode()
    return Certificate(chain, key, authority.cert_pem.bytes().decode())
