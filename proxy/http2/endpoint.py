"""The server's end of one HTTP/2 connection, as the library h2 keeps it: what goes in and out are bytes."""

from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import hyperframe.frame
from h2.settings import SettingCodes

MAX_STREAMS = 128
"""Requests at a time on one connection, as in nginx (`http2_max_concurrent_streams`)."""
STREAM_WINDOW = 65_535
"""Bytes of a request body that the client may send ahead (RFC 9113, section 6.9.2: the initial value)."""
CONNECTION_WINDOW = 1 << 20
"""The same of all streams: a few uploads whose upstreams stand still do not stop the others."""
_MAX_TABLE_BYTES = 4096
"""Most that the compression of responses may remember, whatever the client allows: it costs our memory."""
_HEAD_GROWTH = 2
"""A head up to this many times too long is answered (431): the connection goes on."""


class Endpoint(h2.connection.H2Connection):
    """One end, whose preface is written already; what is begun before a GOAWAY is still answered.

    RFC 9113, section 6.8, has it so, while h2 takes a GOAWAY for the end.

    Args:
        head_bytes: the longest head of a request.
    """

    MAX_CLOSED_STREAMS = 256
    """Closed streams of which h2 remembers how they were closed, for frames that were on their way."""

    def __init__(self, head_bytes: int) -> None:
        super().__init__(
            h2.config.H2Configuration(
                client_side=False,
                header_encoding=None,
                # Errors of a request are those of its stream, while h2 would end the connection.
                validate_inbound_headers=False,
                # Responses have been read as HTTP/1.1.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.head_block_bytes = _HEAD_GROWTH * head_bytes
        self.local_settings = self._settings(MAX_STREAMS)
        self.initiate_connection()
        # What is over the limit is refused stream by stream, while h2 would end the connection.
        self.local_settings = self._settings(self.HIGHEST_ALLOWED_STREAM_ID)
        self.decoder.max_header_list_size = self.head_block_bytes
        self.increment_flow_control_window(CONNECTION_WINDOW - STREAM_WINDOW)

    def _settings(self, streams: int) -> h2.settings.Settings:
        return h2.settings.Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: self.head_block_bytes,
            },
        )

    def bound_table(self) -> None:
        """Bound the memory of the compression, after settings of the client."""
        if self.encoder.header_table_size <= _MAX_TABLE_BYTES:
            # To set it again would have the encoder forget to announce the change.
            return
        self.encoder.header_table_size = _MAX_TABLE_BYTES

    def announce_end(self, code: h2.errors.ErrorCodes, reason: str = "") -> None:
        """Write a GOAWAY, and go on with the streams that there are; h2 would end them."""
        frame = hyperframe.frame.GoAwayFrame(
            last_stream_id=self.highest_inbound_stream_id,
            error_code=code,
            additional_data=reason.encode("ascii", "backslashreplace"),
        )
        self._prepare_for_sending([frame])

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]
