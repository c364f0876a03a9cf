"""The page that a browser opens: it follows one stream and keeps what it received in `window.received`.

`?by=websocket` follows by WebSocket, else by server-sent events. `window.received` holds the moment (Unix
time in milliseconds) and the text of each message, in the order of coming; the last one ends with ` end`.
"""

from aiohttp import web

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>feed</title>
<script>
const received = window.received = [];
const keep = text => received.push([performance.timeOrigin + performance.now(), text]);
const query = new URLSearchParams(location.search);
const ends = text => text.endsWith(" end");
let last = 0;
function socket() {
  const open = new WebSocket(`ws://${location.host}/socket?since=${last}`);
  let isDone = false;
  open.onmessage = message => {
    last = parseInt(message.data);
    isDone = ends(message.data);
    keep(message.data);
  };
  open.onclose = () => isDone || setTimeout(socket, 200);
}
if (query.get("by") === "websocket") socket();
else {
  const events = new EventSource("/events");
  events.onmessage = message => {
    if (ends(message.data)) events.close();
    keep(`${message.lastEventId} ${message.data}`);
  };
}
</script>
"""


async def page(request: web.Request) -> web.Response:
    """Answer with the page."""
    return web.Response(text=_PAGE, content_type="text/html")
