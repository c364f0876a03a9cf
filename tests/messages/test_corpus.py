"""The corpus is whole: every message has a reading, and no reading is left over."""

from tests.messages import request_readings, response_readings
from tests.messages.corpus import REQUESTS, RESPONSES, cuts
from tests.messages.model import Answer

OBSERVERS = frozenset({"nginx122", "nginx131", "haproxy28", "envoy140", "caddy211"})


def test_every_reading_has_a_message() -> None:
    assert request_readings.EXPECTED.keys() == REQUESTS.keys()
    assert request_readings.EXPECTED_OF_BACKEND.keys() <= REQUESTS.keys()
    assert response_readings.EXPECTED.keys() == RESPONSES.keys()
    assert response_readings.EXPECTED_OF_LOAD.keys() <= RESPONSES.keys()


def test_all_that_was_observed_is_there() -> None:
    given = [each.observed for each in REQUESTS.values() if each.group != "own"]
    given += [each.observed for each in RESPONSES.values() if each.group != "own"]
    assert len(given) == 280
    assert {frozenset(observed) for observed in given} == {OBSERVERS}


def test_no_connection_with_bytes_left_over_is_reusable() -> None:
    readings = [reading for each in RESPONSES.values() for reading in each.expected]
    answers = [reading for reading in readings if isinstance(reading, Answer)]
    assert answers
    assert not [each for each in answers if each.reusable and each.trailing]
    assert not [each for each in answers if each.reusable and each.framing == "until-close"]


def test_every_cut_joins_to_the_whole() -> None:
    for message in (REQUESTS["control_get"], REQUESTS["header_50k"]):
        assert {b"".join(pieces) for pieces in cuts(message.data)} == {message.data}
