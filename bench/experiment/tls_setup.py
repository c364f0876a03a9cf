"""The certificates of one trial: each is made for it, with an authority that nobody else trusts."""

from dataclasses import dataclass
from typing import Self

from bench.lab import Host, Lab
from bench.plan.run_plan import Plan
from bench.subjects import certificates
from bench.subjects.certificates import CHAIN, KEY, Certificate


@dataclass(frozen=True, slots=True)
class TrialCertificates:
    """What the proxy and the backend show; None where they speak no TLS."""

    proxy: Certificate | None = None
    backend: Certificate | None = None

    @classmethod
    def issue(cls, plan: Plan, place: Lab) -> Self:
        """Return those that `plan` needs, for the addresses of the hosts of `place`."""
        is_direct = plan.subject.name == "direct"
        return cls(
            proxy=_issue(place.hosts["proxy"]) if plan.load.tls and not is_direct else None,
            backend=_issue(place.hosts["backend"]) if plan.has_backend_tls else None,
        )

    @property
    def client_authority(self) -> str | None:
        """Return the certificate that verifies what the clients meet first."""
        shown = self.proxy or self.backend
        return None if shown is None else shown.authority

    @property
    def backend_authority(self) -> str | None:
        """Return the certificate that verifies the backend's."""
        return None if self.backend is None else self.backend.authority

    def backend_flags(self, host: Host) -> tuple[str, ...]:
        """Return the flags of `python -m backends`, and write the files that they name."""
        if self.backend is None:
            return ()
        folder = certificates.write_files(host, "backend-tls", self.backend.files)
        return ("--tls-cert", str(folder / CHAIN), "--tls-key", str(folder / KEY))


def _issue(host: Host) -> Certificate:
    return certificates.issue(list(dict.fromkeys((host.front, *host.addresses))))
