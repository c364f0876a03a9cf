"""Part a, shapes: what each server's response costs our load generator, beside wrk and an older one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import external
from bench.load.tools import ToolLoad
from tests.perf import checkouts, loaders, pairs
from tests.perf.loaders import Sent
from tests.perf.messages import fill
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.shapes import SHAPES, Shape
from tests.perf.stage import RawBackend, stage

PART = "a-shapes"
CONNECTIONS = 64
SERVERS = (
    "plain",
    "curl",
    "node",
    "uvicorn",
    "django",
    "runserver",
    "go",
    "tomcat",
    "iis",
    "apache",
    "puma",
    "chunked",
    "chunked-go",
    "gunicorn",
)
"""The shapes whose responses take part, one of each kind of server; none of them answers with no body."""
TARGET = Target(1.03)
"""Of the ratio to the older one."""
_IDENTITY = ("-H", "X-Bench-Id: 0-0-0123456789")


def measure(settings: Settings, baseline: Path | None = None) -> Iterator[Row]:
    """Yield the rows of each server's response."""
    if not external.missing(("wrk",)) or baseline is not None:
        with stage() as opened, TemporaryDirectory() as folder:
            backend = opened.raw_backend(Path(folder), opened.far)
            play = _Play(backend, opened.near, settings, baseline)
            for name in SERVERS:
                yield from play.rows(SHAPES[name])


class _Play:
    """The generators against one server, which answers with one shape after the other."""

    def __init__(
        self, backend: RawBackend, cores: set[int], settings: Settings, baseline: Path | None
    ) -> None:
        self._backend = backend
        self._cores = cores
        self._settings = settings
        self._baseline = baseline

    def rows(self, shape: Shape) -> Iterator[Row]:
        """Play all rounds of one shape, and yield its rows."""
        self._backend.shape(shape.name, echoes=True)
        generators = self._generators(shape)
        costs: dict[str, list[float]] = defaultdict(list)
        errors: dict[str, int] = defaultdict(int)
        for round_ in range(self._settings.response_rounds + 1):
            for name in pairs.order(list(generators), round_):
                sent = generators[name]()
                errors[name] += sent.errors
                if round_ > 0:  # the first warms up
                    costs[name].append(sent.cpu_us_per_request)
        what = f"load generator, the response of {shape.name}"
        notes = tuple(f"{name}: {count} errors" for name, count in errors.items() if count)
        row = Row(PART, what, "CPU us/request", None, notes=notes)
        for name in list(generators)[1:]:
            target = TARGET if name != "wrk" else None
            yield pairs.beside(row, name, costs["ours"], costs[name], target)

    def _generators(self, shape: Shape) -> dict[str, Callable[[], Sent]]:
        url, settings = f"http://{self._backend.address}/", self._settings
        ours = partial(
            loaders.ours,
            url,
            connections=CONNECTIONS,
            requests=settings.response_requests,
            cores=self._cores,
            body_bytes=len(fill(shape.body, 0)),
        )
        generators: dict[str, Callable[[], Sent]] = {"ours": ours}
        if self._baseline is not None:
            generators[f"ours, {checkouts.commit(self._baseline)}"] = partial(ours, checkout=self._baseline)
        if not external.missing(("wrk",)):
            load = ToolLoad(url, CONNECTIONS, duration_s=1, flags=_IDENTITY)
            generators["wrk"] = partial(loaders.theirs, "wrk", load, self._cores)
        return generators
