"""Prove configurations in tests: read, rewritten, and run with each nginx found here."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.prove import runner
from bench.prove.changes import ChangeLog
from bench.prove.inventory import Inventory, Location, Peer, build_inventory
from bench.prove.proof import LocationResult, Proof
from bench.prove.rewrite import Listeners, Rewriter
from bench.prove.testbed import ProofSettings
from bench.subjects import programs
from bench.subjects.programs import Program
from nginx import check, versions
from nginx.model import Model
from nginx.serializer import serialize
from tests import bench_process, needs

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
"""The lines of a location that reuses its connections."""


@cache
def nginx_programs() -> dict[str, Program]:
    """Return the nginx programs found here, by version."""
    return {program.version: program for program in programs.find_all("nginx")}


def _versions() -> list[object]:
    """Return the versions found here, all but the newest for the long tests."""
    *older, newest = sorted(nginx_programs(), key=versions.parse) or [""]
    long = [pytest.param(each, marks=pytest.mark.long) for each in older]
    return [newest, *long] if newest else []


needs_nginx = needs.program("nginx")
every_version = pytest.mark.parametrize("version", _versions())


def any_nginx() -> Program:
    """Return one nginx, for what holds for each version."""
    return next(iter(nginx_programs().values()))


def model(text: str) -> Model:
    """Return a configuration as `bench prove` reads it."""
    return check.load_model("x", text=text)


def last_location(text: str) -> Location:
    """Return the last location of a configuration."""
    return build_inventory(model(text)).locations[-1]


def rewritten(text: str) -> tuple[str, ChangeLog]:
    """Return a configuration as it would run, with addresses that name server block, location and peer."""
    found = build_inventory(model(text))
    listeners = {
        each.number: Listeners(f"plain:{each.number}", f"tls:{each.number}") for each in found.servers
    }
    rewriter = Rewriter(found, backends(found), listeners)
    return serialize(rewriter.directives()).text, rewriter.log


def backends(found: Inventory) -> dict[int, dict[Peer, list[str]]]:
    """Return an address for each peer, which names its kind and the location."""
    return {
        location.number: {
            peer: [f"{peer.kind}{'+tls' if peer.is_tls else ''}:{location.number}"] for peer in location.peers
        }
        for location in found.locations
    }


def prove(text: str, version: str, **settings: Any) -> Proof:
    """Prove a text on this machine's own addresses, which takes a fraction of a second."""
    return runner.prove(model(text), nginx_programs()[version], ProofSettings(lab="loopback", **settings))


def prove_last(text: str, version: str, **settings: Any) -> LocationResult:
    """Prove a text and return the result of its last location."""
    found = prove(text, version, **settings)
    assert found.rejection is None, found.rejection
    return found.results[-1]


def bench_prove(*arguments: str | Path, code: int | None = 0) -> dict[str, Any]:
    """Run `bench prove --format json` and return what it prints; `code` None: success or not."""
    done = bench_process.run("prove", "--format", "json", *arguments)
    assert done.returncode in ((0, 1) if code is None else (code,)), (done.stdout, done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
