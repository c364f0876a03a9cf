"""The other chat server: a Django Channels application under Daphne."""

import socket
import sys

from bench.experiment.testbed import Testbed
from bench.subjects import launch

_APPLICATION = "backends.scenarios.chat.channels_app:application"
_BACKLOG_PATIENCE = ("--websocket_connect_timeout", "30", "--websocket_timeout", "-1", "--ping-interval", "0")


def start(testbed: Testbed) -> str:
    """Start Daphne with the application; return where it listens. It counts nothing itself."""
    host, _, port = testbed.address("backend").rpartition(":")
    if port == "0":  # it does not report which one it was given
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = str(probe.getsockname()[1])
    flags = ("-b", host, "-p", port, "-v", "0", *_BACKLOG_PATIENCE)
    argv = [sys.executable, "-m", "daphne", *flags, _APPLICATION]
    place = testbed.place.hosts["backend"]
    process = place.start(argv, name="daphne", cpus=testbed.cores("backend"), control=False)
    launch.await_listening(place, process, f"{host}:{port}")
    testbed.observe_process(process.pid, int(port))
    return f"{host}:{port}"
