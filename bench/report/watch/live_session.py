"""A session whose looks a live view shows: the one runs on a thread, the other owns the terminal."""

import asyncio
import signal
import threading
from collections.abc import Sequence

from bench.errors import BenchError
from bench.report.watch.live import Looked, WatchView
from bench.watch.session import Consumer, Look, Session
from bench.watch.stop_signals import is_ignored


class LiveSession(WatchView):
    """The view with its session, which begins when the view is there and ends with it."""

    def __init__(
        self,
        session: Session,
        scope: str,
        consumers: Sequence[Consumer] = (),
        duration_s: float | None = None,
        told: Sequence[str] = (),
    ) -> None:
        """`told` is what the consumers have to say; what is new in it is shown for some seconds."""
        super().__init__(scope)
        self._session = session
        self._consumers = [*consumers, self._receive]
        self._told, self._shown_of_told = told, 0
        self._duration_s = duration_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._failure: BenchError | OSError | None = None

    def on_mount(self) -> None:
        """Begin to look."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if not is_ignored(number):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self._thread.start()

    def perform(self, *, headless: bool = False) -> None:
        """Show the session until it ends or the user ends it; raise what it failed of."""
        try:
            self.run(headless=headless)
        finally:
            self._stopped.set()
            if self._thread.ident is not None:
                self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _receive(self, look: Look) -> None:
        self.post_message(Looked(look))
        new, self._shown_of_told = self._told[self._shown_of_told :], len(self._told)
        for text in new:
            self.call_from_thread(self.notify, text, severity="warning", markup=False)

    def _watch(self) -> None:
        try:
            self._session.run(self._consumers, self._stopped.wait, self._duration_s)
        except (BenchError, OSError) as error:
            self._failure = error
        if not self._stopped.is_set():
            self.call_from_thread(self.exit)
