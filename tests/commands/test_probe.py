"""`bench probe`: its text fits a terminal and tells a stranger what was found; its JSON, codes and errors."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from bench.commands import json_output
from bench.errors import LabError
from bench.lab import syscalls
from bench.probe.model import ProbeResult
from bench.watch.scope import inside_namespace
from tests import command_line, needs
from tests.probe.behaviours import Behaviour, behaving

OWN = "/proc/thread-self/ns/net"
AS_ROOT = needs.unless(os.geteuid() == 0, "root", "run the tests as root")
FAST = Behaviour(idle_s=0.2, more="Server: app/1\r\nKeep-Alive: timeout=5\r\n", most=9)


def test_the_text_says_what_was_found_within_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with behaving(FAST) as kept:
        done = command_line.run("probe", f"127.0.0.1:{kept.server.port}", "--max", "3s")
    assert (done.exit_code, done.stderr) == (0, "")
    # Lines of a configuration, which are indented, are as long as they have to be.
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("    ")) <= 80
    words = " ".join(done.stdout.split())
    for said in (
        f"127.0.0.1:{kept.server.port} (it calls itself app/1), GET /.",
        "It keeps connections. An idle one is ended after 0.",
        "by a FIN",
        "It ends a connection after 9 requests, and says so in the last response.",
        "Keep-Alive: timeout=5",
        "HTTP/1.0 with keep-alive 200 kept announced",
        "It announces 5 s, and ends them before",
    ):
        assert said in words
    assert f"{kept.server.accepted} connections, " in words


def test_a_server_without_keep_alive_is_told_in_a_sentence() -> None:
    with behaving(Behaviour(is_short=True)) as kept:
        done = command_line.run("probe", f"http://127.0.0.1:{kept.server.port}/")
    assert done.exit_code == 0
    said = "It ends each connection after its first response, and says so: no proxy can reuse them."
    assert said in " ".join(done.stdout.split())


def test_the_json_is_what_its_schema_says_and_comes_back() -> None:
    with behaving(FAST) as kept:
        done = command_line.run("probe", f"127.0.0.1:{kept.server.port}", "--max", "3s", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    jsonschema.validate(printed, json_output.schema("probe"))
    assert ProbeResult.from_json(printed).max_requests == 9


def test_paths_and_fields_reach_the_server() -> None:
    with behaving(FAST) as kept:
        arguments = (
            "--max",
            "3s",
            "--path",
            "/a",
            "--path",
            "/empty",
            "-H",
            "Host: shop.test",
            "-H",
            "X-A: b",
        )
        done = command_line.run("probe", f"127.0.0.1:{kept.server.port}", "--json", *arguments)
    heads = [request.head for request in kept.server.seen]
    assert heads[0].startswith(b"GET /a HTTP/1.1\r\n")
    assert b"\r\nHost: shop.test\r\nX-A: b\r\n" in heads[0]
    cases = {case["name"]: case["status"] for case in json.loads(done.stdout)["cases"]}
    assert cases["204"] == 204


def test_more_requests_find_a_higher_number() -> None:
    with behaving(Behaviour(idle_s=0.2, most=50)) as kept:
        done = command_line.run("probe", f"127.0.0.1:{kept.server.port}", "--json", "--requests", "100")
    assert json.loads(done.stdout)["max_requests"] == 50
    assert len(kept.server.seen) <= 100


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("127.0.0.1",), 2, "bench: 127.0.0.1: it names no port; write HOST:PORT, "),
        (("127.0.0.1:1",), 3, "bench: 127.0.0.1:1: nobody listens there (connection refused); start the "),
        (("127.0.0.1:1", "-k"), 2, "bench: -k has no effect without TLS; write https://127.0.0.1:1/"),
        (("127.0.0.1:1", "--sni", "x"), 2, "bench: --sni has no effect without TLS; write "),
        (("https://127.0.0.1:1", "--cacert", "none.pem"), 2, "bench: --cacert none.pem: No such file or "),
        (
            ("https://127.0.0.1:1", "--cacert", "empty"),
            2,
            "bench: --cacert empty: it holds no certificate",
        ),
        (("https://127.0.0.1:1", "--cacert", "empty", "-k"), 2, "bench probe: --cacert empty has no effect "),
        (("127.0.0.1:1", "--path", "x"), 2, "bench: --path x: 'x' is no path; begin it with /"),
        (("127.0.0.1:1", "-H", "x"), 2, "bench: --header 'x' is no field; write 'NAME: VALUE'"),
        (
            ("127.0.0.1:1", "--requests", "41"),
            2,
            "bench: --requests 41: a probe takes 42 at the least; raise",
        ),
        (
            ("127.0.0.1:1", *["--path", "/"] * 12),
            2,
            "bench: --requests 60: a probe with 12 paths takes 64 at ",
        ),
        (("127.0.0.1:1", "--max", "0"), 2, "bench probe: invalid value for '--max': '0' is not between "),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("")
    done = command_line.run("probe", *arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert done.stderr.startswith(said)


@pytest.fixture
def namespace() -> Iterator[str]:
    """The file of a network namespace of its own, whose loopback is up."""
    needs.need("unshare", "ip")
    script = "ip link set lo up && echo up && exec sleep 60"
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "up\n"
            yield f"/proc/{holder.pid}/ns/net"
        finally:
            holder.kill()


@AS_ROOT
def test_a_server_of_another_network_namespace_is_probed_from_there(namespace: str) -> None:
    here = os.stat(OWN).st_ino
    with ExitStack() as running:
        with inside_namespace(namespace):
            kept = running.enter_context(behaving(FAST))
        address = f"127.0.0.1:{kept.server.port}"
        inside = command_line.run("probe", address, "--netns", namespace, "--max", "3s")
        outside = command_line.run("probe", address, "--max", "3s")
    assert "It keeps connections." in inside.stdout
    assert (outside.exit_code, outside.stdout) == (3, "")
    assert os.stat(OWN).st_ino == here, "this process is where it was"


@AS_ROOT
def test_the_way_back_is_taken_after_an_error_too(namespace: str) -> None:
    def fail() -> None:
        assert os.stat(OWN).st_ino != here
        raise LabError

    here = os.stat(OWN).st_ino
    with pytest.raises(LabError), inside_namespace(namespace):
        fail()
    assert os.stat(OWN).st_ino == here


@pytest.mark.parametrize("name", ["no-such", "/no/such", "", "/etc/hostname"])
def test_a_namespace_that_is_none_is_refused_in_one_line(name: str) -> None:
    done = command_line.run("probe", "127.0.0.1:1", "--netns", name)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"bench: --netns {name!r}: " if not name else f"bench: --netns {name}: ")


def test_an_ordinary_user_is_told_that_it_takes_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(syscalls, "setns", refuse)
    other = tmp_path / "namespace"
    other.touch()
    done = command_line.run("probe", "127.0.0.1:1", "--netns", str(other))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "only root may enter another network namespace; use sudo" in done.stderr
