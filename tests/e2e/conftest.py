"""
What the end-to-end tests share: one hub, one network of clients, one docxy with TLS.

The clients sit in a namespace of their own that reaches the mirrors' addresses
and nothing else: a pull that succeeds there came through the mirror.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .rig import hub as places
from .rig.clients import Containerd, Seat
from .rig.daemon import Daemon, Slow, Way, adopt_orphans
from .rig.hub import Hub
from .rig.mirror import Mirror, Plan, both, tls_listener
from .rig.namespace import Namespace
from .rig.pki import Authority, Leaf
from .rig.succession import Line, Registry
from .rig.waiting import serving

SECRET = "k7x-2f9d8b"
Seats = Callable[[str], Seat]
Start = Callable[[Plan], Mirror]
Make = Callable[[Way], Daemon]
Lines = Callable[[Way], Line]


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    """Docker Hub and ghcr.io, seeded; DOCXY_E2E_KEEP=1 keeps their folder with all logs."""
    state = Path(tempfile.mkdtemp(prefix="docxy-e2e-", dir="/tmp"))  # sockets and podman want short paths
    try:
        started = Hub(state)
        try:
            yield started
        finally:
            started.close()
    finally:
        if os.environ.get("DOCXY_E2E_KEEP") != "1":
            shutil.rmtree(state)
        else:
            print(f"\nkept: {state}")


@pytest.fixture(scope="session")
def clients(hub: Hub) -> Iterator[Namespace]:
    """The clients' network: the mirrors' addresses are on its one link, all other names lead nowhere."""
    namespace = Namespace("clients", hub.state / "clients", {**places.UPSTREAM_HOSTS, **places.MIRROR_HOSTS})
    try:
        namespace.wire(hub.namespace, [places.CLIENT, places.OTHER_CLIENT], list(places.MIRROR_HOSTS))
        yield namespace
    finally:
        namespace.close()


@pytest.fixture(scope="session")
def seat(hub: Hub, clients: Namespace) -> Seats:
    """A client's place in the clients' network, by its name."""
    return lambda name: Seat(clients, hub.state / "seats" / name, hub.authority.cert)


@pytest.fixture(scope="session")
def start(hub: Hub, clients: Namespace) -> Iterator[Start]:
    """Start further mirrors; they end with the session, and none may have had an error of its own."""
    started: list[Mirror] = []

    def one(plan: Plan) -> Mirror:
        started.append(Mirror(hub, plan))
        return started[-1]

    yield one
    for mirror in started:
        mirror.close()
    assert not [mirror.url for mirror in started if "Traceback" in mirror.said()]


@pytest.fixture(scope="session")
def mirror(hub: Hub, start: Start) -> Mirror:
    """https://mirror.test: alone with TLS, Docker Hub first, ghcr.io beside it."""
    return start(Plan("tls", "https://mirror.test", [tls_listener(places.MIRROR)], both(hub)))


@pytest.fixture(scope="session")
def secret(hub: Hub, start: Start) -> Mirror:
    """https://secret.test: the same for those who know its secret path."""
    server = {"secret_path": SECRET}
    return start(Plan("secret", "https://secret.test", [tls_listener(places.SECRET)], both(hub), server))


@pytest.fixture(scope="session")
def containerd(seat: Seats) -> Iterator[Containerd]:
    """A containerd in the clients' network."""
    started = Containerd(seat("containerd"))
    yield started
    started.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may enter."""
    made = Path(tempfile.mkdtemp(prefix="docxy-daemon-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """Daemons, which end with the test."""
    adopt_orphans()
    made: list[Daemon] = []

    def one(way: Way = "foreground") -> Daemon:
        made.append(Daemon(folder, way))
        return made[-1]

    yield one
    for daemon in made:
        daemon.close()


@pytest.fixture
def line(folder: Path) -> Iterator[Lines]:
    """Lines of processes that hand over to one another, which end with the test."""
    adopt_orphans()
    made: list[Line] = []

    def one(way: Way = "foreground") -> Line:
        made.append(Line(Daemon(folder, way)))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """A throwaway authority."""
    with tempfile.TemporaryDirectory() as made:
        yield Authority(Path(made))


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> Leaf:
    """A certificate for loopback."""
    return authority.issue("loopback", ["localhost", "127.0.0.1"])


@pytest.fixture
def slow() -> Iterator[Slow]:
    """An upstream that waits in mid-body."""
    with serving(Slow()) as server:
        yield server


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry whose large blob waits in its middle."""
    with serving(Registry()) as server:
        yield server
