"""Check and traffic agree on configurations of the real world if they are at hand, repaired ones too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import nginx
from bench.prove import runner
from bench.prove.testbed import ProofSettings
from nginx import check
from nginx.fix import repair as fix
from tests import needs
from tests.proving import bench_prove, every_version, needs_nginx, nginx_programs

CONF = Path(nginx.__file__).parent / "conf"
CORPUS = os.environ.get("BENCH_CORPUS")
pytestmark = [needs_nginx, pytest.mark.long]


def entries() -> list[dict[str, Any]]:
    if CORPUS is None:
        return []
    return list(json.loads((Path(CORPUS) / "index.json").read_text())["files"])


def proven(*arguments: str | Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the proven locations by line, for each version that does not reject the configuration."""
    answer = bench_prove(*arguments, code=None)
    for proof in answer["proofs"]:
        if proof["rejected"] is None:
            assert proof["witnesses"]["agree"]
            assert [each["disagreement"] for each in proof["locations"] if each["disagreement"]] == []
            assert [each["unreached"] for each in proof["locations"] if each["unreached"]] == []
    return {
        proof["version"]: {location["line"]: location for location in proof["locations"]}
        for proof in answer["proofs"]
        if proof["rejected"] is None
    }


@needs.unless(bool(entries()), "BENCH_CORPUS")
@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["file"])
def test_corpus(entry: dict[str, Any]) -> None:
    folder = Path(CORPUS or "")
    handed_over = [flag for name in entry.get("includes", []) for flag in ("--with", folder / name)]
    found = proven(folder / entry["file"], *handed_over)
    assert set(found) == set(nginx_programs())
    for version, locations in found.items():
        assert sorted(locations) == [location["line"] for location in entry["locations"]]
        if version.startswith("1.22."):
            expected = {each["line"]: each["verdict_1_22"] for each in entry["locations"]}
            assert {line: each["measured"]["verdict"] for line, each in locations.items()} == expected


def configurations() -> list[tuple[Path, list[Path]]]:
    folder = Path(CORPUS or "")
    found = [(folder / e["file"], [folder / name for name in e.get("includes", [])]) for e in entries()]
    return [*((path, []) for path in sorted(CONF.glob("*.conf"))), *found]


@every_version
@pytest.mark.parametrize(
    ("path", "handed_over"), configurations(), ids=lambda value: getattr(value, "name", "")
)
def test_what_fix_repairs_reuses(path: Path, handed_over: list[Path], version: str) -> None:
    repair = fix.fix(path, [version], extra_files=handed_over)
    if not repair.after:
        return  # nothing to mend, or nothing that can be
    before = check.load_model(path, extra_files=handed_over)
    after = check.load_model(path, extra_files=handed_over, replaced=repair.after)
    found = runner.prove(after, nginx_programs()[version], ProofSettings(lab="loopback"))
    assert found.rejection is None, found.rejection
    repaired = [
        result
        for old, result in zip(before.passes, found.results, strict=True)
        if old.directive.place in repair.repaired
    ]
    assert repaired
    assert {result.measured and result.measured.verdict for result in repaired} == {"reused"}
