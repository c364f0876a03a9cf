"""Part e: how long `bench check` takes for a thousand configurations and two versions of nginx."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.perf import pairs
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings

PART = "e"
COUNT = 1000
LOCATIONS = (2, 5, 12, 40)
BENCH = str(Path(sys.executable).parent / "bench")
TEMPLATES = Path(__file__).parents[2] / "nginx" / "conf"
VERSIONS = "1.22.1,1.31.4"


def measure(settings: Settings) -> Iterator[Row]:
    """Yield the row of the command, start and output included."""
    took_s = []
    with TemporaryDirectory() as folder:
        lines = _write(Path(folder))
        argv = [BENCH, "check", folder, "--nginx-version", VERSIONS, "--format", "json"]
        for _ in range(settings.observed_times + 1):
            began = time.monotonic()
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)  # it ends with 1: there are findings
            took_s.append(time.monotonic() - began)
    what = f"bench check, {COUNT:,} configurations of {lines:,} lines"
    yield pairs.alone(PART, what, "s", took_s[1:], Target(5.0, "ours"))


def _write(folder: Path) -> int:
    """Write the configurations, our templates and sites of several sizes in turn; return their lines."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.conf"))]
    texts += [_site(count) for count in LOCATIONS]
    lines = 0
    for number in range(COUNT):
        text = texts[number % len(texts)]
        (folder / f"{number:04}.conf").write_text(f"# {number}\n{text}", encoding="utf-8")
        lines += text.count("\n") + 1
    return lines


def _site(locations: int) -> str:
    """Return a site as people write it: a map, pools, headers at two levels, an include that is missing."""
    passed = "\n".join(
        f"""        location /{number}/ {{
            proxy_pass http://app{number % 3 + 1};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Connection $connection_upgrade;
            include snippets/common-{number % 2}.conf;
        }}"""
        for number in range(locations)
    )
    pools = "\n".join(
        f"    upstream app{number} {{ least_conn; server 10.0.0.{number}:80; server 10.0.1.{number}:80; }}"
        for number in range(1, 4)
    )
    return f"""worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    include mime.types;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
{pools}
    server {{
        listen 80;
        server_name app.example;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
{passed}
    }}
}}
"""
