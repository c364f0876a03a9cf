"""What nginx's program says about itself, by reading it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.watch.nginx_here.build import NginxBuild, conf_path, parse_build, read_build
from tests import needs
from tests.nginx import real

TEXTS = {
    b"\0nginx version: nginx/1.22.1\n\0configure arguments: --prefix=/usr/share/nginx"
    b" --conf-path=/etc/nginx/nginx.conf --with-cc-opt='-g -O2'\n\0": NginxBuild(
        "nginx/1.22.1", "/usr/share/nginx", "/etc/nginx/nginx.conf"
    ),
    b"nginx version: openresty/1.27.1.2\n\0configure arguments: --prefix=/opt/openresty\n\0": NginxBuild(
        "openresty/1.27.1.2", "/opt/openresty", "conf/nginx.conf"
    ),
    b"nginx version: nginx/1.28.0\n\0configure arguments:\n\0": NginxBuild(
        "nginx/1.28.0", "/usr/local/nginx", "conf/nginx.conf"
    ),
    b"nginx version: nginx/1.28.0\n\0configure arguments: --prefix='/opt/my nginx'\n\0": NginxBuild(
        "nginx/1.28.0", "/opt/my nginx", "conf/nginx.conf"
    ),
    b"\x7fELF another program": None,
    b"": None,
}


@pytest.mark.parametrize(("content", "build"), TEXTS.items())
def test_texts_of_programs(content: bytes, build: NginxBuild | None) -> None:
    assert parse_build(content) == build


PATHS = [
    # -c or the build's, the prefix, the folder it was started in: the file.
    ("/etc/nginx/nginx.conf", "/usr/share/nginx", "/", "/etc/nginx/nginx.conf"),
    ("conf/nginx.conf", "/usr/local/nginx", "/root", "/usr/local/nginx/conf/nginx.conf"),
    ("conf/nginx.conf", "web", "/srv", "/srv/web/conf/nginx.conf"),
    ("/etc/nginx/nginx.conf", None, "/", "/etc/nginx/nginx.conf"),
    ("nginx.conf", None, "/", None),
    (None, "/usr/share/nginx", "/", None),
    ("/etc/nginx/nginx.conf", "web", None, "/etc/nginx/nginx.conf"),
    ("nginx.conf", "/srv", None, "/srv/nginx.conf"),
    ("nginx.conf", "web", None, None),
]


@pytest.mark.parametrize(("conf", "prefix", "cwd", "path"), PATHS)
def test_which_file_it_reads(conf: str | None, prefix: str | None, cwd: str | None, path: str | None) -> None:
    assert conf_path(conf, prefix, cwd) == path


@needs.program("nginx")
def test_reading_tells_what_running_tells() -> None:
    for program in real.programs().values():
        told = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
        build = read_build(Path(program))
        assert build is not None
        assert f"nginx version: {build.version}\n" in told
        assert dict(re.findall(r"--(prefix|conf-path)=(\S+)", told)) == {
            name: value
            for name, value in (("prefix", build.prefix), ("conf-path", build.conf))
            if f"--{name}=" in told
        }


def test_other_programs_and_odd_files(tmp_path: Path) -> None:
    assert read_build(Path(sys.executable)) is None
    (tmp_path / "empty").touch()
    assert read_build(tmp_path / "empty") is None
    os.mkfifo(tmp_path / "pipe")
    assert read_build(tmp_path / "pipe") is None
    with pytest.raises(FileNotFoundError):
        read_build(tmp_path / "missing")
