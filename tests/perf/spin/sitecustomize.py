"""Make a marked proxy spin on every request: `tests.perf.false_alarms` puts this folder on PYTHONPATH."""

import os
import sys
from pathlib import Path

_ARGUMENTS = Path("/proc/self/cmdline").read_bytes().split(b"\0")
_MARK = os.environ.get("BENCH_SPIN_MARK", "").encode()

if b"--pool-max" in _ARGUMENTS and _ARGUMENTS[_ARGUMENTS.index(b"--pool-max") + 1] == _MARK:
    from proxy.exchange import Exchange

    _LOOPS, _begin = int(os.environ["BENCH_SPIN_LOOPS"]), Exchange.begin

    def _spin(self, head, request):  # type: ignore[no-untyped-def]
        for _ in range(_LOOPS):
            pass
        _begin(self, head, request)

    Exchange.begin = _spin  # type: ignore[method-assign]
    sys.stderr.flush()
