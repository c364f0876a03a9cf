"""The base of the adapters whose proxy is a program with a configuration file."""

from abc import ABC, abstractmethod
from typing import ClassVar

from bench.lab import Host
from bench.subjects import programs
from bench.subjects.launch import LaunchedProxy, LaunchSpec, launch, listen_address
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, SupportedProtocols, Unsupported


class ConfiguredProxy(ABC):
    """A proxy that reads a configuration file. It has no states; what it starts has them (launch.py)."""

    name: ClassVar[str]
    protocols: ClassVar[SupportedProtocols]
    has_sources: ClassVar[bool] = True
    """Whether its connections can leave from several addresses."""
    bounds_requests: ClassVar[bool] = True
    """Whether it ends an upstream connection after a number of requests."""

    def check(self, config: SubjectConfig) -> None:
        """Raise PlanError where the program is not here, Unsupported where it cannot do what is config."""
        self._find(config)

    def start(self, host: Host, cpus: set[int] | None, config: SubjectConfig) -> LaunchedProxy:
        """Start it on `host`; RoleError when it refuses its configuration or does not come up."""
        return launch(host, cpus, self.launch_spec(self._find(config), listen_address(host), config))

    def _find(self, config: SubjectConfig) -> Program:
        """Return the program, looked for only where some version of it can do what is config."""
        self.refuse(config)
        program = programs.find(self.name, config.plan.program)
        self.refuse_version(program, config)
        return program

    def refuse(self, config: SubjectConfig) -> None:
        """Raise Unsupported where no configuration makes any version do what is config."""
        self.protocols.check(self.name, config)
        if config.plan.requests_per_connection is not None and not self.bounds_requests:
            raise Unsupported(
                self.name,
                "subject.requests_per_connection",
                "does not bound it",
                "leave it out, or let the backend close with --backend-requests-per-connection",
            )
        if len(config.sources) > 1 and not self.has_sources:
            raise Unsupported(
                self.name,
                "hosts.proxy_addresses",
                "opens all connections from one address",
                "leave it out, or use more destinations with --backend-addresses",
            )

    def refuse_version(self, program: Program, config: SubjectConfig) -> None:  # noqa: B027 - most need no new version
        """Raise Unsupported where `program` is too old for what is config."""

    @abstractmethod
    def launch_spec(self, program: Program, listen: str, config: SubjectConfig) -> LaunchSpec:
        """Return how `program` is run for one trial; it can do what is config."""


def certificate_files(config: SubjectConfig) -> dict[str, str]:
    """Return the files of the certificate that clients are shown; none where there is none."""
    return {} if config.traffic.certificate is None else config.traffic.certificate.files
