"""
The admin listener of a real daemon: what it counts and shows while clients pull.

It needs no rights: everything is on loopback.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from .conftest import Make
from .rig.daemon import Daemon, Slow, free_port
from .rig.mirror import CHECKOUT
from .rig.processes import environment, run, wait_until
from .rig.waiting import Waiting, serving
from .test_check import DOCXY

CONTENT = bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
CUT = 300_000
LABELS = 'upstream="broken.test"'


class Broken(Waiting):
    """A registry without tokens that resets every answer of the whole blob, and tells what pulls are left."""

    def __init__(self) -> None:
        super().__init__(_Reset)

    @property
    def table(self) -> str:
        """What the settings say of it."""
        return f'[[upstream]]\nname = "broken.test"\nurl = "{self.url}"\nauth = "own"\n'


class _Reset(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The blob, a part of it, or a manifest."""
        content = CONTENT if "/blobs/" in self.path else b"{}"
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("RateLimit-Limit", "100;w=3600")
        self.send_header("RateLimit-Remaining", "7;w=3600")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if asked or content is not CONTENT:
            self.wfile.write(content[first:])
            return
        self.wfile.write(content[:CUT])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def broken() -> Iterator[Broken]:
    """A registry that breaks."""
    with serving(Broken()) as server:
        yield server


def curl(*arguments: str) -> bytes:
    """What curl brings."""
    return subprocess.run(["curl", "-sS", "--fail", *arguments], check=True, capture_output=True).stdout


def by_address(port: int) -> tuple[str, Callable[[str], bytes]]:
    """An endpoint on loopback, and how it is asked."""
    return f"tcp:{port}:interface=127.0.0.1", lambda page: curl(f"http://127.0.0.1:{port}{page}")


def by_socket(path: Path) -> tuple[str, Callable[[str], bytes]]:
    """A UNIX socket, and how it is asked."""
    return f"unix:{path}:mode=660", lambda page: curl("--unix-socket", str(path), f"http://localhost{page}")


@pytest.fixture(params=["address", "socket"])
def way(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Callable[[str], bytes]]:
    """Both ways to the admin listener."""
    return by_address(free_port()) if request.param == "address" else by_socket(folder / "admin.sock")


def values(metrics: bytes) -> dict[str, float]:
    """Each line's number."""
    lines = (line.rpartition(" ") for line in metrics.decode().splitlines() if line.startswith("docxy_"))
    return {name: float(number) for name, _, number in lines}


def blob(daemon: Daemon) -> str:
    """Where the blob is."""
    return f"http://127.0.0.1:{daemon.port}/v2/some/image/blobs/{DIGEST}"


def test_running(make: Make, slow: Slow, way: tuple[str, Callable[[str], bytes]]) -> None:
    """A relay that is under way is counted and shown while it is, and its bytes once."""
    endpoint, ask = way
    daemon = make("foreground").configure(text=slow.table)
    daemon.start("--admin", endpoint)
    pulling = subprocess.Popen(["curl", "-sS", "--fail", "-o", "/dev/null", blob(daemon)])
    try:
        relays: list[Any] = []

        def half_is_there() -> bool:
            relays[:] = json.loads(ask("/status"))["relays"]
            return bool(relays) and relays[0]["sent"] >= Slow.SIZE // 2

        wait_until(half_is_there, "half of the blob")
        told = values(ask("/metrics"))
        slow.go.set()
        assert pulling.wait(20) == 0
    finally:
        pulling.kill()
    [relay] = relays
    assert (relay["upstream"], relay["repository"]) == ("slow.test", "some/image")
    assert (relay["client"], relay["method"]) == ("127.0.0.1", "GET")
    assert (relay["sent"], relay["total"]) == (Slow.SIZE // 2, Slow.SIZE)
    assert (relay["reference"], relay["waits_for"]) == (DIGEST, "upstream")
    assert told['docxy_relays_active{upstream="slow.test"}'] == 1
    assert told['docxy_bytes_total{source="relay",upstream="slow.test"}'] == Slow.SIZE // 2
    wait_until(lambda: not json.loads(ask("/status"))["relays"], "the relay's end")
    told = values(ask("/metrics"))
    assert told['docxy_relays_active{upstream="slow.test"}'] == 0
    assert told['docxy_bytes_total{source="relay",upstream="slow.test"}'] == Slow.SIZE
    assert told['docxy_requests_total{kind="blob",status="200",upstream="slow.test"}'] == 1


def test_top(make: Make, slow: Slow, way: tuple[str, Callable[[str], bytes]]) -> None:
    """`docxy top --once` shows the relay that is under way; where nobody answers any more it says so."""
    endpoint, ask = way
    daemon = make("foreground").configure(text=f'[admin]\nlisten = "{endpoint}"\n{slow.table}').start()
    there = environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1", PYTHONUTF8="1", COLUMNS="200")
    top = [sys.executable, "-c", DOCXY, "top", "--once", "--config", str(daemon.config)]
    pulling = subprocess.Popen(["curl", "-sS", "--fail", "-o", "/dev/null", blob(daemon)])
    try:
        wait_until(lambda: str(Slow.SIZE // 2).encode() in ask("/status"), "half of the blob")
        done = run(top, there, 30)
    finally:
        slow.go.set()
        pulling.wait(20)
    print(done.out)
    assert (done.code, done.err) == (0, "")
    summary, *_, relay = done.out.splitlines()
    assert "relays 1/" in summary
    shown = ["127.0.0.1", "blob", "97.7", "KiB", "195.3", "KiB", "50%"]
    assert relay.split()[: len(shown)] == shown
    assert "upstream" in relay
    assert f"slow.test/some/image {DIGEST[:19]}" in relay
    daemon.close()
    done = run(top, there, 30)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("docxy: ")


def test_mended(make: Make, broken: Broken, way: tuple[str, Callable[[str], bytes]]) -> None:
    """A body that was reset and mended says so, and so does the registry's quota."""
    endpoint, ask = way
    daemon = make("foreground").configure(text=broken.table)
    daemon.start("--admin", endpoint)
    assert hashlib.sha256(curl(blob(daemon))).hexdigest() == DIGEST.removeprefix("sha256:")
    curl(f"http://127.0.0.1:{daemon.port}/v2/some/image/manifests/latest")
    told = values(ask("/metrics"))
    assert told[f'docxy_resumes_total{{cause="reset",{LABELS}}}'] == 1
    assert told[f'docxy_bytes_total{{source="relay",{LABELS}}}'] == len(CONTENT) + 2
    assert told[f"docxy_upstream_quota_remaining{{{LABELS}}}"] == 7
    assert told[f'docxy_upstream_seconds_count{{kind="blob",{LABELS}}}'] == 1
    assert not [name for name in told if name.startswith("docxy_broken_total{") and told[name]]
    [upstream] = json.loads(ask("/status"))["upstreams"]
    assert upstream["quotas"][0]["remaining"] == 7
    assert "broken.test has 7 of 100 pulls left for this mirror's anonymous access" in daemon.said()


def test_apart(make: Make, slow: Slow, way: tuple[str, Callable[[str], bytes]]) -> None:
    """The mirror's listener has none of it, and the admin listener nothing of the mirror."""
    endpoint, ask = way
    daemon = make("foreground").configure(text=slow.table)
    daemon.start("--admin", endpoint)
    for page in ("/metrics", "/status"):
        assert ask(page)
        assert daemon.status(page) == 404
    for page in ("/", "/v2/", "/health"):
        with pytest.raises(subprocess.CalledProcessError):
            ask(page)
    assert daemon.said().count(" GET - - - 404 ") == 2  # the mirror's own answers alone are in its log


def test_taken(make: Make, slow: Slow) -> None:
    """A port that is taken ends the start with a line that names the flag."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint, _ = by_address(taken.getsockname()[1])
        said = make("foreground").configure(text=slow.table).failed("--admin", endpoint)
    assert said.startswith("docxy: --admin: ")
    assert "is taken by another process" in said
