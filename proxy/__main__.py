"""`python -m proxy`: flags in, events out. The only prints and the only exit codes."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys

import uvloop

from proxy import __version__
from proxy.errors import ListenError
from proxy.server import Server, listen
from proxy.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="proxy")
    parser.add_argument("--listen", required=True)
    parser.add_argument("--upstream", required=True, action="append")
    parser.add_argument("--mode", choices=("short", "keepalive"), required=True)
    parser.add_argument("--closer", choices=("proxy", "backend"), default="proxy")
    args = parser.parse_args()
    def addr(x):
        h, _, p = x.rpartition(":")
        return h, int(p)
    settings = Settings(listen=addr(args.listen), upstreams=tuple(map(addr, args.upstream)), mode=args.mode, closer=args.closer)
    try:
        sock = listen(settings)
    except ListenError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return 3
    async def run():
        loop = asyncio.get_running_loop()
        server = Server(settings, loop)
        for s in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(s, server.stop)
        h, p = sock.getsockname()
        print(json.dumps({"event": "ready", "role": "proxy", "pid": os.getpid(), "version": __version__, "listen": [f"{h}:{p}"], "workers": 1}), flush=True)
        await server.serve(sock)
        print(json.dumps(server.counters.as_event("done")), flush=True)
    uvloop.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
