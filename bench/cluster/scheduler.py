"""Dask's scheduler as a cluster of ours runs it: its workers seldom tell how they fare.

To be imported after Dask's settings, which it reads when it is imported.
"""

from typing import Any

import distributed

HEARTBEAT_S = 30.0
"""Between two heartbeats of a worker; Dask itself has some workers send one twice a second.

No loss is found by them: a run renews its lease (lease.py), and TCP notices a machine without a network.
Their metrics would be most of what a cluster says while it idles.
"""


class Scheduler(distributed.Scheduler):
    """A scheduler whose workers send few heartbeats. Its states are those of Dask."""

    def heartbeat_worker(self, **told: Any) -> dict[str, Any]:
        """Take the heartbeat of a worker, and return when the next one is due.

        It is what Dask's own configuration does not name.
        """
        answer: dict[str, Any] = super().heartbeat_worker(**told)
        return answer | {"heartbeat-interval": HEARTBEAT_S}
