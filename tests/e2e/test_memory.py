"""
A body on its way costs neither memory nor, once its reader has left, a connection.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Seats, Start
from .rig import hub as places
from .rig.clients import Curl
from .rig.hub import DOCKER_HUB, Hub
from .rig.mirror import Mirror, Plan, tls_listener, upstream
from .rig.processes import wait_until
from .rig.seed import MIB, noise

GIB = 1024 * MIB
LIMIT = 100 * MIB


def repeated(block: bytes, times: int) -> Iterator[bytes]:
    """The same noise again and again."""
    for _ in range(times):
        yield block


def bearer(curl: Curl, base: str, repository: str) -> str:
    """An Authorization header for an anonymous pull."""
    challenge = curl.ask(f"{base}/v2/").challenge()
    return f"Authorization: Bearer {curl.token(challenge, f'repository:{repository}:pull')}"


@pytest.mark.slow
def test_flat_memory(hub: Hub, start: Start, seat: Seats) -> None:
    """While a 1 GiB layer is read at 20 MB/s, right to its last byte, docxy holds under 100 MiB."""
    listen = [tls_listener(places.MEMORY)]
    mirror = start(Plan("memory", "https://memory.test", listen, [upstream(hub, DOCKER_HUB)]))
    block = b"".join(noise("huge", 16 * MIB))
    digest = hub.docker.writer.large_blob("library/huge", repeated(block, GIB // len(block)), GIB)
    curl = Curl(seat("memory"))
    url = f"https://memory.test/v2/library/huge/blobs/{digest}"
    ask = curl.arguments(
        url, [bearer(curl, "https://memory.test", "library/huge")], "--limit-rate", "20M", "-f"
    )
    done = seat("memory").run(["sh", "-c", '"$@" | sha256sum', "sh", *ask], seconds=150).check()
    assert done.out.split()[0] == digest.removeprefix("sha256:")
    assert mirror.peak_memory() < LIMIT


def test_a_reader_who_leaves(hub: Hub, mirror: Mirror, seat: Seats) -> None:
    """When a client leaves in the middle, the CDN is left within a second."""
    layer = hub.images.layers.layers[-1]
    place = seat("leaver")
    curl = Curl(place)
    url = f"https://mirror.test/v2/library/layers/blobs/{layer.digest}"
    authorization = bearer(curl, "https://mirror.test", "library/layers")
    digest = layer.digest.removeprefix("sha256:")

    def transfers() -> list[dict[str, Any]]:
        return [one for one in hub.requests() if digest in one["target"] and one["status"] == 200]

    before = len(transfers())
    partial = place.folder("partial") / "blob"
    argv = curl.arguments(url, [authorization], "--limit-rate", "10M", "-o", str(partial))
    reader = place.start("leaver", argv)
    reader.ready(lambda: partial.exists() and partial.stat().st_size > MIB)
    left = time.time()
    reader.signal(signal.SIGKILL)
    reader.wait()
    wait_until(lambda: len(transfers()) > before, "the CDN to see the transfer end", 10)
    [ended] = transfers()[before:]
    assert 0 < ended["bytes"] < layer.size
    # nginx's clock stands while it works: the end may bear a time from before it.
    assert ended["time"] - left < 1.0
