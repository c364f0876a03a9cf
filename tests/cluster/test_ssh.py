"""`bench cluster up --ssh` with OpenSSH's server: workers by line, nothing left there, one-line errors."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.cluster import hosts_file, up_ssh
from bench.cluster.up import Report
from bench.errors import LabError
from tests import bench_process, needs
from tests.cluster import clusters, ssh_server
from tests.cluster.ssh_server import SshServer

WORKERS = """
def facts(dask_worker):
    worker = dask_worker.state
    host = dask_worker.address.removeprefix("tls://").rsplit(":", 1)[0]
    return dask_worker.name, dict(worker.total_resources), worker.nthreads, host

with connect() as client:
    print(json.dumps(sorted(client.run(facts).values())))
"""
PID_OF = """
import os
with connect() as client:
    found = client.run(lambda dask_worker: (dask_worker.name, os.getpid()))
    print(json.dumps(dict(found.values())[sys.argv[1]]))
"""
HANG = """
import os, time
from distributed import fire_and_forget
with connect() as client:
    (pid,) = client.run(os.getpid).values()
    fire_and_forget(client.submit(time.sleep, 600))
    while not any(client.processing().values()):
        time.sleep(0.01)
    print(json.dumps(pid))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    clusters.need()
    needs.module("asyncssh", clusters.EXTRA)
    with ssh_server.started(tmp_path_factory.mktemp("ssh")) as running:
        yield running


OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + 42 * "A" + "B other\n"
"""A public key that is none of ours."""


def write_hosts(folder: Path, *lines: str) -> tuple[str, ...]:
    """Return the flags of a cluster over ssh with these machines."""
    (folder / "hosts.txt").write_text("".join(f"{line}\n" for line in lines))
    return ("--ssh", str(folder / "hosts.txt"), "--port", "0")


def is_gone(pid: int) -> bool:
    """Return whether a process ends within a minute."""
    deadline_s = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not Path(f"/proc/{pid}").exists()


def has_within(folder: Path, *, folders: int) -> bool:
    """Return whether so many folders are in `folder` within a minute."""
    deadline_s = time.monotonic() + 60
    while len(list(folder.iterdir())) != folders and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return len(list(folder.iterdir())) == folders


def is_empty(folder: Path) -> bool:
    """Return whether nothing is in `folder` within a minute."""
    return has_within(folder, folders=0)


def test_a_line_makes_a_worker_and_at_the_end_nothing_is_left_there(
    server: SshServer, tmp_path: Path
) -> None:
    there = f"127.0.0.1:{server.port} python={server.python}"
    flags = write_hosts(tmp_path, f"{there} name=a interface=lo", f"{there} proxy=2 # the other")
    with clusters.started(tmp_path, *flags, HOME=str(server.home)) as running:
        assert running.run(WORKERS) == [
            ["a", {"client": 1.0, "proxy": 1.0, "backend": 1.0}, 3, "127.0.0.1"],
            ["host-2", {"proxy": 2.0}, 2, "127.0.0.1"],
        ]
        files = list(server.temporary.rglob("*.pem"))
        assert {path.name for path in files} == {"ca.pem", "certificate.pem", "key.pem"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}
        os.kill(running.run(PID_OF, "a"), signal.SIGKILL)
        assert running.up.stderr is not None
        line = next(line for line in running.up.stderr if "ended" in line)
        # The shell there may say that it was killed.
        assert line.replace("; stderr: Killed", "") == "a (127.0.0.1): ended; 1 of 2 workers are left\n"
        assert has_within(server.temporary, folders=1)
    assert is_empty(server.temporary)


def test_ipv6_on_both_sides(server: SshServer, tmp_path: Path) -> None:
    if not has_ipv6():
        needs.skip("IPv6")
    flags = write_hosts(tmp_path, f"[::1]:{server.port} client=1 'python={server.python}'")
    with clusters.started(tmp_path, *flags, "--interface", "::1", HOME=str(server.home)) as running:
        assert running.run(WORKERS) == [["host-1", {"client": 1.0}, 1, "[::1]"]]
    assert is_empty(server.temporary)


def test_dask_says_nothing_of_a_folder_that_is_gone() -> None:
    needs.module("asyncssh", clusters.EXTRA)
    source = "import logging; from bench.cluster import ssh; from distributed import diskutils\n"
    source += "print(diskutils.logger.isEnabledFor(logging.ERROR), ssh.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=clusters.ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[0] == "False", done.stderr


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_kill_leaves_nothing_there_even_while_a_task_runs(server: SshServer, tmp_path: Path) -> None:
    flags = write_hosts(tmp_path, f"127.0.0.1:{server.port} python={server.python}")
    environment = {"HOME": str(server.home), "TMPDIR": str(tmp_path / "here")}
    (tmp_path / "here").mkdir()
    path = tmp_path / "cluster.json"
    with bench_process.started("cluster", "up", *flags, "-o", path, **environment) as up:
        assert up.stdout is not None
        assert up.stdout.readline() == f"{path}\n"
        worker = clusters.RunningCluster(path, up).run(HANG)
        assert os.path.exists(f"/proc/{worker}")
        up.kill()
        assert is_gone(worker)
    assert is_empty(server.temporary)
    assert is_empty(tmp_path / "here")


def up(server: SshServer, folder: Path, *flags: str, home: Path | None = None) -> tuple[int, str]:
    """Run `bench cluster up`, which is to fail, and return its exit code and its only line."""
    argv = [*bench_process.ARGV, "cluster", "up", *flags, "-o", str(folder / "cluster.json")]
    environment = {**os.environ, "HOME": str(home or server.home)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.stdout == ""
    assert not (folder / "cluster.json").exists()
    (line,) = done.stderr.splitlines()
    return done.returncode, line


def test_a_machine_without_an_ssh_server(server: SshServer, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert up(server, tmp_path, *write_hosts(tmp_path, f"127.0.0.1:{port} name=a")) == (
            3,
            "bench: cluster: a (127.0.0.1): no ssh server listens there;"
            f" `ssh -p {port} 127.0.0.1` must work",
        )


def test_a_machine_whose_key_is_not_known(server: SshServer, tmp_path: Path) -> None:
    flags = write_hosts(tmp_path, f"127.0.0.1:{server.port}")
    code, line = up(server, tmp_path, *flags, home=tmp_path)
    assert code == 3
    assert line.startswith("bench: cluster: host-1 (127.0.0.1): Host key is not trusted")
    assert line.endswith(
        f"; log in by `ssh -p {server.port} 127.0.0.1` once, so that it is among the known hosts"
    )


def test_a_machine_that_lets_nobody_in(server: SshServer, tmp_path: Path) -> None:
    flags = write_hosts(tmp_path, f"nosuchuser@127.0.0.1:{server.port}")
    code, line = up(server, tmp_path, *flags)
    assert (code, line) == (
        3,
        "bench: cluster: host-1 (127.0.0.1): Permission denied for user nosuchuser on host 127.0.0.1;"
        f" `ssh -p {server.port} nosuchuser@127.0.0.1` must work without a password",
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "not found"),
        ("echo \"No module named 'bench'\" >&2", "No module named 'bench'"),
        ("echo Welcome", "Welcome"),
        ("echo '[]'", "[]"),
        ("""echo '{"folder": 1}'""", '{"folder": 1}'),
        ("exec yes Welcome", "Welcome"),
    ],
)
def test_a_machine_whose_python_cannot_run_bench(
    server: SshServer, tmp_path: Path, source: str | None, reason: str
) -> None:
    python = tmp_path / "python"
    if source is not None:
        python.write_text(f"#!/bin/sh\n{source}\n")
        python.chmod(0o755)
    code, line = up(server, tmp_path, *write_hosts(tmp_path, f"127.0.0.1:{server.port} python={python}"))
    assert code == 3
    assert line.startswith(f"bench: cluster: host-1 (127.0.0.1): its {python} cannot run bench (")
    assert f"{reason})" in line
    assert line.endswith(
        "; install this version of bench there, with its extra `cluster`,"
        " or name another Python with python=/path"
    )


def test_one_machine_that_fails_ends_the_others(server: SshServer, tmp_path: Path) -> None:
    there = f"127.0.0.1:{server.port} python={server.python}"
    code, line = up(server, tmp_path, *write_hosts(tmp_path, there, f"{there} name=b interface=none0"))
    assert code == 3
    assert line.startswith("bench: cluster: b (127.0.0.1): its worker ended: ")
    assert "'none0' is not a valid network interface" in line
    assert is_empty(server.temporary)


def test_a_port_in_use(server: SshServer, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = write_hosts(tmp_path, f"127.0.0.1:{server.port}")
        assert up(server, tmp_path, *flags, "--port", str(port)) == (
            3,
            f"bench: cluster: 127.0.0.1:{port}: in use; choose another with --port, 0 for any",
        )


def test_an_address_that_this_user_may_not_listen_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs.module("asyncssh", clusters.EXTRA)
    from bench.cluster import ssh  # noqa: PLC0415 - it imports Dask

    @asynccontextmanager
    async def refuse(*_: object) -> AsyncIterator[None]:
        try:
            raise OSError(errno.EACCES, "Permission denied")
        except OSError as error:
            # So Dask says it: its scheduler did not start, and so its cluster did not.
            started = RuntimeError("Scheduler failed to start.")
            started.__cause__ = error
            raise RuntimeError("Cluster failed to start") from started
        yield

    monkeypatch.setattr(ssh, "cluster", refuse)
    request = up_ssh.SshRequest(
        hosts_file.parse("127.0.0.1", {"client": 1}, "hosts.txt"), None, tmp_path / "c.json", port=80
    )
    expected = "^cluster: 127.0.0.1:80: Permission denied; choose another with --port, 0 for any$"
    with pytest.raises(LabError, match=expected):
        up_ssh.run_ssh(request, Report(lambda file, workers: None, print))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config", "Host *\n  Port ssh\n", "Port"),
        ("id_ed25519", "no key\n", "private key"),
        ("id_ed25519.pub", OTHER_KEY, "Public key mismatch"),
    ],
)
def test_a_file_of_ssh_here_that_is_broken(
    server: SshServer, tmp_path: Path, name: str, text: str, said: str
) -> None:
    shutil.copytree(server.home / ".ssh", tmp_path / ".ssh")
    settings = f"Host *\n  IdentityFile {tmp_path}/.ssh/id_ed25519\n"
    (tmp_path / ".ssh" / "config").write_text(settings)
    (tmp_path / ".ssh" / name).write_text(text)
    code, line = up(server, tmp_path, *write_hosts(tmp_path, f"127.0.0.1:{server.port}"), home=tmp_path)
    assert code == 3
    reason, _, remedy = line.partition("; ")
    assert reason.startswith("bench: cluster: host-1 (127.0.0.1): a file of ssh here cannot be used (")
    assert said in reason
    assert remedy == f"mend it, so that `ssh -p {server.port} 127.0.0.1` works"


def test_a_machine_that_cannot_reach_the_scheduler_on_loopback(server: SshServer, tmp_path: Path) -> None:
    code, line = up(server, tmp_path, *write_hosts(tmp_path, "127.0.0.1", "db1.invalid name=db1"))
    assert code == 2
    assert line.startswith(
        "bench: --interface 127.0.0.1: db1 (db1.invalid) cannot reach a scheduler on loopback; name the"
        " interface that leads there: "
    )
