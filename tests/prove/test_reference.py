"""The proof that the documents quote is what `bench prove` finds today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.subjects import programs
from tests import bench_process, needs

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads((ROOT / "results" / "reference-prove" / "prove.json").read_text(encoding="utf-8"))


def test_the_reference_is_what_traffic_shows(tmp_path: Path) -> None:
    needs.need("nginx@system")
    (expected,) = REFERENCE["proofs"]
    if programs.find("nginx", "system").version != expected["version"]:
        needs.skip(f"nginx {expected['version']}", "apt install nginx on Debian 12")
    file = tmp_path / REFERENCE["file"]
    file.parent.mkdir(parents=True)
    shutil.copy(ROOT / REFERENCE["file"], file)
    done = bench_process.run(
        "prove", REFERENCE["file"], "--program", "system", "--format", "json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (proof,) = json.loads(done.stdout)["proofs"]
    assert (proof["locations"], proof["witnesses"]) == (expected["locations"], expected["witnesses"])
