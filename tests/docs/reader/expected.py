"""What is known of the commands: which are not run and why, how they end, and what each needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "how-to/run-on-kubernetes-or-slurm.md"
SEVERAL = "how-to/run-on-several-machines.md"
TRAFFIC = "how-to/measure-with-your-own-traffic.md"
ACCEPT = "how-to/accept-a-finding.md"
CHECK = "how-to/check-and-repair-a-configuration.md"
DIAGNOSE = "how-to/diagnose-time-wait.md"
UPGRADE = "how-to/upgrade-nginx-across-1.29.7.md"
CI = "how-to/gate-a-change-in-ci.md"
IDLE = "how-to/find-an-idle-timeout.md"
COMPARE = "how-to/compare-two-proxies-or-versions.md"
SIZE = "how-to/choose-the-pool-size.md"
TEACH = "how-to/teach-it-in-twenty-minutes.md"

NOT_RUN = {
    (KUBERNETES, "bench doctor --scheduler tcp://dask-scheduler:8786 --data-interface eth0"): "no Kubernetes",
    (
        KUBERNETES,
        "bench run --lab cluster --scheduler tcp://dask-scheduler:8786 --data-interface eth0 --clients 4",
    ): "no Kubernetes",
}
"""Why a command is not run. Its page says so too."""

SAYS_SO = re.compile(r"(Nothing|[Nn]ot)\b[^.]* run by us")

LONG = re.compile(
    r"bench (run|ab|sweep|search|incident|tour|cluster|scenario run(?!.* --dry-run))\b"
    r"|bench watch --(record|duration)"
    r"|.*bench prove|bench compare (?!.*1\.10'$)|bench doctor --scheduler|make (bench|docs|figures|tour)"
    r"|\.venv/bin/pytest|.*python3? -m|openssl|dask|/opt/bench|~/bench|export|TLS="
)
"""What takes more than a moment, and what uses what that made: long tests."""

_NOT_REUSED = {
    "README.md": ("bench check /etc/nginx/nginx.conf", "nginx -T | bench check -"),
    CHECK: (
        "bench check /etc/nginx/nginx.conf",
        "nginx -T | bench check -",
        "bench check /etc/nginx/nginx.conf --only broken",
        "bench check nginx.conf --backend-idle app=20s --front-idle alb --backend-max-connections app=20",
        "bench check nginx.conf --probe 10.0.0.1:8080",
    ),
    ACCEPT: ("bench check nginx.conf --ignore NK006", "bench check nginx.conf --ignore 'NK006=legacy/*'"),
    CI: (
        "bench check nginx.conf --nginx-version 1.26.3,newest --format github",
        "bench check nginx.conf --format sarif > bench.sarif",
        "bench check nginx.conf --format markdown >> summary.md",
        "bench check nginx.conf --format json > check.json",
    ),
    DIAGNOSE: (
        "nginx -T | bench check -",
        "bench check /etc/nginx/nginx.conf --only broken",
        "bench check /etc/nginx/nginx.conf --format github",
    ),
    IDLE: (
        "bench check /etc/nginx/nginx.conf --probe probe.json",
        "bench check /etc/nginx/nginx.conf --probe app=10.0.0.1:8080",
    ),
    TEACH: ("bench check nginx.conf --nginx-version 1.22.1 --only broken",),
    UPGRADE: ("bench check nginx.conf --nginx-version 1.26.3,newest",),
}
_CANNOT_TELL = {
    "README.md": ("bench compare OLD NEW --fail-on 'cpu_us_per_request.proxy>1.10'",),
    "concepts/statistics.md": ("bench compare RUN --fail-on 'cpu_us_per_request.proxy>1.10'",),
    CI: (
        "bench compare OLD NEW --fail-on 'cpu_us_per_request.proxy>1.10' --fail-on 'abs:errors>0'",
        "bench ab subject=nginx@/opt/old/nginx subject=nginx@/opt/new/nginx --mode keepalive"
        " --until cpu_us_per_request.proxy=5% --trials 30 --time-limit 10m"
        " --require 'cpu_us_per_request.proxy<1.10' --require 'abs:errors<1'",
        "bench ab target=http://127.0.0.1:8001/ target=http://127.0.0.1:8002/ --mode keepalive"
        " --require 'cpu_us_per_request.proxy<1.10'",
        "bench run --mode keepalive --require 'abs:upstream.requests_per_connection>100'"
        " --require 'abs:errors<1'",
    ),
    COMPARE: ("bench ab subject=nginx@system subject=nginx@wheel --mode keepalive --until 5%",),
    SIZE: (
        "bench search --require 'latency_ms.p99<20' --require 'errors<1'",
        "bench search --require 'latency_ms.p99<20' --pool-idle 8 --connections 256 --from 500 --to 20k",
    ),
}
_CLIENTS_GET_ERRORS = {
    CHECK: ("bench prove nginx.conf --program wheel --backend-like app=node --concurrency 32",),
    CI: ("bench prove nginx.conf --program wheel --backend-like app=node",),
    IDLE: ("bench prove /etc/nginx/nginx.conf --backend-like node",),
    TEACH: ("bench prove fixed.conf --program system --backend-like node",),
    UPGRADE: (
        "bench prove nginx.conf --program system --program wheel --backend-like app=node --format markdown",
    ),
}
STATUS = {
    (page, line): status
    for status, shown in ((1, _NOT_REUSED), (1, _CLIENTS_GET_ERRORS), (4, _CANNOT_TELL))
    for page, lines in shown.items()
    for line in lines
}
"""How a command ends that does not end with 0, as its page says.

1: the configuration of the article reuses nothing before nginx 1.29.7; behind a pool, a server that closes
idle connections fails a POST now and then. 4: a few trials decide nothing.
"""


_PROXY_AT = re.compile(r"--proxy-at ")
_WATCH = re.compile(r"bench watch\b")


def statuses(page: str, line: str) -> frozenset[int]:
    """Return how a command may end.

    A watch also with 4, where nothing was carried meanwhile; before a proxy that runs already a trial is void
    where its configuration names another machine than the one that the backend was placed on.
    """
    status = STATUS.get((page, line), 0)
    if _PROXY_AT.search(line):
        return frozenset({0, 1})
    return frozenset({status, 4} if _WATCH.match(line) else {status})


@dataclass(frozen=True, slots=True)
class Service:
    """What runs while a command does whose line has `pattern`."""

    pattern: str
    line: str
    is_ready: str = 'grep -q ready "$shown"'


_WORKERS = (
    "for n in 11 12 13; do ip netns exec m$n dask worker $TLS tls://10.0.0.1:8786 --name load-$n --nthreads 3"
    ' --no-nanny --memory-limit 0 --dashboard-address 127.0.0.1:0 --resources "client=1 proxy=1 backend=1" &'
    " done; wait"
)
_IN_HOST_4 = "nsenter --net --target $(pgrep --full --newest 'dask_process host-4')"
SERVICES = (
    Service(r"10\.0\.0\.1:8080", "python -m backends --listen 10.0.0.1:8080 --idle-timeout 0.7"),
    Service(r"--target http://127\.0\.0\.1:8080/", "python -m backends --listen 127.0.0.1:8080"),
    Service(
        r"target=http://127\.0\.0\.1:8001/",
        "python -m backends --listen 127.0.0.1:8001 & python -m backends --listen 127.0.0.1:8002; wait",
        '[ "$(grep -c ready "$shown")" = 2 ]',
    ),
    Service(
        r"--target https://127\.0\.0\.1/",
        "python -m backends --listen 127.0.0.1:443 --tls-cert certificate.pem --tls-key key.pem",
    ),
    Service(
        r"nginx-(status|log):",
        "nginx -e stderr -c $PWD/status.conf -g 'daemon off;'",
        "ss -Hltn | grep -q :8080",
    ),
    Service(
        r"haproxy:/run/haproxy/admin\.sock",
        "mkdir -p /run/haproxy; haproxy -db -f haproxy.cfg",
        "[ -S /run/haproxy/admin.sock ]",
    ),
    Service(
        r"envoy:http://127\.0\.0\.1:9901",
        "envoy --config-path envoy.yaml",
        "ss -Hltn | grep -q :9901",
    ),
    Service(r"bench .* tls://10", _WORKERS, '[ "$(grep -c Registered "$told")" = 3 ]'),
    Service(
        r"--ssh hosts\.txt",
        "for n in 11 12 13 14; do port=22; [ $n != 13 ] || port=2222;"
        ' ip netns exec m$n "$(command -v sshd)" -D -e -p $port -f ../sshd.conf & done; wait',
        '[ "$(grep -c "listening on 0" "$told")" = 4 ]',
    ),
    Service(r"10\.89\.1\.4", "bench cluster up --local 4 -o cluster.json", 'grep -q cluster.json "$shown"'),
    Service(
        r"--proxy-at 10\.89\.1\.4:8080",
        f"{_IN_HOST_4} python -m proxy --listen 10.89.1.4:8080 --mode keepalive --upstream 10.89.1.1:9000",
    ),
    Service(r"--target http://10\.89\.1\.4", f"{_IN_HOST_4} python -m backends --listen 10.89.1.4:8080"),
)
"""In the order in which they start."""

BEFORE = {
    r"--ssh hosts\.txt": f". {Path(__file__).with_name('ssh_hosts.sh')}",
    # A sweep that was ended: its last trial is missing.
    r"bench sweep --resume RUN": (
        "rm -rf RUN; mv $(ls -d results/*-sweep-* | tail -1) RUN; sed -i '$d' RUN/run.jsonl"
    ),
    r"/opt/nginx-1\.22/": "mkdir /opt/nginx-1.22; ln -s $(command -v nginx) /opt/nginx-1.22/nginx",
    r"/opt/old/": "mkdir /opt/old /opt/new; for i in old new; do ln -s $(command -v nginx) /opt/$i; done",
}
"""What is done before a command, so that the machine is the one that its page speaks of."""

GOES_ON = {
    r"bench watch --(requests|openmetrics)": '[ -s "$shown" ]',
    r"bench cluster up": 'grep -q cluster.json "$shown"',
    r"python -m backends": 'grep -q ready "$shown"',
    r"python -m proxy": 'grep -q ready "$shown"',
    r"dask scheduler": "ss -Hltn | grep -q :8786",
    r"dask worker": 'grep -q Registered "$told"',
}
"""Commands that go on until Ctrl-C, and when they are ready.

Each is ended by the next one of its kind, or behind the page's last command.
"""
ENDS = {r"dask scheduler": r"bench cluster up"}
"""Kinds of commands that take the place of another one: both listen at the same port."""
ON_TERMINAL = {"bench watch": b"q"}
"""Commands that want a terminal, and the key that ends them."""
NEEDS = {
    r"nginx -T|@system|--program system|nginx-1\.22|/opt/old/|/etc/nginx|nginx-(status|log):": (
        "nginx@system",
    ),
    r"@wheel|--program wheel": ("nginx@wheel",),
    r"subject=nginx\b|--subject nginx\b|bench prove": ("nginx",),
    r"haproxy:": ("haproxy@system",),
    r"haproxy": ("haproxy",),
    r"envoy": ("envoy",),
    r"nghttpx": ("nghttpx",),
    r"--second-opinion wrk": ("wrk",),
    r"--proxy-at|10\.89": ("pgrep",),
    r"browser=true": ("chromium",),
    r"openssl": ("openssl",),
    r"--ssh": ("sshd",),
}
"""The programs that a command needs (tests/needs.py)."""
