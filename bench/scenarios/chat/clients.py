"""`python -m bench.scenarios.chat.clients`: all members of all rooms, customers and agents."""

from __future__ import annotations

import asyncio
import itertools
import sys
from time import monotonic_ns
from typing import Any

import aiohttp

from bench.scenarios.chat.member import House, Member
from bench.scenarios.chat.tally import seats
from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go

DRAIN_S = 10.0
_LOOK_S = 0.05


class Crowd:
    """The members, and what each room's members say in turn."""

    def __init__(self, house: House) -> None:
        job = house.job
        self._house = house
        customers = [Member(house, f"customer{room}", [room]) for room in range(job["rooms"])]
        rooms_of = seats(job["rooms"], job["agents"], job["agents_per_room"])
        agents = [Member(house, f"agent{place}", rooms) for place, rooms in enumerate(rooms_of)]
        self.members = [*customers, *agents]
        self._in_room: list[list[Member]] = [[customer] for customer in customers]
        for agent, rooms in zip(agents, rooms_of, strict=True):
            for room in rooms:
                self._in_room[room].append(agent)

    async def come(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Let them in one after another over half of the warm-up."""
        go = self._house.go
        pause_s = (go.window_ns - go.start_ns) / 1e9 / 2 / len(self.members)
        living = []
        for member in self.members:
            living.append(tasks.create_task(member.live()))
            await asyncio.sleep(pause_s)
        return living

    async def talk(self, control: Control, end_ns: int) -> None:
        """Have somebody say something in one room after another, so often in each, until the end."""
        rooms = len(self._in_room)
        every_ns = self._house.job["say_every_s"] * 1e9 / rooms
        begin_ns = monotonic_ns()
        for turn in itertools.count():
            due_ns = begin_ns + round(turn * every_ns)
            if due_ns >= end_ns or await control.sleep_until(due_ns):
                return
            room = turn % rooms
            members = self._in_room[room]
            await members[turn // rooms % len(members)].say(room)

    async def beat(self) -> None:
        """Have every member send something each so often, where the job asks for it."""
        every_s = self._house.job["beat_every_s"]
        while every_s:
            await asyncio.sleep(every_s)
            for member in self.members:
                await member.beat()

    def lacking(self) -> int:
        """Return how many messages somebody has not heard yet."""
        said = self._house.said
        return sum(ear.lacks(said[room]) for member in self.members for room, ear in member.ears.items())

    def total(self, name: str) -> int:
        """Return the sum of a count of all ears."""
        return sum(getattr(ear, name) for member in self.members for ear in member.ears.values())


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let everybody in, have them talk until the window ends, and wait until all have heard everything."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    assert go.end_ns is not None, "a chat has a window"
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        house = House(session, go, job)
        crowd = Crowd(house)
        async with asyncio.TaskGroup() as tasks:
            living = [tasks.create_task(crowd.beat())]  # whoever has come first is silent first
            living += await crowd.come(tasks)
            await crowd.talk(control, go.end_ns)
            deadline_ns = monotonic_ns() + round(DRAIN_S * 1e9)
            while crowd.lacking() and monotonic_ns() < deadline_ns:
                await asyncio.sleep(_LOOK_S)
            told = _told(house, crowd)
            for each in living:
                each.cancel()
    return told


def _told(house: House, crowd: Crowd) -> dict[str, Any]:
    return {
        "said": sum(house.said),
        "heard": house.delays.total(),
        "lost": crowd.lacking(),
        "doubled": crowd.total("doubled"),
        "disordered": crowd.total("disordered"),
        "connected": house.connected,
        "reconnects": house.reconnects,
        "refused": house.refused,
        "presences": house.presences,
        "dropped_ns": house.dropped_ns,
        "back_ns": house.back_ns,
        "delay_us": house.delays.histogram(),
    }


if __name__ == "__main__":
    sys.exit(process.run(act))
