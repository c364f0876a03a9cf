"""The client's end of an HTTP/2 connection, as the library h2 keeps it: what goes in and out are bytes."""

from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

_WINDOW_BYTES = (1 << 24) - 1
"""What the server may send ahead on a stream and on the connection: a load generator reads at once."""


class Endpoint(h2.connection.H2Connection):
    """One end, whose preface is written already; what is begun before a GOAWAY is still answered.

    RFC 9113, section 6.8, has it so, while h2 takes a GOAWAY for the end, and each frame behind it for an
    error.
    """

    def __init__(self) -> None:
        super().__init__(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.local_settings = h2.settings.Settings(
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0,
            }
        )
        self.initiate_connection()
        self.increment_flow_control_window(_WINDOW_BYTES)

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]
