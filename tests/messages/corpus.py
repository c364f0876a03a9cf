"""The corpus, loaded: `REQUESTS`, `RESPONSES`, and the ways to cut bytes that every framing is tried with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.messages import request_readings, response_readings
from tests.messages.model import RequestMessage, ResponseMessage, Step

_HERE = Path(__file__).parent
_Pieces = str | list[str | dict[str, Any]]


def _bytes(pieces: _Pieces) -> bytes:
    """Joins pieces: text (a character a byte), or something repeated so many times, numbered or not."""
    if isinstance(pieces, str):
        return pieces.encode("latin-1")
    return b"".join(_piece(piece) for piece in pieces)


def _piece(piece: str | dict[str, Any]) -> bytes:
    if isinstance(piece, str):
        return piece.encode("latin-1")
    if "repeat" in piece:
        return str(piece["repeat"]).encode("latin-1") * int(piece["times"])
    return b"".join((piece["numbered"] % number).encode("latin-1") for number in range(piece["times"]))


def _step(action: Any, *argument: Any) -> Step:
    if action == "send":
        return Step(action, data=_bytes(argument[0]))
    return Step(action, seconds=float(argument[0]) if argument else 0.0)


def _request(given: dict[str, Any]) -> RequestMessage:
    name = given["name"]
    expected = request_readings.EXPECTED[name]
    return RequestMessage(
        name=name,
        group=given["group"],
        note=given.get("note", ""),
        data=_bytes(given["bytes"]),
        half_close=name.endswith("_halfclose"),
        observed=given["observed"],
        expected=expected,
        expected_of_backend=request_readings.EXPECTED_OF_BACKEND.get(name, expected),
        forwarded={
            field: tuple(map(tuple, allowed)) for field, allowed in given.get("forwarded", {}).items()
        },
    )


def _response(given: dict[str, Any]) -> ResponseMessage:
    expected = response_readings.EXPECTED[given["name"]]
    return ResponseMessage(
        name=given["name"],
        group=given["group"],
        note=given.get("note", ""),
        method=given["method"],
        script=tuple(_step(*step) for step in given["script"]),
        observed=given["observed"],
        expected=expected,
        expected_of_load=response_readings.EXPECTED_OF_LOAD.get(given["name"], expected),
    )


def _load(name: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads((_HERE / name).read_text())
    return messages


REQUESTS = {given["name"]: _request(given) for given in _load("requests.json")}
RESPONSES = {given["name"]: _response(given) for given in _load("responses.json")}


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Yields the ways in which bytes may arrive: whole, byte by byte, and cut in two at every place.

    Long messages are cut into 1,000-byte pieces instead, lest the time grow with their length squared.
    """
    yield [data]
    if len(data) > 2000:
        yield [data[at : at + 1000] for at in range(0, len(data), 1000)]
        return
    yield [data[at : at + 1] for at in range(len(data))]
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
