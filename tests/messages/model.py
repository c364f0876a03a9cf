"""The words of the corpus: messages as they are on the wire, and readings of them.

A message has several readings where RFC 9110 and 9112 let a careful reader choose; the first is the strict
one. Statuses of a refusal: the first is the best fit, the others are right too.
"""

from dataclasses import dataclass
from typing import Literal

Framing = str
"""`none`, `CL=n`, `chunked` or, in responses only, `until-close`."""


@dataclass(frozen=True, slots=True)
class Accept:
    """A request that is read whole; `trailing` bytes after it belong to whatever comes next."""

    method: str = "GET"
    framing: Framing = "none"
    body: bytes = b""
    trailing: bytes = b""
    keep_alive: bool = True
    expects_continue: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is read whole, after `interim` ones (1xx); `reusable`: its connection may be pooled.

    `trailing` bytes belong to no request: a connection that carries any is never reusable.
    """

    status: int = 200
    framing: Framing = "CL=5"
    body: bytes = b"hello"
    reusable: bool = True
    trailing: bytes = b""
    interim: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A message whose end never comes; `framing` is None while its head is not whole.

    It must never be taken for a whole one, whatever ends it: silence, a FIN or a reset.
    """

    framing: Framing | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A message that is no acceptable one; `in_body`: its head reads well, what follows does not.

    A request earns one of `statuses`, a response makes a proxy answer 502 and is never pooled.
    """

    statuses: tuple[int, ...]
    clause: str
    in_body: bool = False


RequestReading = Accept | Incomplete | Refuse
ResponseReading = Answer | Incomplete | Refuse
Observed = dict[str, str | dict[str, str]]
Ending = Literal["open", "close", "reset"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a scripted backend does: send `data`; sleep, hold or drain for `seconds`; close; rst."""

    action: Literal["send", "sleep", "hold", "drain", "close", "rst"]
    data: bytes = b""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RequestMessage:
    """One request: its bytes, and the readings that are right for a proxy and for a backend.

    `half_close`: the client shuts its sending side down right after the bytes.
    """

    name: str
    group: str
    note: str
    data: bytes
    half_close: bool
    observed: Observed
    expected: tuple[RequestReading, ...]
    expected_of_backend: tuple[RequestReading, ...]
    forwarded: dict[str, tuple[tuple[str, ...], ...]]
    """Fields as a proxy passes them on: for each name the members that may arrive, all of them or none."""


@dataclass(frozen=True, slots=True)
class ResponseMessage:
    """One answer to a request with `method`, as a script that a backend plays after reading the request."""

    name: str
    group: str
    note: str
    method: str
    script: tuple[Step, ...]
    observed: Observed
    expected: tuple[ResponseReading, ...]
    expected_of_load: tuple[ResponseReading, ...]

    @property
    def data(self) -> bytes:
        """All bytes that the backend sends, joined."""
        return b"".join(step.data for step in self.script)

    @property
    def ending(self) -> Ending:
        """How the backend leaves the connection in the end."""
        actions = {step.action for step in self.script}
        return "reset" if "rst" in actions else "close" if "close" in actions else "open"
