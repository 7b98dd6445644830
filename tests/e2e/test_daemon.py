"""
The daemon as a process: how it starts, what it says when it cannot, and what signals do.

It needs no rights: everything is on loopback.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
from pathlib import Path

import pytest

from .conftest import Make
from .rig.daemon import WAYS, Daemon, Slow, Way, one_line, tls_table
from .rig.pki import Authority, Leaf
from .rig.processes import wait_until

BLOB = f"/v2/some/image/blobs/sha256:{'0' * 64}"
every_way = pytest.mark.parametrize("way", WAYS)


# What it says when it cannot start


@every_way
def test_taken_port(make: Make, way: Way) -> None:
    """A port that another process has."""
    daemon = make(way).configure()
    with socket.create_server(("127.0.0.1", daemon.port)):
        said = daemon.failed()
    one_line(said, "server.listen")
    assert "taken" in said


@every_way
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("nonsense = 1", "server.nonsense"),
        ('[tls]\ncert = "missing.pem"\nkey = "missing.pem"', "tls.cert"),
        ('[tls]\ncert = "garbage.pem"\nkey = "garbage.pem"', "tls."),
        ('[tls]\ncert = "garbage.pem"', "tls.key"),
        ('[cache]\ndir = "/x"', "cache"),
        ("[broken", "--config"),
    ],
    ids=["unknown", "missing", "garbage", "half", "later", "toml"],
)
def test_wrong_settings(make: Make, way: Way, folder: Path, text: str, key: str) -> None:
    """A wrong setting."""
    (folder / "garbage.pem").write_text("garbage")
    daemon = make(way).configure(text=text)
    expected = "DOCXY_CONFIG" if key == "--config" and way == "tac" else key
    one_line(daemon.failed(), expected)


@every_way
def test_foreign_key(make: Make, way: Way, authority: Authority, leaf: Leaf) -> None:
    """A key that is another certificate's."""
    other = authority.issue("other", ["localhost"])
    daemon = make(way)
    daemon.configure(f"ssl:{daemon.port}", tls_table(Leaf(leaf.cert, other.key)))
    one_line(daemon.failed(), "tls.")


def test_wrong_options(make: Make) -> None:
    """A wrong flag and a wrong variable are named as they were given."""
    one_line(make("foreground").configure().failed("--log-level", "loud"), "--log-level")
    one_line(make("foreground").configure().failed(DOCXY_LOG_FORMAT="xml"), "DOCXY_LOG_FORMAT")


def test_named_as_given(make: Make, authority: Authority, leaf: Leaf) -> None:
    """What is found wrong after the settings were read is named as it was given, too."""
    other = authority.issue("stranger", ["localhost"])
    daemon = make("foreground").configure()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        one_line(daemon.failed("--listen", listen), "--listen: ")
    options = ("--listen", "ssl:0", "--cert", str(leaf.cert), "--key", str(other.key))
    one_line(daemon.failed(*options), "--key: ")
    (daemon.folder / "ca.pem").write_text("garbage")
    daemon.configure(text='[[upstream]]\nname = "ghcr.io"\nca = "ca.pem"')
    one_line(daemon.failed(), "upstream[ghcr.io].ca in ")


# Signals


@every_way
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends(make: Make, way: Way, number: signal.Signals) -> None:
    """TERM and INT end an idle docxy in order: status 0, no pidfile, no traceback."""
    daemon = make(way).configure().start()
    assert daemon.pidfile.exists()
    kept = daemon.connect()
    kept.request("GET", "/health")
    assert kept.getresponse().read()
    daemon.signal(number)
    assert daemon.wait() == 0
    assert not daemon.pidfile.exists()
    assert "drained" in daemon.said()
    assert "Traceback" not in daemon.said()
    assert daemon.refuses()


def begin(daemon: Daemon) -> http.client.HTTPResponse:
    """A relay in mid-body."""
    connection = daemon.connect()
    connection.request("GET", BLOB)
    answer: http.client.HTTPResponse = connection.getresponse()
    assert answer.status == 200
    assert len(answer.read(Slow.SIZE // 2)) == Slow.SIZE // 2
    return answer


@every_way
def test_drains(make: Make, way: Way, slow: Slow) -> None:
    """After TERM a running relay goes on to its end, and nobody new is let in meanwhile."""
    daemon = make(way).configure(text=slow.table).start()
    answer = begin(daemon)
    daemon.signal(signal.SIGTERM)
    wait_until(daemon.refuses, "docxy to refuse connections")
    assert not daemon.ended()
    slow.go.set()
    assert len(answer.read()) == Slow.SIZE // 2
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.said()


@every_way
def test_second_term(make: Make, way: Way, slow: Slow) -> None:
    """A second TERM ends it at once, relays and all."""
    daemon = make(way).configure(text=slow.table, drain=600).start()
    answer = begin(daemon)
    daemon.signal(signal.SIGTERM)
    daemon.wait_said("draining")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    assert not daemon.pidfile.exists()
    assert "Traceback" not in daemon.said()


def test_drain_is_limited(make: Make, slow: Slow) -> None:
    """What has not ended after server.drain seconds ends short, by an orderly close."""
    daemon = make("foreground").configure(text=slow.table, drain=0.2).start("--log-format", "json")
    answer = begin(daemon)
    daemon.signal(signal.SIGTERM)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    assert daemon.wait() == 0
    [event] = [json.loads(line) for line in daemon.said().splitlines() if '"repository"' in line]
    assert (event["status"], event["bytes"], event["error"]) == (200, Slow.SIZE // 2, "docxy stopped")


# Logs


@every_way
def test_json(make: Make, way: Way, slow: Slow) -> None:
    """With format json every line is an object, from the first to the last, whatever happens."""
    daemon = make(way).configure(text='[log]\nformat = "json"\nlevel = "debug"\n' + slow.table).start()
    for path in ("/health", "/v2/", "/nowhere", "/v2/some/image/tags/list?x=secret"):
        slow.go.set()
        daemon.status(path)
    for rude in (b"\0\r\n\r\n", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", daemon.port)) as connection:
            connection.sendall(rude)
            assert b"400" in connection.recv(100)
    for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM):
        daemon.signal(number)
    assert daemon.wait() == 0
    events = [json.loads(line) for line in daemon.said().splitlines()]
    assert all(isinstance(event, dict) for event in events)
    served = [event for event in events if "repository" in event]
    keys = "time client method upstream repository reference status bytes duration source resumes error"
    assert [tuple(event) for event in served] == [tuple(keys.split())] * 7
    assert [event["status"] for event in served] == [200, 200, 404, 200, 400, 400, 400]
    assert "secret" not in daemon.said()


def test_logfile(make: Make) -> None:
    """twistd's --logfile is where the log goes, in our format."""
    daemon = make("foreground").configure()
    daemon.start("--log-format", "json", twistd=[f"--logfile={daemon.logfile}"])
    assert daemon.status() == 200
    assert daemon.out.read_text() == daemon.err.read_text() == ""
    assert all(line.startswith("{") for line in daemon.logfile.read_text().splitlines())


def test_syslog(make: Make) -> None:
    """twistd's --syslog starts, and nothing else is written."""
    for options in ([], ["--log-level", "warn"]):
        daemon = make("foreground").configure().start(*options, twistd=["--syslog"])
        assert daemon.status() == 200
        assert daemon.said() == ""
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_reactor(make: Make) -> None:
    """A reactor that twistd is told to use changes nothing of the format."""
    daemon = make("foreground").configure().start("--log-format", "json", twistd=["--reactor=epoll"])
    assert daemon.status() == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert all(line.startswith("{") for line in daemon.said().splitlines())


def test_level(make: Make) -> None:
    """Events below the level are not written."""
    daemon = make("foreground").configure()
    daemon.start("--log-level", "info")
    daemon.status()
    daemon.wait_said("GET")
    daemon.close()
    assert "debug" not in daemon.said()
