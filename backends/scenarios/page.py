"""The pages that a browser is given: each follows one stream and keeps what it got in `window.got`.

`?by=websocket` follows by WebSocket, else by server-sent events. `window.got` holds the moment (Unix time in
milliseconds) and the text of each message, in the order of coming; the last one ends with ` end`.
"""

from typing import Final

_PAGE: Final = """<!doctype html>
<meta charset="utf-8">
<title>%s</title>
<script>
const got = window.got = [];
const take = text => got.push([performance.timeOrigin + performance.now(), text]);
const asked = new URLSearchParams(location.search);
const ends = text => text.endsWith(" end");
let last = 0;
function socket() {
  const open = new WebSocket(`ws://${location.host}/socket?since=${last}`);
  let isDone = false;
  open.onmessage = message => {
    last = parseInt(message.data);
    isDone = ends(message.data);
    take(message.data);
  };
  open.onclose = () => isDone || setTimeout(socket, 200);
}
if (asked.get("by") === "websocket") socket();
else {
  const events = new EventSource("/events");
  events.onmessage = message => {
    if (ends(message.data)) events.close();
    take(`${message.lastEventId} ${message.data}`);
  };
}
</script>
"""

FEED: Final = _PAGE % "feed"
