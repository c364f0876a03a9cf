"""What a case asks of the proxy in front of its servers: known before anything starts. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bench.errors import PlanError
from bench.experiment.case import Case
from bench.plan.run_plan import ClosesFirst, Mode
from bench.subjects.choose import SUBJECTS
from bench.subjects.subject import Asked, CannotDo, Carries, Certificate, NotHere, Subject

_NOWHERE = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class ProxySetup:
    """What the proxy is to do, whichever it is."""

    clients: int
    """Connections that come to it at a time, at the most."""
    mode: Mode = Mode.KEEPALIVE
    carries: Carries = field(default_factory=Carries)
    workers: int = 1
    subject: Subject | None = None
    """Who starts it, where it is not the ordinary adapter of the case's subject."""

    def starter(self, case: Case) -> Subject:
        """Return who starts the proxy."""
        return self.subject or SUBJECTS[case.subject.name]()

    def asked(self, case: Case, upstreams: list[str], sources: list[str]) -> Asked:
        """Return what the proxy of `case` is asked, between these addresses."""
        return Asked(
            mode=self.mode,
            closes_first=ClosesFirst.PROXY,
            plan=replace(case.subject, workers=self.workers),
            pool_idle=self.clients,
            upstreams=upstreams,
            clients=self.clients,
            sources=sources,
            carries=self.carries,
        )

    def showing(self, certificate: Certificate) -> ProxySetup:
        """Return the same with what is shown to clients, which is known once there is a lab."""
        return replace(self, carries=replace(self.carries, certificate=certificate))

    def refusal(self, case: Case, addresses: int) -> str | None:
        """Return why the case's proxy cannot do it, leaving from so many addresses; None where it can."""
        sources = [_NOWHERE] * addresses if addresses > 1 else []
        try:
            self.starter(case).check(self.asked(case, [f"{_NOWHERE}:0"], sources))
        except NotHere as missing:
            return f"{missing.reason}; {missing.remedy}"
        except CannotDo as refused:
            return refused.reason  # its remedies are those of `bench run`
        except PlanError as broken:
            return str(broken)
        return None
