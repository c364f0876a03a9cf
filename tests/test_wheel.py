"""The package as it is installed: what is in the wheel, and that its commands start from it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bench", "proxy", "backends", "nginx")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MISSING = [name for name in ("pip", "setuptools") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)} here to build a wheel with"),
]


def pip(*arguments: str | Path) -> None:
    """Run pip without a network."""
    argv = [sys.executable, "-m", "pip", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def output(folder: Path, *argv: str | Path) -> str:
    """Return what a program prints that is run in `folder`."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    pip("wheel", "--quiet", *offline, "--wheel-dir", built, source)
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment that has the wheel, and the libraries of this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    libraries = {str(Path(path)) for path in sys.path if path.endswith("site-packages")}
    (own / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n", encoding="utf-8")
    pip("--python", python, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", wheel)
    return home / "bin"


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(files - names) == []
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


@pytest.mark.parametrize("program", PROJECT["project"]["scripts"])
def test_each_entry_point_starts_from_it(program: str, installed: Path, tmp_path: Path) -> None:
    where = output(tmp_path, installed / "python", "-c", "import bench; print(bench.__file__)")
    assert where.startswith(str(installed.parent))
    version = PROJECT["project"]["version"]
    assert output(tmp_path, installed / program, "--version") == f"bench, version {version}\n"
    assert tomllib.loads(output(tmp_path, installed / program, "plan"))["mode"] == "both"


def test_an_entry_point_bears_the_name_of_the_package() -> None:
    assert PROJECT["project"]["name"] in PROJECT["project"]["scripts"]
