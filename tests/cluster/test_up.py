"""`bench cluster up --local`: hosts with a network each, workers by name, and nothing left at the end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cluster import up
from tests import bench_process
from tests.cluster import clusters
from tests.cluster.clusters import RunningCluster

ADDRESSES = """
def addresses(dask_worker):
    import os, psutil, socket
    ipv4 = {
        name: [each.address for each in found if each.family is socket.AF_INET]
        for name, found in psutil.net_if_addrs().items()
    }
    network = os.stat("/proc/self/ns/net").st_ino
    worker = dask_worker.state
    return dask_worker.name, ipv4, network, dict(worker.total_resources), worker.nthreads

with connect() as client:
    print(json.dumps(sorted(client.run(addresses).values())))
"""


def test_each_worker_has_a_host_of_its_own(cluster: RunningCluster) -> None:
    found = cluster.run(ADDRESSES)
    roles = {"client": 1.0, "proxy": 1.0, "backend": 1.0}
    assert [[name, ipv4, *offers] for name, ipv4, _, *offers in found] == [
        [f"host-{n}", {"lo": ["127.0.0.1"], "control": [f"10.88.1.{n}"], "data": [f"10.89.1.{n}"]}, roles, 3]
        for n in range(1, 5)
    ]
    assert len({network for _, _, network, *_ in found}) == 4


def test_what_it_writes_is_the_user_s_alone(cluster: RunningCluster) -> None:
    paths = cluster.run("print(json.dumps([str(path) for path in (file.ca, file.certificate, file.key)]))")
    modes = {
        stat.S_IMODE(cluster.path.parent.joinpath(each).stat().st_mode) for each in (cluster.path, *paths)
    }
    assert modes == {0o600}


LISTENERS = """
def listeners(dask_worker):
    from pathlib import Path
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return len([row[1] for row in rows if row[3] == "0A" and not row[1].startswith("0100007F:")])

with connect() as client:
    print(json.dumps([client.run_on_scheduler(lambda: listeners(None)), *client.run(listeners).values()]))
"""


def test_a_host_listens_beyond_loopback_for_dask_alone(cluster: RunningCluster) -> None:
    assert cluster.run(LISTENERS) == [1] * 5


SUPERVISOR = """
def start_role(dask_worker):
    import os, sys, time
    from bench.lab import supervisor, syscalls
    from bench.lab.hosts import Host
    assert syscalls.may_make_namespaces()
    held, host = supervisor.pid_namespace(), Host("role", [], [])
    host.join(held)
    code = "import os, sys; print(os.getpid(), os.stat('/proc/self/ns/net').st_ino)"
    code += "; sys.stdout.write(open('/proc/self/status').read())"
    role = host.start([sys.executable, "-I", "-S", "-c", code], name="role", control=False)
    role.wait(30)
    host.kill()
    held.end()
    held.reap()
    host.close()
    rights = next(line.split()[1] for line in role.stdout_lines if line.startswith("CapEff:"))
    pid, network = role.stdout_lines[0].split()
    is_here = int(network) == os.stat("/proc/self/ns/net").st_ino
    return int(pid), is_here, os.geteuid() == 0 or int(rights, 16) == 0

with connect() as client:
    print(json.dumps(list(client.run(start_role).values())))
"""


def test_a_worker_opens_pid_namespaces_and_its_roles_have_no_rights_of_its_own(
    cluster: RunningCluster,
) -> None:
    # The first process of such a namespace is its init, so that the role is the second.
    assert cluster.run(SUPERVISOR) == [[2, True, True]] * 4


HEARTBEATS = """
async def told(dask_worker):
    import asyncio
    # Until the first answer of the scheduler it is Dask's own.
    while dask_worker.periodic_callbacks["heartbeat"].callback_time < 2000:
        await asyncio.sleep(0.05)
    return dask_worker.periodic_callbacks["heartbeat"].callback_time

with connect() as client:
    print(json.dumps(list(client.run(told).values())))
"""
LISTENS = """
def listens():
    import psutil
    found = psutil.Process().net_connections("inet")
    return sorted({each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN})

with connect() as client:
    workers = client.run(listens)
    print(json.dumps([client.run_on_scheduler(listens), sorted(workers.values())]))
"""


def test_nothing_listens_but_on_the_control_network_and_on_loopback(cluster: RunningCluster) -> None:
    workers = [[f"10.88.1.{n}", "127.0.0.1"] for n in range(1, 5)]
    assert cluster.run(LISTENS) == [["10.88.0.1", "127.0.0.1"], workers]


WITHOUT_CERTIFICATE = """
import asyncio, logging, ssl
from distributed.comm import connect as dial
logging.disable(logging.CRITICAL)
host, port = file.scheduler.removeprefix("tls://").rsplit(":", 1)
with connect() as client:
    members = [file.scheduler, *client.scheduler_info(n_workers=-1)["workers"]]

async def refuses(address):
    host, port = address.removeprefix("tls://").rsplit(":", 1)
    context = ssl.create_default_context(cafile=file.ca)
    context.check_hostname = False
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        # In TLS 1.3 the client has finished before its certificate is asked for.
        return await reader.read() == b""
    except (ssl.SSLError, ConnectionError) as error:
        return "CERTIFICATE_REQUIRED" in str(error)
    finally:
        writer.close()

async def all_refuse():
    return [await refuses(each) for each in members]

print(json.dumps(asyncio.run(all_refuse())))
"""


def test_each_member_refuses_who_has_no_certificate(cluster: RunningCluster) -> None:
    assert cluster.run(WITHOUT_CERTIFICATE) == [True] * 5


NAMES = """
import os
with connect() as client:
    print(json.dumps(sorted(client.run(lambda dask_worker: (dask_worker.name, os.getpid())).values())))
"""
OFFERS = """
with connect() as client:
    def offers(dask_worker):
        return dict(dask_worker.state.total_resources), dask_worker.state.nthreads
    states = client.run(offers)
    print(json.dumps([file.scheduler, file.key, *states.values()]))
"""


def test_it_goes_on_without_a_worker_and_ends_without_its_scheduler(tmp_path: Path) -> None:
    clusters.need()
    path = tmp_path / "cluster.json"
    flags = ("--local", "2", "--resources", "proxy=2", "--threads", "5", "--no-tls", "-o", str(path))
    with bench_process.started("cluster", "up", *flags) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == f"{path}\n"
        assert process.stderr.readline() == (
            "warning: without TLS: whoever reaches the scheduler can run code on every machine of the"
            " cluster, as the user who started it there\n"
        )
        running = RunningCluster(path, process)
        (_, killed), (_, other) = running.run(NAMES)
        os.kill(killed, signal.SIGKILL)
        assert next(line for line in process.stderr if "ended" in line) == (
            "host-1: ended (killed by SIGKILL); 1 of 2 workers are left\n"
        )
        assert running.run(NAMES) == [["host-2", other]]
        assert running.run(OFFERS) == ["tcp://10.88.0.1:8786", None, [{"proxy": 2.0}, 5]]
        os.kill(running.run("print(json.dumps(file.namespaces.pid))"), signal.SIGKILL)
        assert process.wait(60) == 3
        assert process.stderr.read().splitlines()[-1] == "bench: scheduler: ended (killed by SIGKILL)"
    assert not path.exists()


def fail(*arguments: str, before: str = "") -> tuple[int, str]:
    """Run `bench cluster up`, which is to fail, after the Python `before`; return exit code and line."""
    source = f"import sys\n{before}\nfrom bench.cli import main\nsys.argv[0] = 'bench'\nmain()"
    argv = [sys.executable, "-c", source, "cluster", "up", *arguments]
    done = subprocess.run(argv, cwd=clusters.ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return done.returncode, line


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--local 0", "bench cluster up: invalid value for '--local': 0 is not in the range 1<=x<=64"),
        ("--local 65", "bench cluster up: invalid value for '--local': 65 is not in the range 1<=x<=64"),
        ("", "bench: neither --local N nor --ssh FILE says where; give one of them"),
        ("--local 2 --ssh hosts", "bench cluster up: --local 2 has no effect beside --ssh hosts"),
        ("--local 2 --port 1", "bench cluster up: --port 1 has no effect without --ssh"),
        ("--local 2 --interface lo", "bench cluster up: --interface lo has no effect without --ssh"),
        ("--ssh nowhere", "bench: --ssh nowhere: No such file or directory"),
        (
            "--local 2 --resources worker=1",
            "bench cluster up: invalid value for '--resources': 'worker=1' is not ROLE=K",
        ),
        (
            "--local 2 --resources client=1,client=1",
            "bench cluster up: invalid value for '--resources': client is given twice",
        ),
        (
            "--local 2 --resources client=0",
            "bench cluster up: invalid value for '--resources': no role is left to a worker",
        ),
    ],
)
def test_what_makes_no_sense(typed: str, message: str) -> None:
    code, line = fail(*typed.split())
    assert code == 2
    assert line.startswith(message)


@pytest.mark.parametrize("package", ["distributed", "asyncssh"])
def test_a_package_that_is_missing(package: str, tmp_path: Path) -> None:
    clusters.need()
    (tmp_path / "hosts").write_text("127.0.0.1\n")
    where = ("--ssh", str(tmp_path / "hosts")) if package == "asyncssh" else ("--local", "1")
    assert fail(*where, "-o", str(tmp_path / "c"), before=f"sys.modules[{package!r}] = None") == (
        3,
        f"bench: cluster: the package {package} is not installed; pip install '.[cluster]'",
    )


def test_namespaces_that_are_forbidden(tmp_path: Path) -> None:
    clusters.need()
    before = """
from pathlib import Path
from bench.lab import syscalls
syscalls.enter_user_namespace()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
"""
    code, line = fail("--local", "1", "-o", str(tmp_path / "cluster.json"), before=before)
    assert code == 3
    assert line.startswith("bench: cluster: ")
    assert line.endswith("; `bench doctor` says more")
    assert not (tmp_path / "cluster.json").exists()


def test_workers_seldom_tell_how_they_fare(cluster: RunningCluster) -> None:
    assert cluster.run(HEARTBEATS) == [30_000.0] * 4


def test_a_file_whose_cluster_runs(cluster: RunningCluster) -> None:
    before = cluster.path.read_text()
    assert fail("--local", "1", "-o", str(cluster.path)) == (
        2,
        f"bench: {cluster.path}: its cluster still runs; end that `bench cluster up` with Ctrl-C, or name"
        " another file with -o",
    )
    assert cluster.path.read_text() == before


def test_a_signal_that_is_ignored_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in up.ending_signals()
        assert signal.SIGTERM in up.ending_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
