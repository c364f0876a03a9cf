"""What a probe found is the same after its way through JSON, and what is no such thing is told in a line."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeJson, ProbeResult

FULL = ProbeResult(
    target="https://shop.test/a",
    host="shop.test",
    port=443,
    path="/a",
    server="nginx",
    versions=("HTTP/1.0", "HTTP/1.1", "h2"),
    cases=(
        KeepAliveCase("HTTP/1.1 GET", True, status=200),
        KeepAliveCase("error", False, announced=True, status=400, ending=Ending.FIN),
        KeepAliveCase("304", None, reason="the response has no validator"),
    ),
    max_requests=10,
    requests_tried=10,
    max_requests_announced=True,
    announced_max=100,
    idle=IdleTimeout(4.9, 5.2, (5.0, 5.1), Ending.FIN),
    idle_before_request=IdleTimeout(60.0, None),
    announced_idle_s=5.0,
    connections_used=12,
    requests_used=40,
    took_s=61.5,
    notes=("a note",),
)
LEAST = ProbeResult("127.0.0.1:1", "127.0.0.1", 1, "/")


@pytest.mark.parametrize("result", [FULL, LEAST], ids=["full", "least"])
def test_a_result_comes_back_from_json(result: ProbeResult) -> None:
    assert ProbeResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize("result", [FULL, LEAST], ids=["full", "least"])
def test_the_type_of_the_json_names_each_key_and_no_other(result: ProbeResult) -> None:
    shape = msgspec.json.schema(ProbeJson)
    for definition in shape["$defs"].values():
        definition["additionalProperties"] = False
    jsonschema.validate(json.loads(json.dumps(result.to_json())), shape)


def test_an_idle_time_is_known_once_an_end_was_seen() -> None:
    assert FULL.idle is not None
    assert FULL.idle_before_request is not None
    assert (FULL.idle.is_known, FULL.idle_before_request.is_known) == (True, False)


def changed(**changes: Any) -> dict[str, Any]:
    return {**FULL.to_json(), **changes}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "it is no result of `bench probe --json`"),
        (None, "it is no result of `bench probe --json`"),
        ({"kind": "run"}, "it is no result of `bench probe --json`"),
        (changed(format=2), "its format is 2, and this version reads 1"),
        (changed(port="80"), "expected `int`, got `str` - at `$.port`"),
        (changed(idle={"low_s": 5.0}), "object missing required field `high_s` - at `$.idle`"),
        (changed(idle={"low_s": 5.0, "high_s": 4.0}), "an idle time from 5.0 s to 4.0 s makes no sense"),
        (changed(idle={"low_s": -1.0, "high_s": None}), "an idle time from -1.0 s to None s makes no sense"),
    ],
)
def test_what_is_no_result_is_named(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        ProbeResult.from_json(value)
    assert str(raised.value) == said


def test_a_key_of_a_later_version_is_passed_over() -> None:
    assert ProbeResult.from_json(changed(later=1)) == FULL


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEAST.port = 2  # type: ignore[misc]
