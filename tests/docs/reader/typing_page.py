"""Types the commands of a page on a machine that has what the page speaks of."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from docs.site import markdown
from docs.site.pages import ROOT
from tests import needs, tls_files
from tests.docs.reader import expected, machine
from tests.docs.reader.machine import Going, Machine, Outcome
from tests.docs.reader.pages import TEXTS, Command

TIMEOUT_S = 200.0
"""Only a command that hangs takes so long."""
_IN_CLONE = re.compile(r"make |pip install|python3? -m (backends|proxy)|\.venv/|bench (list|show)")
_KEPT = {".ci", ".github", ".gitignore", ".importlinter", ".pre-commit-hooks.yaml"}
_FILES = {
    "status.conf": """
user root;
pid /run/nginx.pid;
events {}
http {
    access_log /var/log/nginx/access.log;
    server {
        listen 80;
        listen 8080;
        location = /status { stub_status; }
        location = /nginx_status { stub_status; }
    }
}
""",
    "haproxy.cfg": """
global
    stats socket /run/haproxy/admin.sock
""",
    "envoy.yaml": """
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: 9901}}
""",
}
"""What counts requests: nginx with the pages of its counters, HAProxy with its socket, Envoy's interface."""
_RUNS = {"RUN": "reference", "OLD": "reference", "NEW": "reference"}
"""The names that stand for runs of the reader's."""


def lacks(line: str) -> list[str]:
    """Return the programs that a command needs and that are not here."""
    named = [name for pattern, names in expected.NEEDS.items() if re.search(pattern, line) for name in names]
    return [name for name in named if not needs.here(name)]


def type_page(commands: Sequence[Command]) -> dict[Command, Outcome]:
    """Run commands of one page in their order, without those that need what is not here."""
    outcomes: dict[Command, Outcome] = {}
    going: dict[str, tuple[Command, Going]] = {}
    has_others = any(re.search(r"cluster|dask", each.line) for each in commands)
    with machine.running(has_others=has_others) as place:
        _prepare(place, commands)
        for command in commands:
            if lacks(command.line):
                continue
            for pattern, line in expected.BEFORE.items():
                if re.search(pattern, command.line):
                    assert place.run(line, TIMEOUT_S).status == 0, line
            with _served(place, command.line):
                if (kind := _going_kind(command.line)) is not None:
                    _end(place, going, [kind], outcomes)
                    going[kind] = (command, place.start(command.line, expected.GOES_ON[kind]))
                elif command.line in expected.ON_TERMINAL:
                    outcomes[command] = place.show(
                        command.line, expected.ON_TERMINAL[command.line], TIMEOUT_S
                    )
                else:
                    outcomes[command] = place.run(command.line, TIMEOUT_S)
            if command in outcomes and outcomes[command].status is None:
                return outcomes  # its shell goes on waiting for it
        _end(place, going, reversed(going), outcomes)
    return outcomes


def _going_kind(line: str) -> str | None:
    """Return the pattern in GOES_ON of a command that goes on; None of one that ends by itself."""
    return next((pattern for pattern in expected.GOES_ON if re.match(pattern, line)), None)


def _end(
    place: Machine,
    going: dict[str, tuple[Command, Going]],
    kinds: Iterable[str],
    outcomes: dict[Command, Outcome],
) -> None:
    for kind in list(kinds):
        if kind in going:
            command, process = going.pop(kind)
            outcomes[command] = place.end(process)


@contextmanager
def _served(place: Machine, line: str) -> Iterator[None]:
    """Run for a block what a command talks to."""
    with ExitStack() as ending:
        for service in expected.SERVICES:
            if re.search(service.pattern, line) and all(map(needs.here, service.needs)):
                ending.callback(place.end, place.start(service.line, service.is_ready))
        yield


# -- what the page speaks of


def _prepare(place: Machine, commands: Sequence[Command]) -> None:
    """Put into the folder of a page what its commands name, and no command makes."""
    lines = "\n".join(each.line for each in commands)
    home, etc = place.home, place.home.parent / "etc"
    if _IN_CLONE.search(lines):
        _clone(home)
    for name, run in _RUNS.items():
        if re.search(rf"\b{name}\b", lines):
            shutil.copytree(ROOT / "results" / run, home / name)
    text = (ROOT / "nginx" / "conf" / "article.conf").read_text(encoding="utf-8")
    if "10.0.0.1:8080" in lines:
        text = text.replace("127.0.0.1:9000", "10.0.0.1:8080")
    for folder in (home, etc):
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
    tls_files.write(home)
    (home / "ca.pem").write_text(tls_files.certificate().authority)
    for name, text in _FILES.items():
        (home / name).write_text(text)
    for block in markdown.find_blocks(TEXTS[commands[0].page]):
        if block.text.startswith("10.0.0.11 "):
            (home / "hosts.txt").write_text(block.text)
    for environment in re.findall(r"python3 -m venv (\S+)", lines):
        _share_packages(place, environment)


def _share_packages(place: Machine, environment: str) -> None:
    """Have an environment that a command is to make find our packages: there is no network to load them from.

    What is installed into it comes first, and ours is not among them.
    """
    folder = f"{environment}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages = sysconfig.get_path("purelib")
    line = f"mkdir -p {folder} && echo {packages} > {folder}/packages.pth"
    assert place.run(line, TIMEOUT_S).status == 0


def _clone(home: Path) -> None:
    """Make the folder a clone, with an environment in which nothing is left to install."""
    shutil.copytree(ROOT, home, ignore=_ignore, symlinks=True, dirs_exist_ok=True)
    environment = Path(sys.prefix)
    own = home / ".venv"
    own.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (own / name).symlink_to(environment / name)
    for name in (".run", ".dev", ".proxies", ".perf"):  # what make looks at
        (own / name).touch()


def _ignore(folder: str, names: list[str]) -> set[str]:
    """Return what git does not keep (.gitignore)."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")(folder, names)
    if Path(folder) == ROOT / "results":
        ignored |= {name for name in names if (ROOT / "results" / name).is_dir() and "reference" not in name}
    return ignored - _KEPT
