"""`bench prove` as users run it: what it prints, its exit code, and that it changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nginx
from tests import bench_process
from tests.proving import any_nginx, bench_prove, needs_nginx

CONF = Path(nginx.__file__).parent / "conf"
KEYS = {"file", "backend_close", "proofs", "load", "upgrade"}
PROOF_KEYS = {"program", "version", "lab", "rejected", "locations", "witnesses", "changes", "notes"}
LOCATION_KEYS = {
    *("file", "line", "context", "target", "request", "unreached", "predicted", "measured", "agrees"),
    *("disagreement", "added_location", "added_file", "client", "load_balancing", "subrequest", "not_proven"),
    *("backend_like", "idle_end", "in_flight", "without_body", "shared_pool"),
}


def one_nginx() -> tuple[str, str]:
    """Returns the flags that leave it at one nginx, where versions do not matter."""
    return "--program", any_nginx().path


def measured(proof: dict[str, Any]) -> dict[str, Any]:
    (location,) = proof["locations"]
    found: dict[str, Any] = location["measured"]
    return found


@needs_nginx
def test_the_articles_snippet() -> None:
    """Before 1.29.7 nothing is reused and nginx holds every TIME_WAIT; since then the new defaults reuse."""
    answer = bench_prove(CONF / "article.conf")
    assert set(answer) == KEYS
    for proof in answer["proofs"]:
        assert set(proof) == PROOF_KEYS
        assert set(proof["locations"][0]) == LOCATION_KEYS
        found = measured(proof)
        if proof["version"] < "1.29":
            assert (found["verdict"], found["connections"], found["requests"]) == ("not reused", 9, 9)
            assert found["time_wait"] == {"nginx": 9, "backend": 0}
        else:
            assert (found["verdict"], found["connections"]) == ("reused", 1)
        assert proof["witnesses"]["backend"] == found["connections"]
        kernel = None if proof["lab"] == "loopback" else found["connections"]
        assert proof["witnesses"]["kernel"] == kernel
        assert proof["locations"][0]["agrees"] is True


@needs_nginx
def test_the_articles_snippet_with_a_literal_target_never_reuses(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text((CONF / "article.conf").read_text().replace("http://app", "http://127.0.0.1:9000"))
    for proof in bench_prove(path, "--requests-per-location", "5")["proofs"]:
        assert measured(proof)["time_wait"] == {"nginx": 6, "backend": 0}


@needs_nginx
def test_the_text() -> None:
    done = bench_process.run("prove", CONF / "article.conf", "--program", any_nginx().path)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert any(line.startswith("  location / -> http://app (") for line in lines)
    assert "  replaced: listen (" in done.stdout
    assert lines[-1].endswith("connections") or "check and traffic agree" in lines[-1]


@needs_nginx
def test_a_rejection_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text(
        "upstream app { server a; keepalive x; } server { location / { proxy_pass http://app; } }"
    )
    answer = bench_prove(path, *one_nginx(), code=1)
    assert {proof["rejected"]["line"] for proof in answer["proofs"]} == {1}
    assert 'invalid value "x"' in answer["proofs"][0]["rejected"]["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/nowhere.conf",), "/nowhere.conf"),
        (("{folder}",), "is a folder"),
        (("{folder}/binary",), "NUL"),
        (("/dev/zero",), "it is a device, not a file"),
        (("{folder}/a.conf", "--request", "nonsense"), "--request 'nonsense'"),
        (("{folder}/a.conf", "--backend-close", "soon"), "--backend-close 'soon'"),
        ((), "FILE"),
    ],
)
def test_misuse_is_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert_refused(arguments, said, 2, tmp_path)


@pytest.mark.parametrize("program", ["/nowhere/nginx", "{folder}/a.conf"])
def test_a_program_that_is_not_there_is_one_line_and_no_misuse(program: str, tmp_path: Path) -> None:
    assert_refused(("{folder}/a.conf", "--program", program), program, 3, tmp_path)


def assert_refused(arguments: tuple[str, ...], said: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\1")
    (tmp_path / "a.conf").write_text("server { location / { proxy_pass http://a; } }")
    done = bench_process.run("prove", *(each.replace("{folder}", str(tmp_path)) for each in arguments))
    assert done.returncode == status
    assert said.replace("{folder}", str(tmp_path)) in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@needs_nginx
def test_nothing_to_prove_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("server { location / { return 200; } }")
    answer = bench_prove(path, *one_nginx(), code=1)
    assert all("nothing to prove" in note for proof in answer["proofs"] for note in proof["notes"])


@needs_nginx
def test_a_dump_and_standard_input(tmp_path: Path) -> None:
    dump = (
        "# configuration file /etc/nginx/nginx.conf:\nhttp { include app.conf; }\n"
        "# configuration file /etc/nginx/app.conf:\nserver { location / { proxy_pass http://a; } }\n"
    )
    argv = [sys.executable, "-m", "bench", "prove", "-", *one_nginx()]
    done = subprocess.run(
        argv, input=dump, capture_output=True, text=True, check=False, timeout=bench_process.TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    assert "location / -> http://a (/etc/nginx/app.conf:1)" in done.stdout


@needs_nginx
def test_a_harmful_configuration_does_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "written"
    written.mkdir(mode=0o777)
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"""
        user root; daemon on; pid {written}/pid; error_log {written}/log; lock_file {written}/lock;
        events {{ }}
        http {{
            access_log {written}/access; proxy_temp_path {written}/p; client_body_temp_path {written}/b;
            proxy_cache_path {written}/cache keys_zone=c:1m; js_import {written}/x.js;
            init_by_lua_block {{ io.open("{written}/lua", "w") }}
            server {{
                listen unix:{written}/socket; listen 192.0.2.1:80; root {written}; dav_methods PUT;
                ssl_certificate {written}/none; client_body_in_file_only on;
                location / {{ proxy_pass http://192.0.2.2; proxy_store {written}/stored; proxy_cache c; }}
                location /s {{ proxy_pass http://unix:{written}/other.sock; proxy_bind 192.0.2.9; }}
            }}
        }}"""
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    answer = bench_prove(path)
    assert list(written.iterdir()) == []
    assert list(scratch.iterdir()) == []
    for proof in answer["proofs"]:
        assert [location["agrees"] for location in proof["locations"]] == [True, True]
        changed = {change["what"] for change in proof["changes"]}
        assert {
            "user",
            "pid",
            "proxy_cache_path",
            "js_import",
            "init_by_lua_block",
            "root",
            "listen",
        } <= changed


@needs_nginx
@pytest.mark.parametrize("text", ["include a.conf;", "include b.conf;"])
def test_a_cycle_of_includes_ends(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(f"{text} server {{ location / {{ proxy_pass http://a; }} }}")
    (tmp_path / "b.conf").write_text("include a.conf;")
    answer = bench_prove(tmp_path / "a.conf", *one_nginx(), code=1)
    assert "includes itself" in answer["proofs"][0]["rejected"]["message"]


@needs_nginx
@pytest.mark.long
def test_what_it_costs() -> None:
    path = any_nginx().path
    flags = ("--load", "-d", "0.5", "--pairs", "1", "--program", path)
    (cost,) = bench_prove(CONF / "short-nginx-closes.conf", *flags)["load"]
    assert cost["missing"] is None
    sides = {window["side"]: window for window in cost["windows"]}
    assert sides["as it is"]["connections_per_request"] == 1
    assert sides["repaired"]["connections_per_request"] < 0.2
    assert sides["as it is"]["errors"] == sides["repaired"]["errors"] == 0
    assert sides["as it is"]["nginx_cpu_us_per_request"] > sides["repaired"]["nginx_cpu_us_per_request"]
    done = bench_process.run("prove", CONF / "short-nginx-closes.conf", *flags)
    assert "Repaired, it opens one connection for " in done.stdout


@needs_nginx
@pytest.mark.long
def test_what_it_costs_behind_tls(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(
        "events {} http { server { listen 443 ssl; server_name a.test; if ($scheme = http) { return 403; }"
        " location / { proxy_pass http://127.0.0.1:9000; proxy_http_version 1.0; } } }"
    )
    flags = ("--load", "-d", "0.5", "--pairs", "1", "--program", any_nginx().path)
    (cost,) = bench_prove(tmp_path / "a.conf", *flags)["load"]
    assert (cost["missing"], cost["request"]) == (None, "GET https://a.test/")
    assert [window["errors"] for window in cost["windows"]] == [0, 0]
    assert all(window["requests_per_s"] > 0 for window in cost["windows"])


@needs_nginx
def test_nothing_to_repair_is_reported() -> None:
    path = any_nginx().path
    (cost,) = bench_prove(CONF / "keepalive.conf", "--load", "--program", path)["load"]
    assert cost["windows"] == []
    assert "nothing to compare" in cost["missing"]
