"""An answer of many tokens: when each is due, and what a client gets that comes back."""

import pytest

from backends.scenarios.tokens.answer import Pace, TokenAnswer, TokenCounters


def test_tokens_are_due_one_after_another_with_one_silence_in_the_middle() -> None:
    pace = Pace(tokens=4, every_s=0.5, silence_s=10.0)
    assert [pace.due_s(number) for number in (1, 2, 3, 4)] == [0.0, 0.5, 11.0, 11.5]


@pytest.mark.parametrize(("last", "numbers"), [(0, [1, 2, 3]), (2, [3]), (3, [])])
async def test_a_client_gets_all_that_are_due_after_the_last_that_it_has(
    last: int, numbers: list[int]
) -> None:
    assert list(await TokenAnswer(Pace(3, 0.0), announces_end=True).after(last)) == numbers


@pytest.mark.parametrize(("announces_end", "numbers"), [(True, [[1, 2, 3], [4]]), (False, [[1, 2, 3]])])
async def test_an_answer_may_announce_its_end(announces_end: bool, numbers: list[list[int]]) -> None:
    answer = TokenAnswer(Pace(3, 0.0), announces_end=announces_end)
    batches = [batch async for batch in answer.batches(0)]
    assert [[token.number for token in batch] for batch in batches] == numbers
    words = [token.text.partition(" ")[2] for batch in batches for token in batch]
    assert ("end" in words) == announces_end


def test_paths_are_reported_by_their_number() -> None:
    counters = TokenCounters(quic=1, paths={("127.0.0.1", 1), ("127.0.0.2", 1)})
    event = counters.event("count")
    assert (event["quic"], event["paths"], event["accepted"]) == (1, 2, 0)
