"""What an nginx says to a configuration without running it: `nginx -t` on a copy that can do no harm.

The copy is that of a proof, addresses, files and paths replaced, and what is left out there nginx does not
judge either: servers that pass nothing on, limits, caches, logs, code, modules that it does not have.
"""

from __future__ import annotations

from bench import lab
from bench.lab import landlock
from bench.prove.accepting import Refusal, accepted
from bench.prove.changes import Ledger
from bench.prove.inventory import scene
from bench.prove.nginx_process import Nginx, furnish, user
from bench.prove.rewrite import Rewriting
from bench.prove.targets import NOWHERE
from bench.prove.testbed import doors_of, port_of
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model


def said(model: Model, program: Program) -> Refusal | None:
    """Returns what one nginx has against a configuration; None if it takes it.

    LabError where no folder can be had, RoleError where nginx does not end.
    """
    found, ledger = scene(model), Ledger()
    with lab.open_lab("loopback") as place:
        host = place.hosts["proxy"]
        folder = host.scratch("check")
        furnish(folder)
        doors = doors_of(found, host, "auto")
        binds = [port_of(address) for each in doors.values() for address in each.addresses]
        host.call(landlock.restrict, folder, binds, [])
        backends = {spot.number: {peer: [NOWHERE] for peer in spot.peers} for spot in found.spots}
        version = versions.parse(program.version)
        rewriting = Rewriting(found, backends, doors, user(), version, ledger)
        nginx = Nginx(program, host, folder)
        text = accepted(rewriting.directives(), nginx.check, model.variables, ledger, version=program.version)
        return text if isinstance(text, Refusal) else None
