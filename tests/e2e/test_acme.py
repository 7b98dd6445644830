"""
A certificate that docxy obtains by itself, from a real authority that refuses good nonces now and then.

All is on loopback, and no test waits for a day: docxy is told by ``SIGHUP`` or
by a restart what a clock would tell it.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from .conftest import Make
from .rig.daemon import Daemon, one_line
from .rig.pebble import BLOCKED, HMAC, KID, Pebble
from .rig.processes import wait_until
from .rig.renewal_info import RenewalInfo
from .rig.succession import LARGE, Line, Registry, path_of

NAME = "mirror.example.com"


@pytest.fixture
def pebble(folder: Path) -> Iterator[Pebble]:
    """An authority."""
    started = Pebble(folder / "pebble")
    yield started
    started.close()


def table(daemon: Daemon, pebble: Pebble | RenewalInfo, *domains: str, **more: Any) -> str:
    """The settings of a certificate."""
    values = {
        "domains": list(domains or (NAME,)),
        "directory": pebble.directory,
        "ca": str(pebble.ca),
        "agree_tos": True,
        "state": str(daemon.folder / "acme"),
        **more,
    }
    return "\n".join(["[acme]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]) + "\n"


def configure(
    daemon: Daemon, pebble: Pebble | RenewalInfo, text: str, http: bool = True, tls: bool = True
) -> Daemon:
    """Listeners where the authority looks for proofs, or elsewhere."""
    if tls:
        daemon.port = pebble.tls
    redirect = [f"tcp:{pebble.http}:interface=127.0.0.1"] if http else []
    return daemon.configure(f"ssl:{daemon.port}:interface=127.0.0.1", text, redirect=redirect)


def shown(daemon: Daemon, context: ssl.SSLContext, name: str = NAME) -> x509.Certificate:
    """The certificate that a client which verifies it is shown."""
    with (
        socket.create_connection(("127.0.0.1", daemon.port), 20) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        return x509.load_der_x509_certificate(connection.getpeercert(True) or b"")


def obtained(daemon: Daemon, times: int = 1) -> None:
    """Wait for a certificate."""
    wait_until(
        lambda: daemon.said().count("acme: obtained") >= times,
        f"a certificate\n{daemon.said()[-3000:]}",
        60,
    )


@pytest.mark.parametrize("key_type", ["ec256", "rsa2048"])
@pytest.mark.parametrize("http", [True, False])
def test_issued(make: Make, pebble: Pebble, http: bool, key_type: str) -> None:
    """By each challenge, for each type of key: a first certificate, which clients believe at once."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble, NAME, "hub.example.com", key_type=key_type), http)
    daemon.start()
    obtained(daemon)
    context = pebble.client_context()
    for name in (NAME, "hub.example.com"):
        assert name in str(shown(daemon, context, name).extensions)
    assert ("Attempting to validate w/ HTTP" in pebble.said()) is http
    files = [path for path in (daemon.folder / "acme").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert "PRIVATE KEY" not in daemon.said()
    # By the key that is shown now, the next name is proved: the certificate changes in the handshake.
    text = table(daemon, pebble, NAME, "third.example.com", key_type=key_type)
    configure(daemon, pebble, text, http)
    again(daemon)
    obtained(daemon)
    shown(daemon, context, "third.example.com")
    assert "Traceback" not in daemon.said()


def test_by_tls_after_http(make: Make, pebble: Pebble) -> None:
    """Where the authority does not find the plain listener, the name is proved over TLS."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble))
    elsewhere = daemon.config.read_text().replace(f"tcp:{pebble.http}:", "tcp:0:")
    daemon.config.write_text(elsewhere)
    daemon.start()
    obtained(daemon)
    shown(daemon, pebble.client_context())
    assert pebble.count("order-plz") >= 2


def test_renewed_under_a_pull(make: Make, folder: Path, registry: Registry) -> None:
    """A download goes on over the old certificate while a new one, obtained in time, is shown to others."""
    pebble = Pebble(folder / "pebble", certificateValidityPeriod=30)  # seconds
    try:
        daemon = make("foreground")
        configure(daemon, pebble, table(daemon, pebble) + registry.table).start()
        obtained(daemon)
        context = pebble.client_context()
        first = shown(daemon, context)
        running = connected(daemon, context)
        running.request("GET", path_of(LARGE))
        answer = running.getresponse()
        assert answer.read(1000) == LARGE[:1000]
        obtained(daemon, 2)
        second = shown(daemon, context)
        assert second.serial_number != first.serial_number
        assert second.not_valid_before_utc < first.not_valid_after_utc
        registry.go.set()
        assert answer.read() == LARGE[1000:]
        running.close()
        assert len(accounts(pebble)) == 1
        assert "Traceback" not in daemon.said()
    finally:
        pebble.close()


def connected(daemon: Daemon, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    """A client that calls docxy by its name."""
    made = http.client.HTTPSConnection(NAME, daemon.port, timeout=60, context=context)
    plain = socket.create_connection(("127.0.0.1", daemon.port), 60)
    made.sock = context.wrap_socket(plain, server_hostname=NAME)
    return made


def test_restart(make: Make, pebble: Pebble) -> None:
    """A process that finds its certificate orders none; its account is used again for other names."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble)).start()
    obtained(daemon)
    context = pebble.client_context()
    first = shown(daemon, context)
    again(daemon)
    assert shown(daemon, context) == first
    assert "acme: ordering" not in daemon.said()
    configure(daemon, pebble, table(daemon, pebble, NAME, "more.example.com"))
    again(daemon)
    obtained(daemon)
    shown(daemon, context, "more.example.com")
    assert len(accounts(pebble)) == 1


def test_handed_over(make: Make, pebble: Pebble) -> None:
    """A successor shows the certificate that is there, and orders none."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble)).start()
    obtained(daemon)
    context = pebble.client_context()
    first = shown(daemon, context)
    line = Line(daemon)
    try:
        old = line.hand_over()
        assert old.wait(40) == 0
        assert shown(line.last, context) == first
        line.last.signal(signal.SIGHUP)
        line.last.wait_said("reloaded")
        assert daemon.said().count("acme: ordering") == 1
    finally:
        line.close()


def again(daemon: Daemon) -> None:
    """End it, and start it anew."""
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    daemon.code = None
    daemon.start()


def accounts(pebble: Pebble) -> list[str]:
    """The accounts that were made."""
    return re.findall(r"There are now (\d+) accounts", pebble.said())


def test_account_lost(make: Make, pebble: Pebble) -> None:
    """An authority that has lost the account is given another one."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble)).start()
    obtained(daemon)
    pebble.restart()
    configure(daemon, pebble, table(daemon, pebble, NAME, "more.example.com"))
    again(daemon)
    daemon.wait_said("acme: no new certificate for")
    assert "accountDoesNotExist" in daemon.said()
    daemon.signal(signal.SIGHUP)
    obtained(daemon)


def test_wrong_dns(make: Make, pebble: Pebble) -> None:
    """A name that cannot be found is told in the authority's words; docxy goes on, and tries again."""
    pebble.lose(NAME)
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble)).start()
    daemon.wait_said("acme: no new certificate for")
    line = next(line for line in daemon.said().splitlines() if "no new certificate" in line)
    for word in ("by http-01: ", "by tls-alpn-01: ", "Could not resolve", NAME, "next try at ", "or on HUP"):
        assert word in line
    client = connected(daemon, unverifying())
    client.request("GET", "/health")
    assert json.load(client.getresponse())["certificate"] == "awaited"
    client.close()
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shown(daemon, pebble.client_context())
    orders = pebble.count("order-plz")
    again(daemon)
    pebble.find(NAME)
    assert pebble.count("order-plz") == orders
    daemon.signal(signal.SIGHUP)
    obtained(daemon)
    shown(daemon, pebble.client_context())
    assert "Traceback" not in daemon.said()


def test_refused_order(make: Make, pebble: Pebble) -> None:
    """An order that the authority refuses is told in its words."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble, BLOCKED)).start()
    daemon.wait_said("acme: no new certificate for blocked.example.com: rejectedIdentifier: ")
    assert daemon.status(context=unverifying()) == 200


def unverifying() -> ssl.SSLContext:
    """A client that believes everybody."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_unreachable_authority(make: Make, pebble: Pebble) -> None:
    """An authority that is not there, or is another one, is told; docxy serves."""
    pebble.close()
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble)).start()
    daemon.wait_said("the authority cannot be met (")
    assert "Connection refused" in daemon.said()
    assert daemon.status(context=unverifying()) == 200


def test_untrusted_authority(make: Make, pebble: Pebble) -> None:
    """A directory whose TLS nobody vouches for is not believed."""
    daemon = make("foreground")
    text = table(daemon, pebble).replace("\nca = ", "\n#ca = ")
    configure(daemon, pebble, text).start()
    daemon.wait_said("the authority cannot be met (")
    assert "certificate verify failed" in daemon.said()


@pytest.mark.parametrize("http", [True, False])
def test_address(make: Make, pebble: Pebble, http: bool) -> None:
    """A certificate for an address, by each challenge."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble, "127.0.0.1"), http).start()
    obtained(daemon)
    shown(daemon, pebble.client_context(), "127.0.0.1")


def test_bound_account(make: Make, folder: Path) -> None:
    """An authority that wants to know whose account it is, is told by the key of a file."""
    pebble = Pebble(folder / "pebble", bound=True)
    try:
        daemon = make("foreground")
        configure(daemon, pebble, table(daemon, pebble)).start()
        daemon.wait_said("set acme.eab_kid and acme.eab_hmac_file")
        secret = folder / "hmac"
        secret.write_text(f"{HMAC}\n")
        secret.chmod(0o600)
        text = table(daemon, pebble, eab_kid=KID, eab_hmac_file=str(secret))
        configure(daemon, pebble, text)
        again(daemon)
        daemon.signal(signal.SIGHUP)
        obtained(daemon)
        shown(daemon, pebble.client_context())
        assert HMAC not in daemon.said()
    finally:
        pebble.close()


def test_refused_starts(make: Make, pebble: Pebble) -> None:
    """Each mistake ends the start in one line."""
    daemon = make("foreground")
    daemon.configure("ssl:0")
    one_line(daemon.failed("--acme", NAME), "acme.agree_tos")
    one_line(daemon.failed("--acme", "*.example.com", "--acme-agree-tos"), "--acme")
    configure(daemon, pebble, table(daemon, pebble, state="/proc/acme"))
    one_line(daemon.failed(), "acme.state")
