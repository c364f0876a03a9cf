"""What a case requests of the proxy in front of its servers: known before anything starts. Starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.errors import PlanError
from bench.plan.run_plan import ClosesFirst, Mode
from bench.plan.scenario_plan import Case
from bench.subjects.catalogue import SUBJECTS
from bench.subjects.certificates import Certificate
from bench.subjects.subject import (
    NotInstalled,
    SubjectAdapter,
    SubjectConfig,
    Traffic,
    Unsupported,
)

_NOWHERE = "0.0.0.0"


class Absent(str):
    """Why a case cannot be measured, where a program or a package is not installed here."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ProxySetup:
    """What the proxy is to do, whichever it is."""

    clients: int
    """Connections that come to it at a time, at the most."""
    mode: Mode = Mode.KEEPALIVE
    traffic: Traffic = field(default_factory=Traffic)
    workers: int = 1
    subject: SubjectAdapter | None = None
    """The adapter that starts it, where that is not the ordinary one of the case's subject."""
    closes_first: ClosesFirst = ClosesFirst.PROXY
    pool_idle: int | None = None
    """Idle upstream connections that one worker keeps; None: one for each client."""

    def starter(self, case: Case) -> SubjectAdapter:
        """Return the adapter that starts the proxy."""
        return self.subject or SUBJECTS[case.subject.name]()

    def build_config(self, case: Case, upstreams: Sequence[str], sources: Sequence[str]) -> SubjectConfig:
        """Return the configuration of the proxy of `case` between these addresses."""
        return SubjectConfig(
            mode=self.mode,
            closes_first=self.closes_first,
            plan=replace(case.subject, workers=self.workers),
            pool_idle=self.clients if self.pool_idle is None else self.pool_idle,
            upstreams=upstreams,
            clients=self.clients,
            sources=sources,
            traffic=self.traffic,
        )

    def showing(self, certificate: Certificate) -> "ProxySetup":
        """Return the same with what is shown to clients, which is known once there is a lab."""
        return replace(self, traffic=replace(self.traffic, certificate=certificate))

    def trusting(self, authority: str) -> "ProxySetup":
        """Return the same with the certificate that verifies the backend's, known once there is a lab."""
        upstream_tls = self.traffic.upstream_tls
        if upstream_tls is None:
            return self
        upstream_tls = replace(upstream_tls, authority=authority)
        return replace(self, traffic=replace(self.traffic, upstream_tls=upstream_tls))

    def check(self, case: Case, sources: int = 1, upstreams: int = 1) -> None:
        """Raise PlanError where the case's proxy is not here, Unsupported where it cannot do this.

        `sources` and `upstreams` are how many addresses it leaves from and goes to.
        """
        left_from = [_NOWHERE] * sources if sources > 1 else []
        self.starter(case).check(self.build_config(case, [f"{_NOWHERE}:0"] * upstreams, left_from))

    def refusal(self, case: Case, addresses: int) -> str | None:
        """Return why the case's proxy cannot do it, leaving from so many addresses; None where it can."""
        try:
            self.check(case, addresses)
        except NotInstalled as missing:
            return Absent(f"{missing.reason}; {missing.remedy}")
        except Unsupported as refused:
            return refused.reason  # its remedies are those of `bench run`
        except PlanError as broken:
            return str(broken)
        return None
