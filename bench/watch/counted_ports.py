"""Which ports the requests of a source belong to that tells no ports apart. Pure."""

from collections.abc import Iterable

from bench.watch.model import Direction, RequestFlow, Snapshot


class CountedPorts:
    """The ports of the hops of some snapshots, and whose requests belong to which."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        """Note the ports, each with the processes that were seen to hold its connections."""
        self._processes: dict[Direction, dict[int, set[str]]] = {each: {} for each in Direction}
        for snapshot in snapshots:
            for each in snapshot.hops:
                if not each.is_unattributed:
                    held = self._processes[each.hop.direction].setdefault(each.hop.port, set())
                    held.update(name.lower() for name in each.state.processes)
        self._found: dict[tuple[Direction, str], frozenset[int]] = {}

    def of(self, flow: RequestFlow) -> frozenset[int]:
        """Return the ports that requests belong to; none where they can be of one or of another.

        What nginx counts as a whole is of the ports where nginx was seen, and not of a server beside it.
        """
        if flow.port is not None:
            return frozenset({flow.port})
        key = flow.direction, flow.program
        if key not in self._found:
            self._found[key] = self._of_program(*key)
        return self._found[key]

    def _of_program(self, direction: Direction, program: str) -> frozenset[int]:
        processes = self._processes[direction]
        own = frozenset(port for port, held in processes.items() if program in held)
        return own or frozenset(processes if len(processes) == 1 else ())
