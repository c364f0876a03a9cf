"""No verdict that connections are reused is contradicted by 32 requests in flight."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import nginx
from tests import command_line
from tests.nginx import generated
from tests.nginx.reports.held import Report
from tests.proving import bench_prove, needs_nginx

CONCURRENCY = ("--concurrency", "32")
ALL_REUSED = 0.9
"""A round of requests may begin with another server than the one before it."""
CONF = Path(nginx.__file__).parent / "conf"
CORPUS = os.environ.get("BENCH_CORPUS")
REPORTS = Path(__file__).parents[1] / "nginx" / "reports"
pytestmark = [needs_nginx, pytest.mark.long]

Configuration = tuple[str, list[str | Path]]
"""A text, or the path of one, and what is handed over with it."""


def of_the_corpus() -> list[Any]:
    folder = Path(CORPUS or "")
    index = json.loads((folder / "index.json").read_text())["files"] if CORPUS else []
    return [
        pytest.param(
            (folder / entry["file"]).read_text(),
            [flag for name in entry.get("includes", []) for flag in ("--with", folder / name)],
            id=entry["file"],
        )
        for entry in index
    ]


def configurations() -> list[Any]:
    found = {file.stem: Report.read(file) for file in sorted(REPORTS.glob("*.toml"))}
    reports = [
        (stem, each.input)
        for stem, each in found.items()
        if each.verdicts and not each.name.endswith(".yaml")
    ]
    own = [(path.name, path.read_text()) for path in sorted(CONF.glob("*.conf"))]
    made_up = [(f"seed {seed}", generated.configuration(seed)) for seed in range(generated.VARIANTS)]
    # All of them take many minutes: they run beside the corpus.
    step = 1 if CORPUS else 6
    return [
        *(pytest.param(text, [], id=name) for name, text in (*own, *made_up[::step], *reports[::step])),
        *of_the_corpus(),
    ]


@pytest.mark.parametrize(("text", "handed_over"), configurations())
def test_traffic_in_flight(text: str, handed_over: list[str | Path], tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    for proof in bench_prove(path, "--lab", "loopback", *CONCURRENCY, *handed_over, code=None)["proofs"]:
        version = ("--nginx-version", proof["version"])
        done = command_line.run("check", path, "--format", "json", *version, *CONCURRENCY, *handed_over)
        judged = json.loads(done.stdout)["locations"] if proof["locations"] else []
        verdicts = {identity(each): each["verdicts"][proof["version"]]["verdict"] for each in judged}
        for location in proof["locations"]:
            assert location["disagreement"] is None
            assert not contradicts(verdicts[identity(location)], location)


def identity(location: dict[str, Any]) -> tuple[Any, ...]:
    return location["line"], location["context"], location["target"]


def contradicts(verdict: str, location: dict[str, Any]) -> bool:
    """Return whether traffic shows that connections are not reused where check says so."""
    measured, together = location["measured"], location["in_flight"]
    if verdict != "reused" or measured is None:
        return False
    alone = measured["connections"] / measured["requests"]
    share = None if together is None else together["share"]
    return (alone > 1 - ALL_REUSED and measured["connections"] > 1) or (
        share is not None and share < ALL_REUSED
    )
