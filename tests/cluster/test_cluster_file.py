"""The cluster file: what is written is read again, one cluster owns it, and errors name thing and remedy."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cluster import cluster_file
from bench.cluster.cluster_file import ClusterFile, Namespaces
from bench.errors import BenchError, ExitCode, LabError, PlanError
from bench.lab import syscalls

PLAIN = ClusterFile("tcp://127.0.0.1:8786")


def with_key(folder: Path) -> ClusterFile:
    """Return a file whose key is there."""
    for name in ("ca", "certificate", "key"):
        (folder / name).touch()
    return replace(PLAIN, ca=folder / "ca", certificate=folder / "certificate", key=folder / "key")


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: PLAIN,
        with_key,
        lambda folder: replace(with_key(folder), namespaces=Namespaces(1, 2, 3)),
    ],
)
def test_what_is_written_is_read(make: Callable[[Path], ClusterFile], tmp_path: Path) -> None:
    file, path = make(tmp_path), tmp_path / "cluster.json"
    with cluster_file.claim(path) as claim:
        claim.write(file)
        assert cluster_file.read(path) == file
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_folders_that_are_missing_are_the_user_s_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with cluster_file.claim(tmp_path / "a" / "b" / "cluster.json"):
            modes = [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("a", "a/b")]
            assert modes == [0o700, 0o700]
    finally:
        os.umask(before)


def test_the_default_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert cluster_file.default_path() == Path("/state/keepalive-bench/cluster/cluster.json")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cluster_file.default_path() == Path("/home/me/.local/state/keepalive-bench/cluster/cluster.json")


def test_a_file_whose_cluster_runs_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    with cluster_file.claim(path) as claim:
        claim.write(PLAIN)
        with pytest.raises(BenchError) as raised, cluster_file.claim(path):
            """Not reached."""
        assert str(raised.value) == (
            f"{path}: its cluster still runs; end that `bench cluster up` with Ctrl-C, or name another file"
            " with -o"
        )
        assert raised.value.exit_code is ExitCode.MISUSE
        assert cluster_file.read(path) == PLAIN


def test_a_file_that_its_owner_removed_while_it_was_opened_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cluster.json"
    open_file, opened = cluster_file._open, []

    def open_and_remove(path: Path) -> int:
        opened.append(open_file(path))
        if len(opened) == 1:
            path.unlink()
        return opened[-1]

    monkeypatch.setattr(cluster_file, "_open", open_and_remove)
    with cluster_file.claim(path) as claim:
        claim.write(PLAIN)
        assert cluster_file.read(path) == PLAIN
    assert len(opened) == 2


def test_what_a_killed_cluster_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    with cluster_file.claim(path) as claim:
        claim.write(with_key(tmp_path))
        left = path.read_bytes()
    path.write_bytes(left)
    with cluster_file.claim(path) as claim:
        claim.write(PLAIN)
        assert cluster_file.read(path) == PLAIN


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "{}", '{"kind": "run"}'])
def test_a_file_of_another_kind_is_left_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(BenchError, match="exists and is no cluster file; name another with -o FILE"):
        cluster_file.claim(path).__enter__()
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("folder", "cannot be written: Is a directory; name another file with -o FILE", ExitCode.MISUSE),
        ("file/below", "cannot be written: Not a directory; name another file with -o FILE", ExitCode.MISUSE),
    ],
)
def test_a_path_that_cannot_be_written(name: str, message: str, code: ExitCode, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(BenchError) as raised:
        cluster_file.claim(tmp_path / name).__enter__()
    assert (str(raised.value), raised.value.exit_code) == (f"{tmp_path / name}: {message}", code)


def with_values(**values: object) -> str:
    """Return the text of a cluster file with some values altered."""
    plain = dict.fromkeys(("ca", "certificate", "key", "namespaces"))
    return json.dumps({"kind": "bench-cluster", "scheduler": "tcp://10.0.0.1:8786", **plain, **values})


NONE = "is no cluster file; name one that `bench cluster up` of this version wrote"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no cluster file; start one with `bench cluster up`"),
        (
            "",
            "is empty, and no `bench cluster up` runs that will fill it; start one with `bench cluster up`",
        ),
        ("no JSON", NONE),
        ("\xff", NONE),
        ("[]", NONE),
        ("{}", NONE),
        ('{"kind": "run"}', NONE),
        (json.dumps({"kind": "bench-cluster", "scheduler": "tcp://a:1"}), NONE),
        (json.dumps({"kind": "bench-cluster", "more": 1}), NONE),
        (with_values(scheduler="tcp://10.0.0.1"), NONE),
        (with_values(scheduler="cluster.json"), NONE),
        (with_values(scheduler=8786), NONE),
        (with_values(scheduler="tls://10.0.0.1:8786"), NONE),
        (with_values(ca="ca.pem"), NONE),
        (with_values(scheduler="tls://10.0.0.1:8786", ca="ca.pem", certificate="a.pem"), NONE),
    ],
)
def test_a_file_that_says_nothing_of_a_cluster(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    with pytest.raises(BenchError) as raised:
        cluster_file.read(path)
    assert str(raised.value) == f"{path}: {message}"


def test_a_cluster_that_is_being_brought_up_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    with (
        cluster_file.claim(path),
        pytest.raises(BenchError, match="is not ready; wait until `bench cluster up` prints its path"),
    ):
        cluster_file.read(path)


def test_a_cluster_whose_certificates_are_gone_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    with cluster_file.claim(path) as claim:
        claim.write(with_key(tmp_path))
        (tmp_path / "key").unlink()
        with pytest.raises(BenchError, match="its cluster has ended; start one with `bench cluster up`"):
            cluster_file.read(path)


def test_what_another_user_may_not_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cluster.json"

    def refuse(*anything: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with cluster_file.claim(path) as claim:
        claim.write(with_key(tmp_path))
        remedy = "cannot be read: Permission denied; run as the user who started its cluster"
        for name, what in (("exists", f"its key {tmp_path / 'key'} "), ("open", "")):
            with monkeypatch.context() as patch:
                patch.setattr(Path, name, refuse)
                with pytest.raises(BenchError) as raised:
                    cluster_file.read(path)
            assert str(raised.value) == f"{path}: {what}{remedy}"


def test_a_user_without_a_home_names_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with pytest.raises(PlanError, match=r"^-o: the user 4000000 has no home for the cluster file; name"):
        cluster_file.default_path()


def test_without_namespaces_there_is_nothing_to_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[int] = []
    monkeypatch.setattr(syscalls, "setns", lambda descriptor, flag: entered.append(flag))
    monkeypatch.setattr(syscalls, "count_threads", lambda: 2)
    cluster_file.enter(PLAIN)
    assert entered == []


def test_another_process_under_the_pid_of_an_ended_cluster_is_not_entered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(syscalls, "count_threads", lambda: 1)
    here = cluster_file.namespaces_of(os.getpid())
    for gone in (replace(here, net=1), replace(here, user=1), replace(here, pid=2**22 + 1)):
        with pytest.raises(LabError) as raised:
            cluster_file.enter(replace(PLAIN, namespaces=gone))
        assert str(raised.value) == (
            "cluster: tcp://127.0.0.1:8786: its cluster has ended; start one with `bench cluster up`"
        )


def test_a_process_of_several_threads_enters_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "count_threads", lambda: 3)
    with pytest.raises(LabError, match="3 threads run already"):
        cluster_file.enter(replace(PLAIN, namespaces=cluster_file.namespaces_of(os.getpid())))
