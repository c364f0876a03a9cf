"""One nginx on a host of the lab: its scratch folder, what it says to a configuration, its start."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

import trustme

from bench.errors import RoleError
from bench.lab import Host
from bench.prove.rewrite import CERTIFICATE, KEY, ROOT
from bench.subjects.launch import LaunchedProxy, LaunchSpec, launch
from bench.subjects.programs import Program
from nginx import versions
from nginx.versions import Version

_CHECK_TIMEOUT_S = 30.0
_ERROR_LOG_FLAG = Version(1, 19, 5)
_NOBODY = "nobody"


def furnish(folder: Path) -> None:
    """Puts an empty root and a throw-away certificate into the folder; workers may be another user's."""
    for each in (folder, folder.parent):
        each.chmod(0o711)
    (folder / ROOT).mkdir()
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1", "bench.example")
    issued.private_key_pem.write_to_path(folder / KEY)
    (folder / CERTIFICATE).write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))


def user() -> tuple[str, ...]:
    """Returns the user and group of the workers, where the master is root and may choose."""
    if os.geteuid() != 0:
        return ()
    try:
        entry = pwd.getpwnam(_NOBODY)
        group = grp.getgrgid(entry.pw_gid).gr_name
    except KeyError:
        return ("root",)  # a system without that user
    mapped = Path("/proc/self/uid_map")
    lines = mapped.read_text("ascii").splitlines() if mapped.exists() else ["0 0 4294967295"]
    if not any(_maps(line, entry.pw_uid) for line in lines):
        return ("root",)  # the only user of this namespace
    return (_NOBODY, group)


def _maps(line: str, uid: int) -> bool:
    first, _, count = map(int, line.split())  # user_namespaces(7)
    return first <= uid < first + count


@dataclass(frozen=True, slots=True)
class Nginx:
    """One nginx program with its scratch folder."""

    program: Program
    host: Host
    folder: Path

    @property
    def _arguments(self) -> list[str]:
        arguments = ["-p", f"{self.folder}/", "-c", str(self.folder / "nginx.conf")]
        if versions.parse(self.program.version) >= _ERROR_LOG_FLAG:
            arguments += ["-e", "stderr"]  # else it opens the system's log before it reads where to write
        return arguments

    def check(self, text: str) -> str | None:
        """Returns what `nginx -t` says against a configuration, or None."""
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8", errors="surrogateescape")
        process = self.host.start(
            [self.program.path, "-t", "-q", *self._arguments], name="nginx -t", control=False
        )
        try:
            code = process.wait(_CHECK_TIMEOUT_S)
        except RoleError:
            process.kill()
            raise
        if code == 0:
            return None
        said = [line for line in process.stderr_lines if "[emerg]" in line]
        return said[0] if said else process.exit_message or f"nginx -t ended with exit code {code}"

    def start(self, listen: str) -> LaunchedProxy:
        """Starts it with the configuration that was checked last."""
        recipe = LaunchSpec(self.program, listen, {}, ["-t", "-q", *self._arguments], self._arguments)
        return launch(self.host, None, recipe)
