"""`bench doctor --scheduler` on a real cluster, whose machines are made unlike each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from bench.commands import json_output
from bench.machine import describe
from tests import bench_process
from tests.cluster.clusters import RunningCluster

NAMES = [f"host-{number}" for number in range(1, 5)]
DATA = {name: f"10.89.1.{number}" for number, name in enumerate(NAMES, 1)}
CHANGE = """
def change_here(source):
    from pyroute2 import IPRoute
    from bench.lab import sysctl
    with IPRoute() as ip:
        exec(source, {"ip": ip, "sysctl": sysctl, "data": ip.link_lookup(ifname="data")[0]})

async def change(source):
    import asyncio
    await asyncio.to_thread(change_here, source)

with connect() as client:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    host = [address for address, worker in workers.items() if worker["name"] == sys.argv[1]]
    client.run(change, sys.argv[2], workers=host)
    print("null")
"""


@contextmanager
def changed(cluster: RunningCluster, host: str, change: str, back: str) -> Iterator[None]:
    """Run Python on a host, and for the end of the block what takes it back."""
    cluster.run(CHANGE, host, change)
    try:
        yield
    finally:
        cluster.run(CHANGE, host, back)


def survey(cluster: RunningCluster, *flags: str) -> dict[str, Any]:
    done = bench_process.run("doctor", "--json", "--scheduler", cluster.path, *flags)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def obstacles(found: dict[str, Any]) -> list[str]:
    """Return what is in the way, but for what hosts of one machine have in common, and its load."""
    return [
        f"{each['name']}: {each['value']}"
        for each in found["obstacles"]
        if each["name"] != "shared cores" and not each["name"].startswith("clock of ")
    ]


def differences(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {each["fact"]: each["values"] for each in found["differences"]}


def test_machines_that_are_alike_have_nothing_that_differs(cluster: RunningCluster) -> None:
    found = survey(cluster, "--data-interface", "data")
    jsonschema.validate(found, json_output.schema("doctor"))
    assert (obstacles(found), differences(found)) == ([], {})
    assert [each["name"] for each in found["machines"]] == NAMES
    for machine in found["machines"]:
        assert machine["data_address"] == DATA[machine["name"]]
        assert machine["resources"] == {"client": 1, "proxy": 1, "backend": 1}
        assert machine["machine"]["kernel"] == describe.describe()["kernel"]
        assert {"port range", "somaxconn", "file limit"} <= {each["name"] for each in machine["checks"]}
        assert abs(machine["clock"]["offset_ns"]) <= machine["clock"]["error_ns"]
        assert [path["target"] for path in machine["paths"]] == [
            name for name in NAMES if name != machine["name"]
        ]
        assert {(path["fault"], path["mtu"], path["segment"]) for path in machine["paths"]} == {
            (None, 1500, 1448)
        }
        assert all(path["round_trip_ms"] > 0 for path in machine["paths"])


def test_a_worker_knows_the_code_that_it_began_with(cluster: RunningCluster) -> None:
    found = cluster.run(
        """
def count():
    from bench.cluster.identity import identify
    return identify.cache_info().currsize

with connect() as client:
    print(json.dumps(list(client.run(count).values())))
"""
    )
    assert found == [1] * 4


@dataclass(frozen=True, slots=True)
class Unlike:
    """What was found on machines that are not alike."""

    data: dict[str, Any]
    """Over the interface `data`."""
    text: str
    """Over the addresses of the workers."""


@pytest.fixture(scope="module")
def unlike(cluster: RunningCluster) -> Iterator[Unlike]:
    """Survey machines of which one has other ports, one a narrow link, and one a blackhole to another."""
    write = "sysctl.write(sysctl.PORT_RANGE, {!r}, 'host'); sysctl.write('net.core.somaxconn', {!r}, 'host')"
    resize = "ip.link('set', index=data, mtu={})"
    route = "ip.route({!r}, dst='10.89.1.4/32', type='blackhole')"
    with (
        changed(cluster, "host-2", write.format("1024 65535", "128"), write.format("32768 60999", "4096")),
        changed(cluster, "host-3", resize.format(1400), resize.format(1500)),
        changed(cluster, "host-1", route.format("add"), route.format("del")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("COLUMNS", "80")
        done = bench_process.run("doctor", "--scheduler", cluster.path)
        assert done.returncode == 0, done.stderr
        yield Unlike(survey(cluster, "--data-interface", "data"), done.stdout)


def test_what_differs_is_named_with_the_value_of_each_machine(unlike: Unlike) -> None:
    narrow = "1500, segments 1348 to host-3"
    assert differences(unlike.data) == {
        "ip_local_port_range": {**dict.fromkeys(NAMES, "32768 60999"), "host-2": "1024 65535"},
        "core.somaxconn": {**dict.fromkeys(NAMES, "4096"), "host-2": "128"},
        "path MTU": {
            "host-1": f"1500 to host-2; {narrow}",
            "host-2": f"1500 to host-1, host-4; {narrow}",
            "host-3": "1400",
            "host-4": f"1500 to host-2; {narrow}",
        },
    }


def test_a_firewall_is_named_by_the_pair_that_it_parts(unlike: Unlike) -> None:
    there, back = obstacles(unlike.data)
    assert there.startswith("host-1 -> host-4: a route or a rule of the sender drops what goes to 10.89.1.4")
    assert back.startswith("host-4 -> host-1: 10.89.1.1 port ")
    assert back.endswith(" does not answer within 2 s")
    assert all(each["remedy"] for each in unlike.data["obstacles"])


def test_the_text_fits_into_80_columns_and_says_what_differs(unlike: Unlike) -> None:
    assert max(map(len, unlike.text.splitlines())) <= 80
    some = unlike.text.partition("\non some\n")[2]
    assert "!   somaxconn              host-2: 128\n" in some
    words = " ".join(unlike.text.split())
    assert "128 on host-2; 4096 on host-1, host-3, host-4" in words
    assert "10.88.1.4" in words, "where no interface is named"


def test_an_interface_that_no_machine_has_is_in_the_way_of_each(cluster: RunningCluster) -> None:
    found = survey(cluster, "--data-interface", "nowhere")
    assert obstacles(found) == [f"{name}: has no address on the interface nowhere" for name in NAMES]
    assert [each["paths"] for each in found["machines"]] == [[]] * 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--scheduler", "/nowhere/cluster.json"], "/nowhere/cluster.json: there is no cluster file"),
        (["--data-interface", "data"], "--data-interface data has no effect without --scheduler"),
    ],
)
def test_what_cannot_be_surveyed_is_misuse(flags: list[str], message: str) -> None:
    done = bench_process.run("doctor", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
