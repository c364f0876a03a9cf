"""What a confined thread's programs may write and whom they may reach, as the kernel has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.lab import landlock
from tests import needs

ROOT = Path(__file__).parents[2]
needs_landlock = needs.unless(landlock.abi_version() > 0, "Landlock", "Linux 5.13 or newer")

# Within a process of its own: no process leaves its restrictions.
TRY = """
import json, socket, subprocess, sys
from pathlib import Path
from bench.lab.landlock import restrict
inside, outside, allowed, forbidden = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
is_whole = restrict(inside, [allowed], [allowed])

def attempt(act):
    try:
        act()
        return True
    except PermissionError:
        return False

def bound(port):
    with socket.socket() as one:
        one.bind(("127.0.0.1", port))

def connected(port):
    with socket.socket() as one:
        try:
            one.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            pass

shell = f"echo x > {outside}/child 2>/dev/null; echo x > {inside}/child"
subprocess.run(["sh", "-c", shell], check=False)
print(json.dumps({
    "whole": is_whole,
    "inside": attempt(lambda: (inside / "a").write_text("x")),
    "outside": attempt(lambda: (outside / "a").write_text("x")),
    "existing": attempt(lambda: (outside / "existing").write_text("x")),
    "made": attempt(lambda: (outside / "folder").mkdir()),
    "removed": attempt(lambda: (outside / "existing").unlink()),
    "null": attempt(lambda: Path("/dev/null").write_text("x")),
    "read": attempt(lambda: (outside / "existing").read_text()),
    "bind": [attempt(lambda: bound(port)) for port in (allowed, forbidden)],
    "connect": [attempt(lambda: connected(port)) for port in (allowed, forbidden)],
    "children": [(inside / "child").exists(), (outside / "child").exists()],
}))
"""


@needs_landlock
def test_a_confined_program(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "existing").write_text("before")
    argv = [sys.executable, "-c", TRY, str(inside), str(outside), "18101", "18102"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    ports = [True, not seen.pop("whole")]
    assert seen == {
        "inside": True,
        "outside": False,
        "existing": False,
        "made": False,
        "removed": False,
        "null": True,
        "read": True,
        "bind": ports,
        "connect": ports,
        "children": [True, False],
    }
    assert (outside / "existing").read_text() == "before"
