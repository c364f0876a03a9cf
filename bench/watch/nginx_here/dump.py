"""Let a running nginx print its configuration (`nginx -T`), where the user allows it: it opens its logs.

It runs the program of the master, as this user, on this host: so not that of a container, nor of another
user, who could name any program and any module to load.
"""

import os
import re
import stat
import subprocess

from bench.watch.nginx_here.masters import NginxMaster
from bench.watch.nginx_here.roots import ProcessRoot
from nginx.loading.dumps import split_dumps

_TIMEOUT_S = 10.0
_ERROR = re.compile(r"\[emerg\] (?:\d+#\d+: )?(.+)")


class DumpError(Exception):
    """There is no dump; half a sentence says why."""


def dumped_texts(master: NginxMaster, root: ProcessRoot, conf: str) -> dict[str, str]:
    """Return the texts that `nginx -T` prints by path, the main file first; DumpError where it does not."""
    program = _program(master, root, conf)
    command = [program, "-T", "-q", *master.arguments.to_list()]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
            cwd=root.cwd,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DumpError(f"nginx -T does not run: {error}") from error
    dumps = split_dumps(done.stdout.decode("utf-8", "replace"))
    if done.returncode != 0 or not dumps:
        said = _ERROR.search(done.stderr.decode("utf-8", "replace"))
        raise DumpError(f"nginx -T fails: {said[1] if said else f'exit code {done.returncode}'}")
    return dumps[0]


def _program(master: NginxMaster, root: ProcessRoot, conf: str) -> str:
    """Return the path of the program; DumpError where it is not to be run."""
    if not root.is_same_file(conf):
        raise DumpError("nginx -T is not run: it would read another file than nginx in its container")
    if root.reader.uid not in {0, os.geteuid()}:
        raise DumpError("nginx -T is not run: its master belongs to another user")
    try:
        program = os.readlink(f"/proc/{master.pid}/exe")
        status = os.stat(program)
    except OSError as error:
        raise DumpError(f"nginx -T is not run: its program cannot be read: {error.strerror}") from error
    is_safe = status.st_uid in {0, os.geteuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not is_safe:
        raise DumpError(f"nginx -T is not run: others may write {program}")
    return program
