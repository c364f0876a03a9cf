"""OpenSSH's server on a port of 127.0.0.1, with keys of its own, for the user who runs the tests.

It has a mount namespace, in which that user has a shell and a home; nothing of the machine is changed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests import needs

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_INSIDE = """
import ctypes, os, sys
from bench.lab import syscalls

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000

def mount(source, target, kind, flags, data=None):
    syscalls.check(syscalls.libc.mount(source, target, kind, ctypes.c_ulong(flags), data), "mount")

folder, argv = sys.argv[1], sys.argv[2:]
if os.getuid() != 0:
    syscalls.enter_user_namespace()
syscalls.unshare(CLONE_NEWNS)
mount(None, b"/", None, MS_REC | MS_PRIVATE)
for name in ("passwd", "nsswitch.conf"):
    if os.path.exists(f"/etc/{name}"):
        mount(f"{folder}/{name}".encode(), f"/etc/{name}".encode(), None, MS_BIND)
if os.getuid() == 0:
    mount(b"none", b"/run", b"tmpfs", 0)
    os.mkdir("/run/sshd", 0o755)
os.execv(argv[0], argv)
"""
_CONFIG = """
ListenAddress 127.0.0.1:{port}
ListenAddress [::1]:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""

_PYTHON = f"""#!/bin/sh
TMPDIR='{{temporary}}' PYTHONPATH='{{paths}}' exec '{sys.executable}' "$@"
"""


@dataclass(frozen=True, slots=True)
class SshServer:
    """A server, and the home of a client who may log in."""

    port: int
    home: Path
    """HOME of the client: with its key, and with that of the server among the known hosts."""
    python: Path
    """A Python there that finds the packages."""
    temporary: Path
    """Where it puts temporary files."""
    process: subprocess.Popen[bytes]


@contextmanager
def started(folder: Path) -> Iterator[SshServer]:
    """Run a server until the end of the block; the test is skipped where there is none to run."""
    if SSHD is None:
        needs.skip("sshd")
    home = folder / "home"
    temporary = folder / "temporary"
    temporary.mkdir()
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    port = _free_port()
    host, mine = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    _write(folder / "host", host.export_private_key())
    _write(home / ".ssh" / "id_ed25519", mine.export_private_key())
    _write(folder / "authorized", mine.export_public_key())
    _write(
        home / ".ssh" / "known_hosts", f"[127.0.0.1]:{port},[::1]:{port} ".encode() + host.export_public_key()
    )
    _write(folder / "config", _CONFIG.format(port=port, folder=folder).encode())
    _write(folder / "passwd", _passwd(home).encode())
    # Other sources of users say that `nobody` is locked.
    _write(folder / "nsswitch.conf", b"passwd: files\nshadow: files\ngroup: files\nhosts: files\n")
    paths = os.pathsep.join([str(ROOT), *(each for each in sys.path if each)])
    _write(folder / "python", _PYTHON.format(temporary=temporary, paths=paths).encode())
    (folder / "python").chmod(0o700)
    argv = [sys.executable, "-c", _INSIDE, str(folder), SSHD, "-D", "-e", "-f", str(folder / "config")]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            _wait_until_it_listens(process, port)
            yield SshServer(port, home, folder / "python", temporary, process)
        finally:
            process.kill()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644 if path.name in ("passwd", "nsswitch.conf") else 0o600)


def _passwd(home: Path) -> str:
    """Return the users, ourselves with a shell and with `home`."""
    me = pwd.getpwuid(os.getuid())
    others = [each for each in pwd.getpwall() if each.pw_uid != me.pw_uid]
    rows = [[me.pw_name, "", me.pw_uid, me.pw_gid, "", home, "/bin/sh"], *map(list, others)]
    return "".join(":".join(map(str, row)) + "\n" for row in rows)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline_s:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    process.kill()
    assert process.stderr is not None
    raise AssertionError(process.stderr.read().decode())
