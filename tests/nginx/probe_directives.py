"""Measure which directives an nginx accepts, where, with how many arguments, and whether twice.

`make directives` writes nginx/conf/directives.txt with it: `nginx -t` reads a line or two for each
name that the programs hold. It takes minutes, and is no test.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.subjects import programs

HTTP = "pid p; events {} http { @ }"
STREAM = "pid p; events {} stream { @ }"


def inside(outer: str, block: str) -> str:
    return outer.replace("@", block)


BLOCKS = {
    "main": "pid p; events {} @",
    "events": "pid p; events { @ }",
    "http": HTTP,
    "upstream": inside(HTTP, "upstream u { server 127.0.0.1:1; @ }"),
    "server": inside(HTTP, "server { @ }"),
    "location": inside(HTTP, "server { location / { @ } }"),
    "if in server": inside(HTTP, "server { if ($uri) { @ } }"),
    "if in location": inside(HTTP, "server { location / { if ($uri) { @ } } }"),
    "limit_except": inside(HTTP, "server { location / { limit_except GET { @ } } }"),
    "stream": STREAM,
    "upstream in stream": inside(STREAM, "upstream u { server 127.0.0.1:1; @ }"),
    "server in stream": inside(STREAM, "server { @ }"),
}
MOST_ARGUMENTS = 8
HEAD = "# NAME KIND ONCE BLOCK [PLACES=ARGUMENTS]...; measured by `make directives` with nginx"
# One of these is a right value of nearly each directive that takes one or two arguments.
VALUES = {
    0: ("",),
    1: (
        *("on", "off", "1", "10", "1s", "1k", "64k", "a", "/a", "$uri", "none", "any", "1.1", "auto", "200"),
        *("error", "127.0.0.1", "127.0.0.1:1", "http://127.0.0.1:1"),
    ),
    2: ("a b", "1 1", "4 8k", "1s 1s", "$uri 1", "on on", "/a b", "a 64k"),
}


@dataclass
class Probed:
    """What one program, or several, do with a directive."""

    counts: dict[str, set[int]] = field(default_factory=dict)
    """The numbers of arguments that are accepted, by block."""
    is_block: bool = False
    kind: str = "-"
    once: bool = False

    def merge(self, other: Probed) -> None:
        for block, counts in other.counts.items():
            self.counts.setdefault(block, set()).update(counts)
        self.kind = self.kind if self.kind == other.kind else "-"
        self.once = self.once and other.once

    def __str__(self) -> str:
        by_counts: dict[str, list[str]] = {}
        for block, counts in self.counts.items():
            by_counts.setdefault(spans(counts), []).append(block.replace(" ", "-"))
        blocks = [f"{','.join(names)}={counts}" for counts, names in by_counts.items()]
        return " ".join([self.kind, "once" if self.once else "-", "block" if self.is_block else "-", *blocks])


def spans(counts: Iterable[int]) -> str:
    """Return numbers as `0`, `1-2` or `1+`, where the last means that there is no end."""
    numbers = sorted(counts)
    if numbers and numbers[-1] == MOST_ARGUMENTS:
        return f"{numbers[0]}+"
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}" if numbers else "none"


class Prober:
    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.numbers = count()

    def error(self, text: str) -> str:
        path = self.folder / f"{next(self.numbers)}.conf"
        path.write_text(text)
        arguments = [self.program, "-t", "-q", "-p", str(self.folder), "-c", str(path), "-e", "stderr"]
        done = subprocess.run(arguments, capture_output=True, check=False)
        path.unlink()
        return done.stderr.decode("latin-1")

    def names(self) -> list[str]:
        raw = Path(self.program).read_bytes()
        found = {each.decode() for each in re.findall(rb"([a-z][a-z0-9_]{1,40})\0", raw)}
        # A linker keeps a text that ends another one only there.
        found |= {each[at:] for each in found for at in range(1, len(each) - 1) if len(each) < 24}
        wanted = sorted(each for each in found if each[0].isalpha() and len(each) > 1)
        return [name for name in wanted if "unknown directive" not in self.error(f"{name};")]

    def probe(self, name: str) -> tuple[str, Probed]:
        found = Probed()
        for block, around in BLOCKS.items():
            error = self.error(inside(around, f"{name};"))
            if "not allowed here" not in error and "unknown directive" not in error:
                found.counts[block] = self._counts(name, around, found)
        if not found.is_block and found.counts:
            self._values(name, found)
        return name, found

    def _counts(self, name: str, around: str, found: Probed) -> set[int]:
        accepted = set()
        for number in range(MOST_ARGUMENTS + 1):
            words = " ".join([name, *["a"] * number])
            error = self.error(inside(around, f"{words};"))
            if "has no opening" in error:
                found.is_block = True
                error = self.error(inside(around, f"{words} {{}}"))
            if "invalid number of arguments" not in error:
                accepted.add(number)
        return accepted

    def _values(self, name: str, found: Probed) -> None:
        around = BLOCKS[next(iter(found.counts))]
        counts = found.counts[next(iter(found.counts))]
        if 1 in counts:
            found.kind = self._kind(name, around)
        values = [value for number in counts & VALUES.keys() for value in VALUES[number]]
        repeated = [self.error(inside(around, f"{name} {value}; {name} {value};")) for value in values]
        found.once = any(f'"{name}" directive is duplicate' in error for error in repeated) and all(
            "[emerg]" in error for error in repeated
        )

    def _kind(self, name: str, around: str) -> str:
        def refused(value: str, how: str) -> bool:
            return how in self.error(inside(around, f"{name} {value};"))

        if refused("zz", 'it must be "on" or "off"'):
            return "flag"
        if not all(refused(word, "directive invalid ") for word in ("zz", "off", "max", "-1")):
            return "-"
        if refused("zz", "directive invalid number"):
            return "number"
        is_size, is_time = (not refused(value, "directive invalid value") for value in ("64k", "1h"))
        return {(True, False): "size", (False, True): "time"}.get((is_size, is_time), "-")


def main() -> None:
    found: dict[str, Probed] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        for program in programs.find_all("nginx"):
            prober = Prober(program.path, Path(folder))
            for name, probed in threads.map(prober.probe, prober.names()):
                if name in found:
                    found[name].merge(probed)
                elif probed.counts:
                    found[name] = probed
    versions = " and ".join(program.version for program in programs.find_all("nginx"))
    sys.stdout.write(f"{HEAD} {versions}\n")
    sys.stdout.writelines(f"{name} {found[name]}\n" for name in sorted(found))


if __name__ == "__main__":
    main()
