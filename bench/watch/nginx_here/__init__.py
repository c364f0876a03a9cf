"""nginx on this host: what its configuration says about the hops whose connections are seen.

It is found by its processes and read through their root, so that one in a container is found too. Nothing is
run and nothing is asked, unless the user allows `nginx -T`.
"""

from bench.watch.nginx_here.find import find_nginx, find_pids
from bench.watch.nginx_here.model import NginxHere, NginxHereJson, NginxLocation

__all__ = ["NginxHere", "NginxHereJson", "NginxLocation", "find_nginx", "find_pids"]
