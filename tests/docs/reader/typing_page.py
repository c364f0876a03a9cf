"""Types the commands of a page on a machine that has what the page speaks of."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from docs.site import markdown
from docs.site.pages import ROOT
from tests import needs, tls_files
from tests.docs.reader import expected, machine
from tests.docs.reader.machine import Going, Machine, Outcome
from tests.docs.reader.pages import TEXTS, Command

TIMEOUT_S = 400.0
"""Only a command that hangs takes so long."""
_IN_CLONE = re.compile(
    r"make |pip install|python3? -m (backends|proxy)|\.venv/|bench (list|show)|nginx/conf/"
)
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
    if "pip install" in line:
        named += [name for name in ("setuptools",) if importlib.util.find_spec(name) is None]
    return [name for name in named if not needs.here(name)]


def type_page(commands: Sequence[Command]) -> dict[Command, Outcome]:
    """Run commands of one page in their order, without those that need what is not here."""
    has_others = any(re.search(r"cluster|dask", each.line) for each in commands)
    with machine.running(has_others=has_others) as place:
        _prepare(place, commands)
        reader = _Reader(place)
        for command in commands:
            if not lacks(command.line):
                reader.type(command)
            if reader.is_stuck:
                return reader.outcomes
        reader.finish()
    return reader.outcomes


class _Reader:
    """Types command after command, and ends what goes on."""

    def __init__(self, place: Machine) -> None:
        self.outcomes: dict[Command, Outcome] = {}
        self._place = place
        self._going: dict[str, ExitStack] = {}

    @property
    def is_stuck(self) -> bool:
        """Return whether the last command never ended: the shell goes on waiting for it."""
        return any(each.status is None for each in self.outcomes.values())

    def type(self, command: Command) -> None:
        """Run a command, beside what it talks to."""
        line, place = command.line, self._place
        kind = self._end_kind_of(line)
        for pattern, prepared in expected.BEFORE.items():
            if re.search(pattern, line):
                done = place.run(prepared, TIMEOUT_S)
                assert done.status == 0, done.stderr
        if installing := re.match(r"(\S+)/bin/pip install ", line):
            _share_packages(place, installing[1])
        with ExitStack() as ending:
            for service in expected.SERVICES:
                if re.search(service.pattern, line):
                    self._end_kind_of(service.line)
                    ending.callback(place.end, place.start(service.line, service.is_ready))
            if kind is not None:
                going = place.start(line, expected.GOES_ON[kind])
                ending.callback(self._end, command, going)
                self._going[kind] = ending.pop_all()
            elif line in expected.ON_TERMINAL:
                self.outcomes[command] = place.show(line, expected.ON_TERMINAL[line], TIMEOUT_S)
            else:
                self.outcomes[command] = place.run(line, TIMEOUT_S)

    def _end_kind_of(self, line: str) -> str | None:
        """Return the kind of a line that goes on, once the last one of that kind has been ended."""
        kind = next((pattern for pattern in expected.GOES_ON if re.match(pattern, line)), None)
        for ended in filter(None, (kind, expected.ENDS.get(kind or ""))):
            if ended in self._going:
                self._going.pop(ended).close()
        return kind

    def finish(self) -> None:
        """End what still goes on, the last first."""
        for ending in reversed(self._going.values()):
            ending.close()

    def _end(self, command: Command, going: Going) -> None:
        self.outcomes[command] = self._place.end(going)


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


def _share_packages(place: Machine, environment: str) -> None:
    """Have an environment that a command made find our packages: there is no network to load them from.

    What is installed into it comes first, and ours is not among them.
    """
    if (found := importlib.util.find_spec("setuptools")) is not None and found.origin is not None:
        # That of a new environment is older than what pyproject.toml asks for.
        for each in Path(found.origin).parents[1].glob("setuptools*"):
            (place.home.parent / "packages" / each.name).symlink_to(each)
    folder = f"{environment}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    ours = sorted({path for path in sys.path if path.endswith("site-packages")})
    line = f"printf '%s\\n' {shlex.join(ours)} > {folder}/packages.pth"
    assert place.run(line, TIMEOUT_S).status == 0


def _clone(home: Path) -> None:
    """Make the folder a clone, with an environment in which nothing is left to install."""
    shutil.copytree(ROOT, home, ignore=_ignore, symlinks=True, dirs_exist_ok=True)
    environment = Path(sys.prefix)
    own = home / ".venv"
    own.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (own / name).symlink_to(environment / name)
    for name in (".run", ".dev", ".proxies", ".tour", ".perf"):  # what make looks at
        (own / name).touch()


def _ignore(folder: str, names: list[str]) -> set[str]:
    """Return what git does not keep (.gitignore)."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")(folder, names)
    if Path(folder) == ROOT / "results":
        ignored |= {name for name in names if (ROOT / "results" / name).is_dir() and "reference" not in name}
    return ignored - _KEPT
