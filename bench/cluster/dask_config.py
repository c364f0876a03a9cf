"""Dask's settings in a cluster of ours: nothing runs that takes CPU time beside a measurement.

The names are those of distributed.yaml. A part of a trial is a task that runs as long as the trial: it must
not be moved to another worker, or started again somewhere else.
"""

from typing import Any

SETTINGS: dict[str, Any] = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.http.routes": [],
    "distributed.scheduler.http.routes": [],
    # So long it takes to miss a machine without a network. Each end probes an idle connection after what ten
    # probes, one a second, leave of it: with 11 s, the least, these are most of what a cluster says.
    "distributed.comm.timeouts.tcp": "15s",
}
LOGGING: dict[str, Any] = {"logging": {"distributed": "warning"}}
"""What goes to stderr; to be set before `distributed` is imported."""
# Dask serves HTTP whatever is said, on every interface: here it is none but this machine's, without a page.
_NO_PAGES = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
OPTIONS: dict[str, dict[str, Any]] = {
    "Scheduler": _NO_PAGES,
    # No limit: it would pause or kill a worker for the memory that its roles use.
    "Worker": {**_NO_PAGES, "memory_limit": 0, "death_timeout": 60},
}
"""Options of Dask's classes that are the same in each cluster."""
