"""
What a successor listens on: the old one's sockets of every kind, and those of its own settings.

It needs no rights: everything is on loopback.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from .conftest import Lines
from .rig.daemon import free_port, shown, tls_table
from .rig.pki import Authority


def test_other_settings(line: Lines, folder: Path) -> None:
    """The successor obeys its own settings: TLS on the same port, another listener more, one less."""
    processes = line("foreground")
    authority = Authority(folder)
    leaf = authority.issue("loopback", ["localhost", "127.0.0.1"])
    daemon = processes.last
    gone, more = free_port(), free_port()
    here = "interface=127.0.0.1"
    daemon.configure(
        f"tcp:{daemon.port}:{here}", redirect=[f"tcp:{gone}:{here}"], public_url=["https://a.test"]
    )
    daemon.start()
    daemon.configure(f"ssl:{daemon.port}:{here}", tls_table(leaf), redirect=[f"tcp:{more}:{here}"])
    processes.hand_over()
    assert daemon.wait() == 0
    assert "loopback" in shown(processes.last, authority)
    socket.create_connection(("127.0.0.1", more)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gone))


def test_unix(line: Lines, folder: Path) -> None:
    """A UNIX socket keeps its file and its mode, and goes with the last."""
    path = folder / "docxy.sock"
    processes = line("foreground")
    processes.last.configure(f"unix:{path}").start()
    before = path.stat()
    for _ in range(2):
        assert processes.hand_over().wait() == 0
        after = path.stat()
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert b"200 OK" in client.recv(1000)
    processes.last.signal(signal.SIGTERM)
    assert processes.last.wait() == 0
    assert not path.exists()


@pytest.mark.parametrize("listen", ["systemd:domain=INET:index=0", "ssl:systemd:domain=INET:index=0"])
def test_systemd(line: Lines, folder: Path, listen: str) -> None:
    """A socket that systemd opened is handed over too."""
    authority = Authority(folder)
    leaf = authority.issue("loopback", ["localhost", "127.0.0.1"])
    tls = listen.startswith("ssl")
    processes = line("foreground")
    processes.last.configure(listen, tls_table(leaf) if tls else "").start(inherit=True)
    for _ in range(2):
        assert processes.hand_over().wait() == 0
        assert processes.last.status(context=authority.client_context() if tls else None) == 200


def test_both_families(line: Lines) -> None:
    """One socket for IPv4 and IPv6 is handed over as one."""
    processes = line("foreground")
    daemon = processes.last
    daemon.configure(f"tcp:{daemon.port}").start()
    for _ in range(2):
        assert processes.hand_over().wait() == 0
        assert processes.last.status() == 200
