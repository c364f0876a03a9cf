"""nginx on this host, found and judged: real masters, of other prefixes, roots and users, after changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.watch.model import Direction, PeerHop
from bench.watch.nginx_here import NginxHere, find_nginx, roots
from bench.watch.nginx_here.masters import find_masters
from tests import needs
from tests.nginx import real

pytestmark = [needs.on_linux, needs.program("nginx@system")]
_PATIENCE_S = 60
_NOBODY = 65534
SHORT = """
upstream app { server 127.0.0.1:9; }
server { listen SOCKET; server_name shop.example;
  location / { proxy_pass http://app; }
  location /kept { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
upstream kept { server 127.0.0.1:10; keepalive 8; }
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that nobody may use too; each start of pytest closes its own folders to others."""
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        yield folder


def configuration(folder: Path, http: str) -> str:
    """Return a whole configuration with all of its files in a folder."""
    return (
        f"pid {folder}/pid; worker_processes 2; error_log stderr;\nevents {{}}\nhttp {{\n"
        f"log_format up '$upstream_addr $upstream_status'; access_log {folder}/up.log up;\n"
        f"{real.temporary(folder)}{http.replace('SOCKET', f'unix:{folder}/nginx.sock')}\n}}\n"
    )


@contextmanager
def started(command: list[str | Path], folder: Path, *, as_nobody: bool = False) -> Iterator[int]:
    """Start nginx; yields the pid of its master once it listens and has its workers."""
    user = _NOBODY if as_nobody and os.geteuid() == 0 else None
    with subprocess.Popen(
        command,
        cwd=folder,
        stderr=subprocess.PIPE,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    ) as process:
        try:
            wait_until(lambda: process.poll() is not None or _has_workers(process.pid))
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read().decode())
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def _has_workers(pid: int) -> bool:
    return [each.workers for each in find_masters([pid])] == [2]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.005)


def program() -> str:
    return str(shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/usr/bin"))


def found(pid: int, *, may_dump: bool = False) -> NginxHere:
    (here,) = find_nginx([pid], may_dump=may_dump)
    return here


def run_in(folder: Path, http: str = SHORT) -> list[str | Path]:
    """Write a configuration, and return the command that runs it."""
    (folder / "nginx.conf").write_text(configuration(folder, http))
    return [program(), "-p", folder, "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]


def test_a_location_stands_beside_its_hop(folder: Path) -> None:
    with started(run_in(folder), folder) as pid:
        here = found(pid)
    assert (here.pid, here.conf, here.workers) == (pid, f"{folder}/nginx.conf", 2)
    assert here.version is not None
    assert here.notes == ()
    (short,) = here.locations_of(PeerHop(Direction.OUTGOING, "127.0.0.1", 9))
    assert short.heading == f"shop.example:unix:{folder}/nginx.sock location /"
    assert (short.verdict, short.is_failing) == ("not reused", True)
    assert short.place == f"{folder}/nginx.conf:{_line(folder, 'proxy_pass http://app')}"
    for change in ("keepalive 32", "proxy_http_version 1.1", 'proxy_set_header Connection ""'):
        assert change in short.fix
    (kept,) = here.locations_of(PeerHop(Direction.OUTGOING, "127.0.0.1", 10))
    assert (kept.is_failing, kept.fix) == (False, "")
    assert here.locations_of(PeerHop(Direction.OUTGOING, "192.0.2.1", 9)) == ()
    assert here.locations_of(PeerHop(Direction.INCOMING, "127.0.0.1", 9)) == ()
    assert here.log_formats == {f"{folder}/up.log": "$upstream_addr $upstream_status"}
    assert json.loads(json.dumps(here.to_json()))["locations"][0]["place"] == short.place


def _line(folder: Path, text: str) -> int:
    lines = (folder / "nginx.conf").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_it_is_found_by_a_worker_and_by_no_other_process(folder: Path) -> None:
    with started(run_in(folder), folder) as pid:
        worker, _ = real.children(folder)
        assert [each.pid for each in find_nginx([worker])] == [pid]
        assert find_nginx([os.getpid()]) == ()
        assert pid in [each.pid for each in find_nginx()]
        own = os.stat("/proc/self/ns/net").st_ino
        assert [each.pid for each in find_nginx([pid], own)] == [pid]
        assert find_nginx([pid], own + 1) == ()
    assert find_nginx([pid]) == ()


def test_a_relative_prefix_begins_where_nginx_was_started(folder: Path) -> None:
    (folder / "web/conf.d").mkdir(parents=True)
    (folder / "web/nginx.conf").write_text(configuration(folder, "include conf.d/*.conf;"))
    site = f"server {{ listen unix:{folder}/nginx.sock; location / {{ proxy_pass http://127.0.0.1:9; }} }}"
    (folder / "web/conf.d/site.conf").write_text(site)
    command: list[str | Path] = [
        program(),
        "-c",
        "nginx.conf",
        "-p",
        "web",
        "-e",
        "stderr",
        "-g",
        "daemon off;",
    ]
    with started(command, folder) as pid:
        here = found(pid)
    assert here.conf == f"{folder}/web/nginx.conf"
    assert [each.place for each in here.locations] == [f"{folder}/web/conf.d/site.conf:1"]


def test_without_a_master(folder: Path) -> None:
    (folder / "nginx.conf").write_text(configuration(folder, SHORT))
    command: list[str | Path] = [
        program(),
        "-p",
        folder,
        "-c",
        "nginx.conf",
        "-e",
        "stderr",
        "-g",
        "daemon off; master_process off;",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until((folder / "nginx.sock").exists)
            here = found(process.pid)
        finally:
            process.terminate()
    assert here.workers == 1
    assert len(here.locations) == 2


def test_a_file_that_changed_since_is_told_until_the_reload(folder: Path) -> None:
    with started(run_in(folder), folder) as pid:
        assert found(pid).notes == ()
        path = folder / "nginx.conf"

        def is_newer() -> bool:
            path.write_text(configuration(folder, SHORT.replace("location /kept", "location /changed")))
            return found(pid).notes != ()

        wait_until(is_newer)
        (note,) = found(pid).notes
        assert note == (
            f"nginx {pid}: {path} changed after nginx read its files: what runs may differ until a reload"
        )
        assert any("/changed" in each.heading for each in found(pid).locations)
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: found(pid).notes == () and found(pid).workers == 2)


def test_a_file_that_its_user_may_not_read_is_told(folder: Path) -> None:
    command = run_in(folder, f"{SHORT} include {folder}/more.conf;")
    more = folder / "more.conf"
    more.write_text(f"server {{ listen unix:{folder}/more.sock; }}\n")
    with started(command, folder, as_nobody=True) as pid:
        more.chmod(0)
        here = found(pid)
    denied = f"nginx {pid}: {more} cannot be read: Permission denied"
    assert here.notes[0].removesuffix("; root may read it") == denied
    assert len(here.locations) == 2


def test_a_configuration_that_is_gone(folder: Path) -> None:
    with started(run_in(folder), folder) as pid:
        (folder / "nginx.conf").unlink()
        here = found(pid)
    assert (here.locations, here.findings) == ((), ())
    assert here.notes == (f"nginx {pid}: {folder}/nginx.conf cannot be read: No such file or directory",)


def test_targets_that_requests_decide_are_told(folder: Path) -> None:
    http = "server { listen SOCKET; location / { proxy_pass http://$host; } }"
    with started(run_in(folder, http), folder) as pid:
        (note,) = found(pid).notes
    assert "requests decide where" in note
    assert f"{folder}/nginx.conf:" in note


def test_a_root_that_may_not_be_seen_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(root: Path, reader: object) -> None:
        raise PermissionError

    monkeypatch.setattr(roots, "RootedFiles", refuse)
    monkeypatch.setattr(roots, "_mounts_own_root", lambda pid: False)
    with started(run_in(folder), folder) as pid:
        here = found(pid)
    assert here.locations == ()
    assert here.notes == (
        f"nginx {pid}: its files are not this user's to read, if it is in a container: root would see them",
    )


# With nginx -T


def test_a_dump_is_the_same(folder: Path) -> None:
    with started(run_in(folder), folder) as pid:
        read, dumped = found(pid), found(pid, may_dump=True)
    assert dumped.notes == ()
    assert dumped == read


def test_a_dump_that_fails_gives_way_to_the_files(folder: Path) -> None:
    with started(run_in(folder), folder) as pid:
        (folder / "nginx.conf").write_text(configuration(folder, f"{SHORT} nonsense on;"))
        here = found(pid, may_dump=True)
    assert 'nginx -T fails: unknown directive "nonsense" in ' in here.notes[0]
    assert here.notes[0].endswith("; its files were read instead")
    assert len(here.locations) == 2


def test_a_program_that_others_may_write_is_not_run(folder: Path) -> None:
    own = folder / "own-nginx"
    shutil.copy(program(), own)
    own.chmod(0o777)
    _, *arguments = run_in(folder)
    with started([own, *arguments], folder) as pid:
        here = found(pid, may_dump=True)
    assert here.notes == (
        f"nginx {pid}: nginx -T is not run: others may write {own}; its files were read instead",
    )
    assert len(here.locations) == 2


@needs.unless(os.geteuid() == 0, "root", "an ordinary user cannot run nginx as another one")
def test_the_program_of_another_user_is_not_run(folder: Path) -> None:
    with started(run_in(folder), folder, as_nobody=True) as pid:
        here = found(pid, may_dump=True)
    assert here.notes == (
        f"nginx {pid}: nginx -T is not run: its master belongs to another user; its files were read instead",
    )


# In a root of its own, as in a container

CONTAINER = """
set -e
mount --make-rprivate /
mkdir -p "$1/usr" "$1/etc/nginx" "$1/srv" "$1/tmp"
for each in bin sbin lib lib64; do [ -L "/$each" ] && ln -s "usr/$each" "$1/$each" || true; done
mount --rbind /usr "$1/usr"
cp /etc/passwd /etc/group "$1/etc/"
echo "192.0.2.7 inside.example" > "$1/etc/hosts"
exec chroot "$1" /usr/sbin/nginx -e stderr -g 'daemon off;'
"""


def _may_unshare() -> bool:
    command = ["unshare", *_unshare_flags(), "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, check=False).returncode == 0


def _unshare_flags() -> list[str]:
    return ["-m"] if os.geteuid() == 0 else ["-Urm"]


@needs.unless(os.path.islink("/lib") and _may_unshare(), "unshare", "apt install util-linux")
@needs.unless(program() == "/usr/sbin/nginx", "nginx@system")
def test_a_root_of_its_own(folder: Path) -> None:
    root = folder / "root"
    (root / "etc/nginx/sites-available").mkdir(parents=True)
    (root / "etc/nginx/sites-enabled").mkdir()
    http = f"include /etc/nginx/sites-enabled/*;\n{real.temporary(Path('/tmp'))}"
    (root / "etc/nginx/nginx.conf").write_text(
        "pid /pid; user root; worker_processes 2; error_log stderr;\nevents {}\nhttp { access_log /up.log; "
        f"{http} }}\n"
    )
    (root / "etc/nginx/sites-available/site").write_text(
        "server { listen unix:/nginx.sock; location / { proxy_pass http://inside.example:81; } }\n"
    )
    # From here this leads to another file, or to none.
    (root / "etc/nginx/sites-enabled/site").symlink_to("/etc/nginx/sites-available/site")
    command: list[str | Path] = ["unshare", *_unshare_flags(), "sh", "-c", CONTAINER, "sh", root]
    with started(command, root) as pid:
        here = found(pid, may_dump=True)
    assert here.conf == "/etc/nginx/nginx.conf"
    (location,) = here.locations
    assert location.place == "/etc/nginx/sites-enabled/site:1"
    assert location.reaches(PeerHop(Direction.OUTGOING, "192.0.2.7", 81))
    assert not location.reaches(PeerHop(Direction.OUTGOING, "192.0.2.8", 81))
    assert list(here.log_formats) == [f"/proc/{pid}/root/up.log"]
    assert "nginx -T is not run: it would read another file than nginx in its container" in here.notes[0]


def test_a_change_of_its_files_a_reload_and_its_end_are_noticed(folder: Path) -> None:
    def has_changed(here: NginxHere) -> bool:
        assert here.marks is not None
        return here.marks.have_changed

    with started(run_in(folder), folder) as pid:
        first = found(pid)
        assert not has_changed(first)
        path = folder / "nginx.conf"
        path.write_text(path.read_text() + "\n# another\n")
        assert has_changed(first)
        second = found(pid)
        assert not has_changed(second)
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: has_changed(second))
        wait_until(lambda: found(pid).workers == 2 and not has_changed(found(pid)))
        third = found(pid)
    assert has_changed(third)
