"""The server's end of HTTP/2 as h2 keeps it, within the bounds that h2 alone does not have."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, PingFrame

from proxy.http2.endpoint import CONNECTION_WINDOW, MAX_STREAMS, STREAM_WINDOW, Endpoint
from tests.proxy_http2 import GET

HEAD_BYTES = 32_768


@pytest.fixture
def client() -> h2.connection.H2Connection:
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    return client


@pytest.fixture
def endpoint(client: h2.connection.H2Connection) -> Endpoint:
    """An end that has talked with the client."""
    endpoint = Endpoint(HEAD_BYTES)
    talk(endpoint, client)
    talk(endpoint, client)
    return endpoint


def talk(endpoint: Endpoint, client: h2.connection.H2Connection) -> list[h2.events.Event]:
    """Pass on what both have to send; return what the endpoint has understood."""
    received = endpoint.receive_data(client.data_to_send())
    client.receive_data(endpoint.data_to_send())
    return received


def test_the_client_learns_the_limits(client: h2.connection.H2Connection, endpoint: Endpoint) -> None:
    settings = client.remote_settings
    assert settings.max_concurrent_streams == MAX_STREAMS
    assert settings.initial_window_size == STREAM_WINDOW
    assert settings[SettingCodes.ENABLE_PUSH] == 0
    assert settings.max_header_list_size == endpoint.decoder.max_header_list_size >= HEAD_BYTES
    assert client.outbound_flow_control_window == CONNECTION_WINDOW


@pytest.mark.parametrize(("size", "bounded"), [(2**32 - 1, 4096), (4096, 4096), (100, 100), (0, 0)])
def test_the_client_does_not_say_how_much_is_remembered_for_it(
    size: int, bounded: int, client: h2.connection.H2Connection, endpoint: Endpoint
) -> None:
    client.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
    talk(endpoint, client)
    endpoint.bound_table()
    assert endpoint.encoder.header_table_size == bounded
    client.send_headers(1, GET, end_stream=True)
    talk(endpoint, client)
    endpoint.send_headers(1, [(b":status", b"200"), (b"a", b"b" * 100)], end_stream=True)
    received = client.receive_data(endpoint.data_to_send())
    assert any(isinstance(each, h2.events.ResponseReceived) for each in received)


def test_streams_that_are_over_are_forgotten(client: h2.connection.H2Connection, endpoint: Endpoint) -> None:
    for number in range(1, 2_001, 2):
        client.send_headers(number, GET, end_stream=True)
        talk(endpoint, client)
        endpoint.send_headers(number, [(b":status", b"204")], end_stream=True)
        talk(endpoint, client)
    assert len(endpoint.streams) + len(endpoint._closed_streams) < 300


def test_a_goaway_of_either_side_ends_no_stream(
    client: h2.connection.H2Connection, endpoint: Endpoint
) -> None:
    client.send_headers(1, GET, end_stream=True)
    talk(endpoint, client)
    event, *_ = endpoint.receive_data(GoAwayFrame(0).serialize() + PingFrame(0).serialize())
    assert isinstance(event, h2.events.ConnectionTerminated)
    endpoint.announce_end(ErrorCodes.NO_ERROR, "why")
    endpoint.send_headers(1, [(b":status", b"204")], end_stream=True)
    assert b"why" in endpoint.data_to_send()
