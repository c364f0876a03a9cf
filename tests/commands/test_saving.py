"""Where a picture or a page cannot be written, what was measured is told all the same.

The disk is full in earnest: no file may grow beyond the limit (RLIMIT_FSIZE), for the system says the same of
a full disk but for the number of the error.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.commands import print_run
from bench.runs import read
from tests import needs
from tests.command_line import run
from tests.synthetic import KEEPALIVE, SHORT, write

REFERENCES = Path(__file__).parent.parent.parent / "results"


def run_full(*arguments: str | Path, blocks: int = 16) -> subprocess.CompletedProcess[str]:
    """Run `bench` where no file may be larger than so many blocks of 512 bytes."""
    script = f'ulimit -f {blocks}; exec "$@"'
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=1, duration_s=0.5)


def test_a_comparison_is_printed_without_its_picture(folder: Path) -> None:
    before = sorted(os.listdir(folder))
    done = run_full("compare", folder)
    assert done.returncode == 3
    assert "requests_per_s" in done.stdout
    assert "picture:" not in done.stdout
    assert done.stderr == (
        f"bench: {folder}/compare.png: the picture cannot be written: File too large;"
        " choose another path with -o\n"
    )
    assert sorted(os.listdir(folder)) == before, "no half picture is left"


def test_the_verdict_on_a_condition_is_the_answer_with_or_without_a_picture(folder: Path) -> None:
    (folder / "compare.png").mkdir()
    assert run("compare", folder).exit_code == 2
    done = run("compare", folder, "--fail-on", "abs:requests_per_s>0")
    assert done.exit_code == 4, "one trial a mode cannot tell"
    assert f"bench: {folder}/compare.png: is a folder" in done.stderr


@pytest.mark.long
@needs.in_namespaces
def test_a_run_tells_its_table_and_its_folder_though_the_disk_is_full(tmp_path: Path) -> None:
    load = ("--mode", "keepalive", "--trials", "1", "-c", "4", "-d", "300ms", "--warmup", "0s")
    done = run_full("run", *load, "-o", tmp_path, blocks=64)
    (folder,) = tmp_path.iterdir()
    assert done.returncode in (1, 3, 4), "3; 1 or 4 where the machine is busy"
    assert "requests/s" in done.stdout
    assert f"results: {folder}\n" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(f"bench: {folder}/picture.png: the picture cannot be")
    assert not (folder / "picture.png").exists()


def test_a_scenario_is_shown_where_no_picture_can_lie(tmp_path: Path) -> None:
    run_file = REFERENCES / "reference-push-sse" / "run.jsonl"
    (tmp_path / "run.jsonl").write_bytes(run_file.read_bytes())
    (tmp_path / "picture.png").mkdir()
    done = run("show", tmp_path)
    assert done.exit_code == 2
    assert f"results: {tmp_path}\n" in done.stdout
    assert done.stderr == f"bench: {tmp_path}/picture.png: is a folder; name a file with -o\n"


@pytest.mark.parametrize("command", ["compare", "report"])
def test_a_pipe_that_nobody_reads_is_not_waited_for(command: str, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    stem = tmp_path / ("pipe" if command == "compare" else "pipe.png")
    done = run(command, folder, "-o", stem)
    assert done.exit_code == 2
    assert "pipe.png" in done.stderr
    assert "cannot be written: No such device or address" in done.stderr


def test_a_run_that_ended_before_its_first_trial_names_no_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = replace(read.read(folder), trials=(), directory=None, interrupted=True)
    with pytest.raises(SystemExit) as exited:
        print_run.finish(done, as_json=False, quiet=True)
    assert (exited.value.code, *capsys.readouterr()) == (130, "", "")
