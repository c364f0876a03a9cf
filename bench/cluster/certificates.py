"""The certificates of a cluster: an authority of its own, and one certificate for all of its members.

Who holds it may use the cluster, and so run code on all of its machines; each member refuses who has none.
The authority's key is never written. Dask does not compare names: what counts is who issued a certificate.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.lab import supervisor
from bench.subjects import certificates
from bench.subjects.certificates import CHAIN, KEY

AUTHORITY = "ca.pem"
"""The name of the authority's file."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The PEM files of a member."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """Return all of them."""
        return self.ca, self.certificate, self.key

    def security(self) -> dict[str, Any]:
        """Return the arguments of Dask's Security for a scheduler, a worker or a client."""
        settings: dict[str, Any] = {"require_encryption": True, "tls_ca_file": str(self.ca)}
        for role in ("scheduler", "worker", "client"):
            settings |= {f"tls_{role}_cert": str(self.certificate), f"tls_{role}_key": str(self.key)}
        return settings


def files_in(folder: Path) -> CertificateFiles:
    """Return the paths of the files in `folder`."""
    return CertificateFiles(folder / AUTHORITY, folder / CHAIN, folder / KEY)


def make(folder: Path) -> CertificateFiles:
    """Write a new authority's certificate into files of mode 0600 in `folder`; LabError where it cannot."""
    issued = certificates.issue(["bench-cluster.invalid"])
    for name, text in {**issued.files, AUTHORITY: issued.authority}.items():
        with supervisor.writing(folder):
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(text)
    return files_in(folder)
