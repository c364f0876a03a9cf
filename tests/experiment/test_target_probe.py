"""What is said of a target before a run, from its answer or from why there is none."""

from __future__ import annotations

import pytest

from bench.analysis.target import describe_answer
from bench.errors import ExitCode, PlanError, TargetError
from bench.experiment import target_probe
from bench.plan import run_plan
from bench.runs.target_record import TargetRecord
from tests.load.scripted import Conversation, serving


def reply(head: bytes) -> TargetRecord | None:
    """Return what is recorded of a server that sends `head`."""

    def script(conversation: Conversation) -> None:
        for _ in conversation.requests():
            conversation.send(head)

    with serving(script) as server:
        plan = run_plan.build({"subject": {"target": f"http://127.0.0.1:{server.port}/a?b=c"}})
        found = target_probe.probe_target(plan)
        assert found is None or found.address == f"127.0.0.1:{server.port}"
        assert server.seen[0].head.startswith(b"GET /a?b=c&n=0 HTTP/1.1\r\n")
    return found


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n",
            "answers 200 OK (HTTP/1.1, nginx)",
        ),
        (
            b"HTTP/1.0 204 No Content\r\n\r\n",
            "answers 204 No Content (HTTP/1.0, closes the connection after each response)",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
            "answers 302 Found (HTTP/1.1); that is a redirect to /b, and none is followed: request that, or"
            " accept it with --expect-status 302",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            "answers 404 Not Found (HTTP/1.1); that is an error of the request",
        ),
        (b"HTTP/1.1 500 No\r\n\r\n", "answers 500 No (HTTP/1.1); that is an error of the server"),
    ],
)
def test_an_answer_is_told_in_one_line(head: bytes, said: str) -> None:
    found = reply(head)
    assert found is not None
    assert said in describe_answer(found)


def test_what_was_measured_for_itself_is_not_said_to_fail() -> None:
    found = TargetRecord("http://x/", "127.0.0.1:80", "HTTP/1.1", 404)
    assert describe_answer(found, {404}) == "http://x/ answers 404 (HTTP/1.1)"


def test_a_plan_without_a_target_is_not_probed() -> None:
    assert target_probe.probe_target(run_plan.build({})) is None


def test_garbage_is_an_error_of_the_environment() -> None:
    with pytest.raises(TargetError, match=r"is no HTTP .*; name a port that speaks HTTP/1\.1") as raised:
        reply(b"SSH-2.0-x\r\n")
    assert raised.value.exit_code is ExitCode.ENVIRONMENT


def test_a_name_without_an_address_is_an_error_of_the_plan() -> None:
    plan = run_plan.build({"subject": {"target": "http://nowhere.invalid:81/"}})
    with pytest.raises(PlanError, match=r"nowhere\.invalid has no address"):
        target_probe.probe_target(plan)
