"""The file of `bench cluster up --ssh`: what a line means, and that a wrong one is named with its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cluster import hosts_file
from bench.cluster.hosts_file import SshHost
from bench.errors import ExitCode, PlanError

ALL = {"client": 1, "proxy": 1, "backend": 1}
FORM = "[USER@]HOST[:PORT] [name=NAME] [client=K] [proxy=K] [backend=K] [python=/path] [interface=NAME]"


def host(**given: Any) -> SshHost:
    """Return the host of the only line, but for what is given."""
    return SshHost(**{"line": 1, "host": "db1", "name": "host-1", "offers": ALL, **given})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("db1", host()),
        ("  db1\t# the old one", host()),
        ("me@db1", host(user="me")),
        ("db1:2222", host(port=2222)),
        ("me@db1.example.org:2222", host(user="me", host="db1.example.org", port=2222)),
        ("10.0.0.7", host(host="10.0.0.7")),
        ("[fd00::7]", host(host="fd00::7")),
        ("me@[fe80::7%eth0]:2222", host(user="me", host="fe80::7%eth0", port=2222)),
        ("db1 name=store", host(name="store")),
        ("db1 proxy=1", host(offers={"proxy": 1})),
        ("db1 client=2 backend=3", host(offers={"client": 2, "backend": 3})),
        ("db1 client=0 proxy=1", host(offers={"proxy": 1})),
        ("db1 python=/opt/bench/bin/python3", host(python="/opt/bench/bin/python3")),
        ("db1 'python=/opt/my bench/python' # mine", host(python="/opt/my bench/python")),
        ('db1 python="/opt/my #1/python"', host(python="/opt/my #1/python")),
        ("db1 python=/opt/my\\ bench/python", host(python="/opt/my bench/python")),
        ("db1 interface=eth1.100", host(interface="eth1.100")),
        (
            "me@db1:22 name=a client=1 python=/p interface=eth1",
            host(user="me", port=22, name="a", offers={"client": 1}, python="/p", interface="eth1"),
        ),
    ],
)
def test_a_line(line: str, expected: SshHost) -> None:
    assert hosts_file.parse(line, ALL, "hosts.txt") == (expected,)


def test_empty_lines_and_comments_count_as_lines_and_not_as_machines() -> None:
    found = hosts_file.parse("# mine\n\na\n\n  # more\nb\n", ALL, "hosts.txt")
    assert [(each.line, each.host, each.name) for each in found] == [(3, "a", "host-1"), (6, "b", "host-2")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb:0", "hosts.txt:2: 'b:0' is not [USER@]HOST[:PORT]"),
        ("b:65536", "hosts.txt:1: 'b:65536' is not [USER@]HOST[:PORT]"),
        ("b:ssh", "hosts.txt:1: 'b:ssh' is not [USER@]HOST[:PORT]"),
        ("-oProxyCommand=id", "hosts.txt:1: '-oProxyCommand=id' is not [USER@]HOST[:PORT]"),
        (
            "a python='/b c",
            'hosts.txt:1: "a python=\'/b c": a quote has no end; close it, or write \\ before it',
        ),
        ("@b", "hosts.txt:1: '@b' is not [USER@]HOST[:PORT]"),
        ("fd00::7", "hosts.txt:1: 'fd00::7' is not [USER@]HOST[:PORT]"),
        ("a b", f"hosts.txt:1: 'b' is none of {FORM.partition(' ')[2]}"),
        ("a user=b", f"hosts.txt:1: 'user=b' is none of {FORM.partition(' ')[2]}"),
        ("a client", f"hosts.txt:1: 'client' is none of {FORM.partition(' ')[2]}"),
        ("a client=x", "hosts.txt:1: 'client=x': 'x' is not a number from 0 to 64"),
        ("a client=65", "hosts.txt:1: 'client=65': '65' is not a number from 0 to 64"),
        ("a client=-1", "hosts.txt:1: 'client=-1': '-1' is not a number from 0 to 64"),
        ("a client=1 client=2", "hosts.txt:1: client is given twice"),
        ("a client=0", "hosts.txt:1: no role is left to a worker; give it one at least"),
        ("a name=", "hosts.txt:1: 'name=': '' is not a name of letters, digits, '.', '_' and '-'"),
        (
            "a name=it\\'s",
            "hosts.txt:1: \"name=it's\": \"it's\" is not a name of letters, digits, '.', '_' and '-'",
        ),
        ("a python=python3", "hosts.txt:1: 'python=python3': 'python3' is not an absolute path"),
        (
            "a interface=eth0;ls",
            "hosts.txt:1: 'interface=eth0;ls': 'eth0;ls' is not the name of a network interface",
        ),
        ("a name=x\n\nb name=x", "hosts.txt:3: name=x is that of line 1 too; give one of them another"),
        ("a name=host-2\nb", "hosts.txt:2: name=host-2 is that of line 1 too; give one of them another"),
        ("", f"--ssh hosts.txt: no machine is named; write lines of {FORM}"),
        ("# none\n", f"--ssh hosts.txt: no machine is named; write lines of {FORM}"),
        ("a\n" * 1001, f"--ssh hosts.txt: 1001 machines are more than 1000; write lines of {FORM}"),
    ],
)
def test_a_wrong_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as raised:
        hosts_file.parse(text, ALL, "hosts.txt")
    assert str(raised.value) == message
    assert raised.value.exit_code is ExitCode.MISUSE


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as raised:
        hosts_file.read(tmp_path / "none", ALL)
    assert str(raised.value) == (
        f"--ssh {tmp_path / 'none'}: No such file or directory; name a file with lines of {FORM}"
    )


def test_a_file_that_begins_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("\ufeffdb1\r\n", encoding="utf-8")
    assert hosts_file.read(tmp_path / "hosts", ALL) == (host(),)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="it is not UTF-8"):
        hosts_file.read(tmp_path / "hosts", ALL)


@pytest.mark.parametrize(
    ("name", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("db1", False),
        ("10.0.0.1", False),
    ],
)
def test_which_host_is_this_machine(name: str, is_here: bool) -> None:
    assert host(host=name).is_here is is_here
