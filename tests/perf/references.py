"""Make the reference runs of results/ anew: each by the command that stands here, one after the other.

For a quiet machine and a clean checkout. A run takes the place of the old one when it is complete; git tells
them apart. All take 45 minutes: name some. Others are made by other commands: `reference-perf` by make perf,
`reference-comparison` by make false-alarms; results/README.md says how `reference-watch-*` and
`reference-prove` were made.
"""

import argparse
import contextlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path("results")
_CLUSTER_START_S = 60
_LIMIT = "scenario run push --variant websocket-picows --set subscribers=1000 --set find_limit=true --subject"

COMMANDS = {
    "reference": "run --duration 8s",
    "reference-incident": "incident --trials 6",
    "reference-sweep": (
        "sweep --vary rate=50,100,200 --vary pool-idle=0,1,2,4,6,8,12,16 --trials 1 --arrivals poisson"
        " --delay exponential:40ms --warmup 1s --duration 10s"
    ),
    "reference-cluster": "run --lab cluster --clients 2 --data-interface data",
    "reference-push": "scenario run push",
    "reference-push-limit-direct": f"{_LIMIT} direct",
    "reference-push-limit-nginx": f"{_LIMIT} nginx",
    "reference-push-limit-haproxy": f"{_LIMIT} haproxy",
    "reference-push-picows": (
        "scenario run push --variant websocket-picows --subject direct --set subscribers=5000"
        " --set messages_per_s=10 --set warmup_s=6"
    ),
    "reference-push-sse": (
        "scenario run push --variant sse --subject direct --set subscribers=2000 --set messages_per_s=10"
        " --set warmup_s=4"
    ),
    "reference-stream": "scenario run stream",
    "reference-chat": (
        "scenario run chat --subject direct --subject nginx --subject haproxy --subject asyncio"
        " --set duration_s=4"
    ),
    "reference-chat-large": (
        "scenario run chat --variant ours --subject direct --subject nginx --set rooms=2000 --set agents=2000"
        " --set warmup_s=10 --set duration_s=6"
    ),
    "reference-registry": (
        "scenario run registry --variant http-short --variant http-kept --variant stream --subject direct"
        " --set duration_s=12"
    ),
    "reference-registry-one-address": (
        "scenario run registry --variant http-short --subject direct --set joins_per_s=1000 --set addresses=1"
    ),
    "reference-broker": "scenario run broker",
    "reference-rpc": (
        "scenario run rpc --trials 2 --subject direct --subject haproxy --variant short --variant pool"
        " --variant multiplexed --variant pool-slow --variant multiplexed-slow --variant ordered-slow"
        " --variant pool-large --variant multiplexed-large --set duration_s=2"
    ),
    "reference-http2": (
        "scenario run http2 --subject direct --subject nginx --subject nginx@wheel --subject haproxy"
        " --subject envoy --subject caddy --subject nghttpx --set duration_s=2"
    ),
    "reference-tls": (
        "scenario run tls --subject nginx --subject haproxy --subject envoy --subject caddy"
        " --set duration_s=3"
    ),
    "reference-migration": "scenario run migration --set tokens=200 --set watch_s=6",
    "reference-migration-ten": "scenario run migration --variant quic-probe --subject direct --trials 10",
    "reference-migration-ten-proxies": (
        "scenario run migration --variant quic-probe --subject envoy --subject caddy --trials 10"
    ),
}
"""What follows `bench`, by the folder below results/; the incident has two, `-at-once` and `-linger`."""


def main() -> None:
    """Make those anew that are named, all without a name; end with 1 where one failed, and go on before."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMMANDS))
    names = parser.parse_args().names or list(COMMANDS)
    if unknown := [name for name in names if name not in COMMANDS]:
        parser.error(f"no such reference run: {', '.join(unknown)}; known: {', '.join(COMMANDS)}")
    failed = [name for name in names if not _make(name)]
    if failed:
        sys.exit(f"not made, and left as they were: {', '.join(failed)}")


def _make(name: str) -> bool:
    """Run the command of `name`, and put what it wrote in place of the old run; return whether it could."""
    sys.stderr.write(f"== {name}: bench {COMMANDS[name]}\n")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        flags = stack.enter_context(_cluster(Path(folder))) if name == "reference-cluster" else []
        made = Path(folder) / "made"
        done = subprocess.run([*_bench(), *shlex.split(COMMANDS[name]), *flags, "-o", str(made)], check=False)
        runs = sorted(made.glob("*/run.jsonl"))
        wanted = [f"{name}-at-once", f"{name}-linger"] if name == "reference-incident" else [name]
        # 1 and 4: trials that do not count for rates, as where the load generator is the limit. They say so.
        if done.returncode not in (0, 1, 4) or len(runs) != len(wanted):
            return False
        for run, place in zip(runs, wanted, strict=True):
            _replace(run.parent, RESULTS / place)
    return True


def _replace(made: Path, place: Path) -> None:
    """Move the files of a run into `place`; what else lies there, as a table that others wrote, stays."""
    place.mkdir(exist_ok=True)
    for file in made.iterdir():
        shutil.move(file, place / file.name)


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[list[str]]:
    """Start four hosts on this machine; yield the flag that names them."""
    contact = folder / "cluster.json"
    command = [*_bench(), "cluster", "up", "--local", "4", "-o", str(contact)]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert up.stdout is not None
    try:
        # Its first line comes when it is ready, or not at all.
        if not up.stdout.readline() or not contact.exists():
            sys.exit("no cluster on this machine")
        yield ["--scheduler", str(contact)]
    finally:
        up.terminate()
        up.wait(_CLUSTER_START_S)


def _bench() -> list[str]:
    return [sys.executable, "-m", "bench"]


if __name__ == "__main__":
    main()
