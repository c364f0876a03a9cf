"""`bench cluster up --local`: hosts with a network each, workers by name, and nothing left at the end."""

from __future__ import annotations

import stat

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
