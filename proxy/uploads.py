"""Bounds the upstream connections that requests hold while their bodies still arrive.

A body that comes slowly holds an upstream connection as long as its client likes. So at most half of the
connections may carry such a request, and the others are left to requests that are complete.
"""

from collections import OrderedDict
from typing import Protocol


class Upload(Protocol):
    """A request whose body is to be streamed."""

    def start_upload(self) -> None:
        """Send the request while its body arrives."""


class UploadGate:
    """The uploads of one worker; `most` is how many may stream at once, the others wait in order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._streaming: set[Upload] = set()
        self._waiting: OrderedDict[Upload, None] = OrderedDict()

    def enter(self, upload: Upload) -> bool:
        """Return whether `upload` may stream now; otherwise its `start_upload` is called later."""
        if len(self._streaming) < self._most:
            self._streaming.add(upload)
            return True
        self._waiting[upload] = None
        return False

    def leave(self, upload: Upload) -> None:
        """Forget an upload, if there is one, whose body is complete or that has ended."""
        self._waiting.pop(upload, None)
        if upload not in self._streaming:
            return
        self._streaming.remove(upload)
        if self._waiting:
            following, _ = self._waiting.popitem(last=False)
            self._streaming.add(following)
            following.start_upload()
