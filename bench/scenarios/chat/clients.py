"""`python -m bench.scenarios.chat.clients`: all members of all rooms, customers and agents."""

import asyncio
import itertools
from time import monotonic_ns
from typing import Any

from bench.scenarios.chat.member import ChatMember, ChatState
from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.client.session import open_session

DRAIN_S = 10.0


class ChatMembers:
    """The members, and what each room's members send in turn."""

    def __init__(self, state: ChatState) -> None:
        job = state.job
        self._state = state
        rooms_of = assign_rooms(job["rooms"], job["agents"], job["agents_per_room"])
        self._in_room = [[ChatMember(state, f"customer{room}", [room])] for room in range(job["rooms"])]
        self.members = [customer for (customer,) in self._in_room]
        for number, rooms in enumerate(rooms_of):
            agent = ChatMember(state, f"agent{number}", rooms)
            self.members.append(agent)
            for room in rooms:
                self._in_room[room].append(agent)

    async def join(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Have them join one after another over half of the warm-up."""
        go = self._state.go
        pause_s = (go.window_ns - go.start_ns) / 1e9 / 2 / len(self.members)
        running = []
        for member in self.members:
            running.append(tasks.create_task(member.run()))
            await asyncio.sleep(pause_s)
        return running

    async def talk(self, control: ClientControl, end_ns: int) -> None:
        """Have a member send a message in one room after another, so often in each, until the end."""
        rooms = len(self._in_room)
        every_ns = self._state.job["send_every_s"] * 1e9 / rooms
        begin_ns = monotonic_ns()
        for turn in itertools.count():
            due_ns = begin_ns + round(turn * every_ns)
            if due_ns >= end_ns or await control.sleep_until(due_ns):
                return
            room = turn % rooms
            members = self._in_room[room]
            await members[turn // rooms % len(members)].send(room)

    async def beat(self) -> None:
        """Have every member send a heartbeat each so often, where the job asks for it."""
        every_s = self._state.job["beat_every_s"]
        while every_s:
            await asyncio.sleep(every_s)
            for member in self.members:
                await member.beat()

    def count_lacking(self) -> int:
        """Return how many messages their receivers still lack."""
        sent = self._state.sent
        return sum(
            receiver.count_lacking(sent[room])
            for member in self.members
            for room, receiver in member.receivers.items()
        )

    def total(self, name: str) -> int:
        """Return the sum of a count of all receivers."""
        return sum(
            getattr(receiver, name) for member in self.members for receiver in member.receivers.values()
        )

    def event(self) -> dict[str, Any]:
        """Return the keys of the `done` event."""
        state = self._state
        copied = ("reconnects", "refused", "presences", "dropped_ns", "back_ns")
        return {
            "sent": sum(state.sent),
            "received": state.delays.total(),
            "lost": self.count_lacking(),
            "doubled": self.total("doubled"),
            "out_of_order": self.total("out_of_order"),
            **{name: getattr(state, name) for name in copied},
            "delay_us": state.delays.histogram(),
        }


def assign_rooms(rooms: int, agents: int, agents_per_room: int) -> list[list[int]]:
    """Return the rooms of each agent: every room has so many different ones, each agent as many rooms."""
    assigned: list[list[int]] = [[] for _ in range(agents)]
    for room in range(rooms):
        for place in range(agents_per_room):
            assigned[(room * agents_per_room + place) % agents].append(room)
    return assigned


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Have all members join and talk until the window ends, and wait until all have received everything."""
    async with open_session() as session:
        chat = ChatMembers(ChatState(session, go, job))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(chat.beat())]  # those who joined first are silent first
            running += await chat.join(tasks)
            await chat.talk(control, go.end_ns)
            await process.wait_until(lambda: not chat.count_lacking(), DRAIN_S)
            done = chat.event()
            for each in running:
                each.cancel()
    return done


if __name__ == "__main__":
    process.run(act)
