"""
Every kind of listener, opened by a real process, and a process that becomes another user.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import ssl
import stat
from pathlib import Path

import pytest

from .conftest import Make
from .rig.daemon import WAYS, Way, free_port, one_line, shown, tls_table
from .rig.pki import Authority, Leaf
from .rig.processes import wait_until


def test_unix(make: Make, folder: Path) -> None:
    """A UNIX socket, which goes with its process, and is taken over from a killed one."""
    path = folder / "docxy.sock"
    for end in (signal.SIGKILL, signal.SIGTERM):
        daemon = make("foreground").configure(f"unix:{path}").start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert b"200 OK" in client.recv(1000)
        daemon.signal(end)
        daemon.wait()
    assert not path.exists()


def test_both_families(make: Make) -> None:
    """One listener serves IPv4 and IPv6, where the machine has it."""
    daemon = make("foreground")
    daemon.configure(f"tcp:{daemon.port}").start()
    assert daemon.status() == 200
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
        assert daemon.status(host="::1") == 200


@pytest.mark.parametrize("listen", ["ssl:{port}", "ssl:{port}:interface=127.0.0.1", "ssl:port={port}"])
def test_tls(make: Make, authority: Authority, leaf: Leaf, listen: str) -> None:
    """TLS with the certificate of the settings."""
    daemon = make("foreground")
    daemon.configure(listen.format(port=daemon.port), tls_table(leaf)).start()
    assert daemon.status(context=authority.client_context()) == 200


def test_tls_of_its_own(make: Make, authority: Authority, leaf: Leaf) -> None:
    """TLS with the files that the endpoint names."""
    daemon = make("foreground")
    daemon.configure(f"ssl:{daemon.port}:privateKey={leaf.key}:certKey={leaf.cert}").start()
    assert daemon.status(context=authority.client_context()) == 200


def test_tls_of_its_own_renewed(make: Make, folder: Path, authority: Authority, leaf: Leaf) -> None:
    """Those files are reloaded, too."""
    mine = Leaf(folder / "cert.pem", folder / "key.pem")
    daemon = make("foreground")
    daemon.configure(f"ssl:{daemon.port}:privateKey={mine.key}:certKey={mine.cert}")
    for one in (leaf, authority.issue("renewed-alone", ["localhost"])):
        shutil.copy(one.cert, mine.cert)
        shutil.copy(one.key, mine.key)
        if not daemon.pid:
            daemon.start()
    assert "loopback" in shown(daemon, authority)
    daemon.signal(signal.SIGHUP)
    daemon.wait_said(" reloaded")
    assert "renewed-alone" in shown(daemon, authority)


@pytest.mark.parametrize("name", ["index=0", "name=docxy.socket"])
@pytest.mark.parametrize("tls", [False, True])
def test_systemd(make: Make, authority: Authority, leaf: Leaf, name: str, tls: bool) -> None:
    """A socket that systemd opened, by number and by name, with TLS and without."""
    daemon = make("foreground")
    socket_ = f"systemd:domain=INET:{name}"
    daemon.configure(f"ssl:{socket_}" if tls else socket_, tls_table(leaf) if tls else "")
    daemon.start(inherit=True)
    assert daemon.status(context=authority.client_context() if tls else None) == 200


def test_systemd_unix(make: Make, folder: Path) -> None:
    """A UNIX socket that systemd opened keeps its mode, and its file stays when docxy ends."""
    path = folder / "systemd.sock"
    daemon = make("foreground").configure("systemd:domain=UNIX:index=0").start(inherit=path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert b"200 OK" in client.recv(1000)
    assert path.stat().st_mode & 0o777 == 0o600
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    assert path.is_socket()


def test_systemd_without(make: Make) -> None:
    """Without systemd's socket the start fails in one line."""
    one_line(make("foreground").configure("systemd:domain=INET:index=0").failed(), "server.listen")


def answer_to_hello(port: int, context: ssl.SSLContext) -> bytes:
    """The first byte that comes back on a new connection for a TLS client's first words."""
    outgoing = ssl.MemoryBIO()
    hello = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    # A reset is an end like another here.
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 20) as plain:
        plain.sendall(outgoing.read())
        return plain.recv(1)
    return b""


def test_turned_away(make: Make, authority: Authority, leaf: Leaf) -> None:
    """One connection too many is closed, over TLS without an error in the log as well."""
    daemon = make("foreground")
    limits = "[limits]\nconnections_per_client = 1\n"
    daemon.configure(f"ssl:{daemon.port}", limits + tls_table(leaf)).start()
    context = authority.client_context()
    first = daemon.connect(context=context)
    first.request("GET", "/health")
    assert first.getresponse().read()
    handshake = b"\x16"
    assert answer_to_hello(daemon.port, context) != handshake
    first.close()
    wait_until(lambda: answer_to_hello(daemon.port, context) == handshake, "a place to be free")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.said()


def test_redirect(make: Make, leaf: Leaf) -> None:
    """The plain twin leads to the TLS listener."""
    daemon = make("foreground")
    tls = free_port()
    twin = [f"tcp:{daemon.port}:interface=127.0.0.1"]
    daemon.configure(f"ssl:{tls}", tls_table(leaf), redirect=twin).start()
    connection = daemon.connect()
    connection.request("GET", "/", headers={"Host": "localhost"})
    assert connection.getresponse().headers["Location"] == f"https://localhost:{tls}/"
    assert daemon.status("/v2/") == 403


def test_other_user(make: Make, folder: Path, authority: Authority, leaf: Leaf) -> None:
    """Started by root for another user, it reloads as that user, and says what that user may not read."""
    user = pwd.getpwnam("nobody")
    mine = Leaf(folder / "cert.pem", folder / "key.pem")
    renewed = authority.issue("for-nobody", ["localhost"])

    def install(one: Leaf, owner: int) -> None:
        for source, target in ((one.cert, mine.cert), (one.key, mine.key)):
            shutil.copy(source, target)
            os.chown(target, owner, -1)
            target.chmod(0o600)

    install(leaf, 0)
    os.chown(folder, user.pw_uid, user.pw_gid)
    daemon = make("foreground")
    daemon.configure(f"ssl:{daemon.port}", tls_table(mine))
    daemon.start(twistd=[f"--uid={user.pw_uid}", f"--gid={user.pw_gid}"])
    assert os.stat(f"/proc/{daemon.pid}").st_uid == user.pw_uid
    assert daemon.said().count("cannot be read") == 2  # certificate and key, in one line
    assert daemon.said().count("is not taken over before a restart") == 1
    assert "loopback" in shown(daemon, authority)
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("not reloaded: tls.cert")
    install(renewed, user.pw_uid)
    daemon.signal(signal.SIGHUP)
    daemon.wait_said(" reloaded")
    wait_until(lambda: "for-nobody" in shown(daemon, authority), "the new certificate")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.said()


@pytest.mark.parametrize("gid", ["", "--gid=www-data"])
def test_socket_of_another_user(make: Make, folder: Path, gid: str) -> None:
    """Sockets that root opens for another user are for that user's group, and for nobody else."""
    user = pwd.getpwnam("nobody")
    group = grp.getgrnam("www-data").gr_gid if gid else user.pw_gid
    os.chown(folder, user.pw_uid, user.pw_gid)
    listen, admin = folder / "docxy.sock", folder / "admin.sock"
    daemon = make("foreground").configure(f"unix:{listen}")
    daemon.start("--admin", f"unix:{admin}:mode=660", twistd=["--uid=nobody", *filter(None, [gid])])
    for path in (listen, admin):
        found = path.stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (group, 0o660)
    assert os.stat(f"/proc/{daemon.pid}").st_gid == group
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not listen.exists() and not admin.exists()


@pytest.mark.parametrize("way", WAYS)
def test_password_of_another_user(make: Make, way: Way, folder: Path) -> None:
    """A password file that the user may not read ends the start in one line, a daemon's in its log."""
    user = pwd.getpwnam("nobody")
    (folder / "password").write_text("s3cret")
    (folder / "password").chmod(0o600)
    os.chown(folder, user.pw_uid, user.pw_gid)
    account = 'auth = "own"\nusername = "me"\npassword_file = "password"\nrepositories = ["*"]\n'
    daemon = make(way).configure(text=f'[[upstream]]\nname = "ghcr.io"\n{account}')
    said = daemon.failed(twistd=[f"--uid={user.pw_uid}", f"--gid={user.pw_gid}"])
    line = "upstream[ghcr.io].password_file in "
    if way == "daemon":
        wait_until(lambda: line in daemon.logfile.read_text(), "the log to tell it")
    else:
        one_line(said, line)
    assert "Traceback" not in daemon.said()
    assert "s3cret" not in daemon.said()
