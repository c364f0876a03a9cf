"""The pages that a browser is given: each follows one stream and keeps what it got in `window.got`.

`?by=websocket` follows by WebSocket, else by server-sent events. `window.got` holds the moment (Unix time in
milliseconds) and the text of each message, in the order of coming.
"""

from typing import Final

_PAGE: Final = """<!doctype html>
<meta charset="utf-8">
<title>%s</title>
<script>
const got = window.got = [];
const take = text => got.push([performance.timeOrigin + performance.now(), text]);
const asked = new URLSearchParams(location.search);
let last = 0;
function socket() {
  const open = new WebSocket(`ws://${location.host}/socket?since=${last}${location.hash.slice(1)}`);
  open.onmessage = message => { last = parseInt(message.data); take(message.data); };
  open.onclose = () => setTimeout(socket, 200);
}
if (asked.get("by") === "websocket") socket();
else {
  const events = new EventSource("/events" + location.hash.slice(1));
  events.onmessage = message => take(`${message.lastEventId} ${message.data}`);
}
</script>
"""

FEED: Final = _PAGE % "feed"
