"""Say whether a newer nginx than the newest known can be installed as a wheel: `make nginx-versions`.

It asks the package index through pip, and so is no test. Exit 1 where nginx/versions.py lacks a release.
"""

from __future__ import annotations

import re
import subprocess
import sys

from bench.subjects.programs import SOURCES
from nginx import versions
from nginx.versions import Version

WHEEL = str(SOURCES["nginx"].wheel)


def available(printed: str) -> list[Version]:
    """Return the versions that `pip index versions` names, the newest last."""
    line = re.search(r"^Available versions: (.+)$", printed, re.MULTILINE)
    words = line[1].split(",") if line is not None else []
    # A wheel may be built again: 1.31.3.post1 holds nginx 1.31.3.
    numbers = [re.match(r"\d+\.\d+\.\d+", word.strip()) for word in words]
    return sorted(versions.parse(match[0]) for match in numbers if match is not None)


def verdict(found: list[Version]) -> tuple[str, int]:
    """Return what to say about the wheels that there are, and the exit code."""
    if not found:
        return f"pip names no version of {WHEEL}: is the package index reachable?", 3
    newest = found[-1]
    known = next((each for each in versions.RELEASES if each.version == newest), None)
    if newest > versions.NEWEST:
        return f"{WHEEL} {newest} is newer than {versions.NEWEST}: read its CHANGES, add it to RELEASES", 1
    if known is None:
        return f"{WHEEL} {newest} is not newer than {versions.NEWEST}, but RELEASES lacks it: add it", 1
    return f"the newest {WHEEL} is {newest} ({known.source}); the newest known is {versions.NEWEST}", 0


def main() -> None:
    command = [sys.executable, "-m", "pip", "index", "versions", WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said, code = verdict(available(done.stdout))
    sys.stdout.write(f"{said}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
