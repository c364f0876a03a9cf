"""Somebody else's proxy, told by a file what to do: what the adapters of all such programs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bench.lab import Host
from bench.subjects import programs
from bench.subjects.launch import LaunchedProxy, LaunchSpec, launch, listen_address
from bench.subjects.programs import Program
from bench.subjects.subject import Certificate, SubjectConfig, SupportedProtocols, Unsupported

CHAIN, KEY = "certificate.pem", "key.pem"


class ConfiguredProxy(ABC):
    """A program that reads what it is to do. States: none; what it starts has them (launch.py)."""

    name: ClassVar[str]
    speaks: ClassVar[SupportedProtocols]
    has_sources: ClassVar[bool] = True
    """Whether its connections can leave from several addresses."""
    bounds_requests: ClassVar[bool] = True
    """Whether it ends an upstream connection after a number of requests."""

    def check(self, asked: SubjectConfig) -> None:
        """Raise PlanError where the program is not here, Unsupported where it cannot do what is asked."""
        self._find(asked)

    def start(self, host: Host, cpus: set[int] | None, asked: SubjectConfig) -> LaunchedProxy:
        """Start it on `host`; RoleError when it refuses its configuration or does not come up."""
        return launch(host, cpus, self.recipe(self._find(asked), listen_address(host), asked))

    def _find(self, asked: SubjectConfig) -> Program:
        """Return the program, looked for only where some version of it can do what is asked."""
        self.refuse(asked)
        program = programs.find(self.name, asked.plan.program)
        self.refuse_version(program, asked)
        return program

    def refuse(self, asked: SubjectConfig) -> None:
        """Raise Unsupported where no configuration makes any version do what is asked."""
        self.speaks.check(self.name, asked)
        if asked.plan.requests_per_connection is not None and not self.bounds_requests:
            raise Unsupported(
                self.name,
                "subject.requests_per_connection",
                "does not bound it",
                "leave it out, or let the backend close with --backend-requests-per-connection",
            )
        if len(asked.sources) > 1 and not self.has_sources:
            raise Unsupported(
                self.name,
                "hosts.proxy_addresses",
                "opens all connections from one address",
                "leave it out, or use more destinations with --backend-addresses",
            )

    def refuse_version(self, program: Program, asked: SubjectConfig) -> None:  # noqa: B027 - most need no new version
        """Raise Unsupported where `program` is too old for what is asked."""

    @abstractmethod
    def recipe(self, program: Program, listen: str, asked: SubjectConfig) -> LaunchSpec:
        """Return how `program` is run for one trial; it can do what is asked."""


def certificate(shown: Certificate | None) -> dict[str, str]:
    """Return the files of the certificate that clients are shown; none where there is none."""
    return {} if shown is None else {CHAIN: shown.chain, KEY: shown.key}
