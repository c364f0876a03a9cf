"""Why no scheduler answers: one line with the remedy, and soon, whatever listens there."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.cluster import certificates, endpoint
from bench.errors import LabError
from tests import needs
from tests.cluster.clusters import EXTRA, PACKAGE

SOON_S = 0.2
"""How long a silent listener is waited for."""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Return where a scheduler of this process has its scratch space: else in the temporary folder of all."""
    needs.module(PACKAGE, EXTRA)
    import dask.config  # noqa: PLC0415 - takes a while

    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield tmp_path / "dask-scratch-space"


def said(address: str, security: Any = None, timeout_s: float = 20.0) -> str:
    """Return what is said of the scheduler at `address`; empty where it answers."""
    from distributed import Security  # noqa: PLC0415 - takes half a second

    try:
        endpoint.reach(address, security or Security(), timeout_s)  # type: ignore[no-untyped-call]
    except LabError as error:
        return str(error).removeprefix(f"cluster: no scheduler answers at {address}: ")
    return ""


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        expected = "nobody listens there; start one with `bench cluster up`, or with Dask's own commands"
        assert said(f"tcp://127.0.0.1:{port}") == expected


def test_what_listens_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        expected = "nothing that speaks as Dask within 0.2 s; name the port of a scheduler"
        assert said(address, timeout_s=SOON_S) == expected


def test_a_firewall_drops_what_is_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_for_ever(*anything: object, **more: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", wait_for_ever)
    expected = (
        "no connection within 0.2 s; let it pass the firewalls between, or name the port of a scheduler"
    )
    assert said("tcp://127.0.0.1:8786", timeout_s=SOON_S) == expected


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, certificates.CertificateFiles]:
    """Return the certificates of two clusters."""
    needs.module(PACKAGE, EXTRA)
    return {name: certificates.make(tmp_path_factory.mktemp(name)) for name in ("ours", "theirs")}


def ask(held: Mapping[str, Any] | None, client: Mapping[str, Any] | None, protocol: str) -> str:
    """Return what a client with these certificates is told by a scheduler with those, None: without TLS."""
    from distributed import Scheduler, Security  # noqa: PLC0415 - takes half a second

    async def serve() -> str:
        security = Security(**held or {})  # type: ignore[no-untyped-call]
        async with Scheduler(
            host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0", security=security
        ) as scheduler:
            address = f"{protocol}://{scheduler.address.partition('://')[2]}"
            return await asyncio.to_thread(said, address, Security(**client or {}))  # type: ignore[no-untyped-call]

    return asyncio.run(serve())


def test_it_answers(files: Mapping[str, certificates.CertificateFiles], scratch: Path) -> None:
    ours = files["ours"].security()
    assert ask(ours, ours, "tls") == ""
    assert ask(None, None, "tcp") == ""
    assert scratch.is_dir()


def test_one_side_speaks_tls(files: Mapping[str, certificates.CertificateFiles]) -> None:
    ours = files["ours"].security()
    assert re.fullmatch(r"TLS fails \(.+\); write tcp:// where it speaks none", ask(None, ours, "tls"))
    expected = r"it ends the connection \(.+\); write tls:// where it speaks TLS"
    assert re.fullmatch(expected, ask(ours, None, "tcp"))


# What Dask leaves open where a scheduler ends its connection is closed with the garbage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_certificates_are_of_another_ca(files: Mapping[str, certificates.CertificateFiles]) -> None:
    ours, theirs = files["ours"].security(), files["theirs"].security()
    expected = "its certificate is not of the CA that is configured ("
    assert ask(ours, theirs, "tls").startswith(expected)
    trusting = {**theirs, "tls_ca_file": ours["tls_ca_file"]}
    expected = r"it ends the connection \(.+\); it may refuse our certificate: give both sides .+ one CA"
    assert re.fullmatch(expected, ask(ours, trusting, "tls"))
    mixed = {**ours, "tls_client_key": theirs["tls_client_key"]}
    assert "its certificates cannot be used: " in ask(ours, mixed, "tls")


def configured(**tls: str) -> Any:
    """Return a context in which Dask's configuration names these files for TLS, and no others."""
    import dask.config  # noqa: PLC0415 - takes a while

    keys = ("ca_file", "client.cert", "client.key")
    names = {key: key.replace("_", "-") for key in keys}
    values = {f"distributed.comm.tls.{names[key]}": tls.get(key.replace(".", "_")) for key in keys}
    return dask.config.set(values)


def test_certificates_are_configured_where_dask_has_them(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.touch()
    address, variable = "tls://127.0.0.1:8786", "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
    with (
        configured(ca_file=str(file), client_cert=str(file)),
        pytest.raises(LabError, match=f"has no distributed.comm.tls.client.key: set {variable} to a file"),
    ):
        endpoint.locate(address)
    gone = tmp_path / "gone.pem"
    with (
        configured(ca_file=str(gone)),
        pytest.raises(LabError, match=f"^cluster: {gone}: no such file, which distributed.comm.tls.ca-file"),
    ):
        endpoint.locate(address)
    with configured():
        assert endpoint.locate("tcp://127.0.0.1:8786")[0] == "tcp://127.0.0.1:8786"
    with configured(ca_file=str(file), client_cert=str(file), client_key=str(file)):
        assert endpoint.locate(address)[0] == address


def test_dask_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = "the package distributed is not installed; pip install '.[cluster]'"
    with pytest.raises(LabError, match=f"^cluster: {re.escape(expected)}$"):
        endpoint.locate("tcp://127.0.0.1:8786")
