"""
One docxy takes over from another while clients come and pull: none is refused, no body breaks.

It needs no rights: everything is on loopback.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Lines
from .rig.daemon import WAYS, Daemon, Way
from .rig.notified import Systemd
from .rig.processes import wait_until
from .rig.succession import LARGE, Crowd, Registry, path_of

every_way = pytest.mark.parametrize("way", WAYS)


def begin(daemon: Daemon) -> http.client.HTTPResponse:
    """A relay of the large blob, of which something has come."""
    connection = daemon.connect()
    connection.request("GET", path_of(LARGE))
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read(1000) == LARGE[:1000]
    return answer


def finish(relays: list[http.client.HTTPResponse]) -> None:
    """All the rest came, and is right."""
    for relay in relays:
        assert relay.read() == LARGE[1000:]


def test_service_manager(line: Lines, folder: Path, registry: Registry) -> None:
    """A service manager follows to the successor, whose word it takes, and hears nothing of the old one."""
    with contextlib.closing(Systemd(folder)) as manager:
        processes = line("foreground")
        first = processes.last.configure(text=registry.table)
        first.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000")
        manager.wait_for(first.pid, "READY=1")
        manager.wait_for(first.pid, "WATCHDOG=1")
        relay = begin(first)
        first.signal(signal.SIGHUP)
        manager.wait_for(first.pid, "RELOADING=1")
        processes.hand_over()
        second = processes.last
        for told in ("READY=1", "WATCHDOG=1", "STATUS=serving, transfers in progress: 0"):
            manager.wait_for(second.pid, told)
        assert manager.main == second.pid
        registry.go.set()
        finish([relay])
        assert first.wait() == 0
        second.signal(signal.SIGTERM)
        manager.wait_for(second.pid, "STOPPING=1")
        assert second.wait() == 0
        manager.listen()
        assert manager.unheard == []
        assert (first.pid, "STOPPING=1") not in manager.heard


JSON = '[log]\nformat = "json"\n'


@every_way
def test_handed_over(line: Lines, way: Way, registry: Registry) -> None:
    """Twice in a row, while clients come and relays run: all are served, the old ones end in order."""
    processes = line(way)
    first = processes.last.configure(text=JSON + registry.table).start()
    crowd = Crowd(first.port)
    crowd.wait_for_more()
    relays = [begin(first) for _ in range(3)]
    processes.hand_over()
    crowd.wait_for_more()
    second = processes.last
    assert first.pidfile.read_text() == str(second.pid)
    relays += [begin(second) for _ in range(2)]
    processes.hand_over()
    crowd.wait_for_more()
    third = processes.last
    assert not first.ended()
    registry.go.set()
    finish(relays)
    assert first.wait() == 0
    assert second.wait() == 0
    crowd.wait_for_more()
    crowd.leave()
    assert third.pidfile.read_text() == str(third.pid)
    assert sorted(path.name for path in third.folder.glob("*.old")) == []
    third.signal(signal.SIGTERM)
    assert third.wait() == 0
    assert not third.pidfile.exists()
    check_log(third, crowd.served + len(relays))


def check_log(daemon: Daemon, pulls: int) -> None:
    """No line was lost or cut by another process's, and none tells of an error."""
    said = daemon.said()
    events = [json.loads(text) for text in said.splitlines()]
    assert [event["error"] for event in events if event.get("status") == 200] == ["-"] * pulls
    assert "Traceback" not in said


def lives(successor: Daemon) -> bool:
    """Whether it runs, also while it is the child of the process before it, which then reaps it."""
    return Path(f"/proc/{successor.pid}").exists()


@every_way
def test_all_told_to_end(line: Lines, way: Way, registry: Registry) -> None:
    """Both told to end right after a handover, as service managers do: the pull is whole, the last waits."""
    processes = line(way)
    first = processes.last.configure(text=registry.table).start()
    relay = begin(first)
    processes.hand_over()
    second = processes.last
    for process in (first, second):
        process.signal(signal.SIGTERM)
    first.wait_said("draining already")
    wait_until(second.refuses, "no connection to be taken")
    assert not first.ended()
    assert lives(second)  # what is left when the main process has ended is killed
    registry.go.set()
    finish([relay])
    assert (first.wait(), second.wait()) == (0, 0)


def test_told_twice(line: Lines, registry: Registry) -> None:
    """A second signal ends at once also who drains after a handover, and who waits for that one."""
    processes = line("foreground")
    first = processes.last.configure(text=registry.table).start()
    relay = begin(first)
    processes.hand_over()
    second = processes.last
    second.signal(signal.SIGTERM)
    wait_until(second.refuses, "no connection to be taken")
    second.signal(signal.SIGTERM)
    wait_until(lambda: not lives(second), "the successor to end")
    processes.all.remove(second)  # the first one, whose child it was, has taken note of its end
    first.signal(signal.SIGTERM)
    first.wait_said("draining already")
    assert not first.ended()
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    with pytest.raises((OSError, http.client.IncompleteRead)):
        relay.read()


@every_way
def test_wrong_settings(line: Lines, way: Way, registry: Registry) -> None:
    """With settings that are wrong the old one goes on and says why; once they are right it hands over."""
    processes = line(way)
    daemon = processes.last.configure(text=registry.table).start()
    crowd = Crowd(daemon.port)
    relay = begin(daemon)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        right = daemon.config.read_text()
        for wrong, problem in (
            (right.replace("redirect", "nonsense"), "not handed over: server.nonsense"),
            (right.replace('"]', f'", "{other}"]', 1), "is taken by another process"),
        ):
            daemon.config.write_text(wrong)
            daemon.signal(signal.SIGUSR2)
            daemon.wait_said(problem)
            assert daemon.pidfile.read_text() == str(daemon.pid)
            crowd.wait_for_more()
    daemon.config.write_text(right)
    processes.hand_over()
    registry.go.set()
    finish([relay])
    crowd.wait_for_more()
    crowd.leave()
    assert daemon.wait() == 0


@every_way
def test_ended_meanwhile(line: Lines, way: Way, folder: Path) -> None:
    """While a successor starts, a second USR2 only says so, and TERM ends both."""
    daemon = line(way).last.configure().start()
    daemon.config.unlink()
    os.mkfifo(daemon.config)  # whoever reads it waits
    daemon.signal(signal.SIGUSR2)
    with daemon.config.open("w"):  # waits for the successor to read
        daemon.signal(signal.SIGUSR2)
        daemon.wait_said("SIGUSR2: a handover")
        assert daemon.status() == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    daemon.wait_said("not handed over: this process was told to end")
    assert sorted(path.name for path in folder.glob("*.pid*")) == []
    assert daemon.refuses()


def test_idle(line: Lines) -> None:
    """A connection that is idle as the old one gives way may send one more request."""
    processes = line("foreground")
    daemon = processes.last.configure().start()
    kept, new = daemon.connect(), daemon.connect()
    kept.request("GET", "/health")
    kept.getresponse().read()
    new.connect()
    processes.hand_over()
    for connection in (kept, new):
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert daemon.wait() == 0


def others_run_us() -> bool:
    """Whether another user may start this interpreter: its files may lie where only root enters."""
    try:
        return subprocess.run([sys.executable, "-c", ""], user="nobody", check=False).returncode == 0
    except PermissionError:
        return False


@pytest.mark.parametrize("way", ["foreground", "daemon"])
def test_other_user(line: Lines, folder: Path, way: Way) -> None:
    """Started by root for another user, it hands over as that one, or goes on where that one cannot."""
    user = pwd.getpwnam("nobody")
    processes = line(way)
    daemon = processes.last
    daemon.logfile.touch()
    for path in (folder, daemon.logfile):
        os.chown(path, user.pw_uid, user.pw_gid)
    daemon.port = 1023
    daemon.configure().start(twistd=[f"--uid={user.pw_uid}", f"--gid={user.pw_gid}"])
    if others_run_us():
        for _ in range(2):
            assert processes.hand_over().wait() == 0
            assert os.stat(f"/proc/{processes.last.pid}").st_uid == user.pw_uid
    else:
        daemon.signal(signal.SIGUSR2)
        daemon.wait_said("not handed over: ")
        assert "Permission denied: '/" in daemon.said()  # the interpreter, and not the pidfile
        assert "pidfile" not in daemon.said()
    assert processes.last.status() == 200
    assert daemon.pidfile.read_text() == str(processes.last.pid)
    assert daemon.pidfile.stat().st_mode & 0o777 == 0o644
