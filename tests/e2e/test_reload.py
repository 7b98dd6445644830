"""
What a docxy that runs takes over: certificates as their files change, settings after HUP.

It needs no rights: everything is on loopback.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import ssl
from functools import partial
from pathlib import Path

import pytest

from .conftest import Make
from .rig.daemon import WAYS, Daemon, Slow, Way, shown, tls_table
from .rig.pki import Authority, Leaf
from .rig.processes import wait_until

BLOB = f"/v2/some/image/blobs/sha256:{'0' * 64}"
LOOKS = 30  # seconds within which a changed pair is certainly shown: it is looked at every 10
every_way = pytest.mark.parametrize("way", WAYS)


def begin(daemon: Daemon, context: ssl.SSLContext | None = None) -> http.client.HTTPResponse:
    """A relay in mid-body."""
    connection = daemon.connect("localhost" if context else "127.0.0.1", context)
    connection.request("GET", BLOB)
    answer: http.client.HTTPResponse = connection.getresponse()
    assert answer.status == 200
    assert len(answer.read(Slow.SIZE // 2)) == Slow.SIZE // 2
    return answer


def ask(connection: http.client.HTTPConnection, path: str) -> int:
    """The status of an answer over a connection that is kept."""
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def serves(connection: http.client.HTTPConnection, path: str) -> bool:
    """Whether this path is there."""
    return ask(connection, path) == 204


def swap(folder: Path, one: Leaf) -> None:
    """Let the link lead to another pair at once, as certbot and Kubernetes do."""
    home = folder / f"of-{one.cert.stem}"
    home.mkdir()
    shutil.copy(one.cert, home / "cert.pem")
    shutil.copy(one.key, home / "key.pem")
    link = folder / "next"
    link.symlink_to(home)
    link.replace(folder / "live")


def test_renewed(make: Make, folder: Path, authority: Authority, slow: Slow) -> None:
    """A renewed pair is shown without a signal while a pull goes on, and a bad one is told once."""
    first, second, third = [authority.issue(name, ["localhost"]) for name in ("first", "second", "third")]
    swap(folder, first)
    live = Leaf(folder / "live" / "cert.pem", folder / "live" / "key.pem")
    daemon = make("foreground")
    daemon.configure(f"ssl:{daemon.port}", tls_table(live) + "\n" + slow.table).start()
    answer = begin(daemon, authority.client_context())
    swap(folder, second)
    wait_until(lambda: "second" in shown(daemon, authority), "the second certificate", LOOKS)
    shutil.copy(third.key, live.key)
    daemon.wait_said("the old certificate stays: tls.key")
    assert "second" in shown(daemon, authority)
    shutil.copy(third.cert, live.cert)
    wait_until(lambda: "third" in shown(daemon, authority), "the third certificate", LOOKS)
    slow.go.set()
    assert len(answer.read()) == Slow.SIZE // 2
    said = daemon.said()
    assert (said.count("the old certificate stays"), said.count("the new certificate in")) == (1, 2)
    assert "Traceback" not in said


@every_way
def test_certificate(make: Make, way: Way, folder: Path, authority: Authority, leaf: Leaf) -> None:
    """HUP takes a new certificate into service, a broken one not; connections go on."""
    mine = Leaf(folder / "cert.pem", folder / "key.pem")
    renewed = authority.issue("renewed", ["localhost"])

    def install(one: Leaf) -> None:
        shutil.copy(one.cert, mine.cert)
        shutil.copy(one.key, mine.key)

    install(leaf)
    daemon = make(way)
    daemon.configure(f"ssl:{daemon.port}", tls_table(mine)).start()
    assert "loopback" in shown(daemon, authority)
    kept = daemon.connect("localhost", authority.client_context())
    kept.request("GET", "/health")
    kept.getresponse().read()
    install(renewed)
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("reloaded")
    assert "renewed" in shown(daemon, authority)
    mine.cert.write_text("garbage")
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("not reloaded: tls.")
    assert "renewed" in shown(daemon, authority)
    kept.request("GET", "/health")
    assert kept.getresponse().status == 200
    daemon.signal(signal.SIGTERM)
    kept.close()
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.said()


@pytest.mark.parametrize("way", ["foreground", "daemon"])
def test_from_elsewhere(make: Make, way: Way, folder: Path, leaf: Leaf, authority: Authority) -> None:
    """File names that were relative at the start are found again from another folder."""
    for name, file in (("cert.pem", leaf.cert), ("key.pem", leaf.key)):
        shutil.copy(file, folder / name)
    daemon = make(way)
    daemon.configure(f"ssl:{daemon.port}")
    near = [os.path.relpath(folder / name) for name in ("docxy.toml", "cert.pem", "key.pem")]
    options = [word for pair in zip(("--config", "--cert", "--key"), near, strict=True) for word in pair]
    daemon.start(*options, twistd=["--rundir=/"])
    shutil.copy(authority.issue("renewed", ["localhost"]).cert, folder / "cert.pem")
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("not reloaded: --key: ")
    shutil.copy(leaf.cert, folder / "cert.pem")
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("reloaded\n")


@every_way
def test_settings(make: Make, way: Way, slow: Slow) -> None:
    """HUP takes settings over for the next request while a relay runs on; wrong ones change nothing."""
    daemon = make(way).configure(text=slow.table).start()
    answer = begin(daemon)
    kept = daemon.connect()
    assert ask(kept, "/generate_204") == 204
    for secret in ("first-secret-path", "second-secret-path"):
        daemon.configure(text=slow.table, secret_path=secret)
        daemon.signal(signal.SIGHUP)
        wait_until(partial(serves, kept, f"/{secret}/generate_204"), "the path to change")
        assert ask(kept, "/generate_204") == 404
    daemon.configure(text="nonsense = 1")
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("not reloaded: server.nonsense in ")
    assert ask(kept, "/second-secret-path/generate_204") == 204
    slow.go.set()
    assert len(answer.read()) == Slow.SIZE // 2
    assert "Traceback" not in daemon.said()


def test_what_waits(make: Make) -> None:
    """HUP says which settings wait for a restart."""
    daemon = make("foreground").configure().start()
    daemon.configure("tcp:0:interface=127.0.0.1", drain=7)
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("a restart is needed for: server.listen\n")
