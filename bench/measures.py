"""
What one round of a case does: ask through a proxy, and give the values.

Owns the sizes. A measure knows nothing of other ways, rounds or cases.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import time
from statistics import median, quantiles

from bench import load
from bench.content import REPOSITORY, TAG
from bench.meter import Meter
from bench.place import Place, name_of
from bench.results import (
    ABOVE_IDLE,
    CPU_PER_CENT,
    CPU_PER_GIB,
    CPU_PER_REQUEST,
    FIRST_ANSWER,
    IDLE,
    P50,
    P99,
    PEAK,
    RATE,
    SECONDS,
    SERVED,
    THROUGHPUT,
    WHOLE,
)
from bench.ways import Proxy
from tests.e2e.rig.processes import environment, run, wait_until
from tests.e2e.rig.seed import MIB

GIB = 1 << 30
CLIENTS, PACE = 1000, 200_000  # of the slow ones; bytes a second of each
MANIFEST = f"/v2/{REPOSITORY}/manifests/{TAG}"
_MOST_HEADS = 20_000
_SETTLES = 1.0  # seconds from the first answer until memory counts as idle
_ANSWER = re.compile(rb"HTTP/1\.1 (200|401) ")


def blobs(place: Place, proxy: Proxy, size: int, count: int = 1, least: int = MIB) -> dict[str, float]:
    """
    Different blobs at once, to as many clients: how fast, at which cost.

    Those of a quick run have a fourth of the size, but not less than ``least``.
    """
    wanted = place.content.blobs(max(size // 4, least) if place.small else size, count)
    gauge = Gauge(proxy.meter)
    fetched = load.fetch(place, [proxy.url + blob.path for blob in wanted])
    used = gauge.used()
    total = sum(one.size for one in fetched)
    assert total == sum(blob.size for blob in wanted), "a body was short"
    speed = {THROUGHPUT: total / max(one.seconds for one in fetched) / 1e6}
    return speed | ({CPU_PER_GIB: used[0] / total * GIB, PEAK: used[1] / MIB} if used else {})


class Gauge:
    """What a proxy uses from now on."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        if meter:
            meter.reset()
            self._before = meter.cpu()

    def used(self) -> tuple[float, int] | None:
        """CPU seconds since then, and the peak of its memory in bytes; None where there are no processes."""
        return (self._meter.cpu() - self._before, self._meter.peak()) if self._meter else None


def requests(place: Place, proxy: Proxy, path: str, method: str, new: bool) -> dict[str, float]:
    """One after another from one client, for the latency; then from several at once, for the rate."""
    count = 200 if place.small else 1000
    url = proxy.url + (path or proxy.token)
    seconds = load.latencies(place, url, count, method, new)
    gauge = Gauge(proxy.meter)
    lasting = 1 if place.small else 4  # seconds
    if method == "HEAD":
        done = min(max(int(lasting / median(seconds)), count), _MOST_HEADS)
        rate = load.head_rate(place, url, done, new)
    else:
        rate, done = load.rate(place, url, lasting, new)
    used = gauge.used()
    percentiles = quantiles(seconds, n=100)
    values = {P50: percentiles[49] * 1000, P99: percentiles[98] * 1000, RATE: rate}
    return values | ({CPU_PER_REQUEST: used[0] / done * 1000} if used else {})


def image(place: Place, proxy: Proxy) -> dict[str, float]:
    """skopeo copies the image of ten layers."""
    state = place.folder("skopeo")
    host = proxy.url.partition("://")[2]
    argv = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        f"docker://{host}/{REPOSITORY}:{TAG}",
        f"dir:{state}/to",
    ]
    env = environment(HOME=str(state), TMPDIR=str(state), SSL_CERT_FILE=str(place.authority.cert))
    gauge = Gauge(proxy.meter)
    begun = time.monotonic()
    run(place.namespace.command(argv), env).check()
    took = time.monotonic() - begun
    used = gauge.used()
    shutil.rmtree(state)
    values = {SECONDS: took, THROUGHPUT: place.content.size / took / 1e6}
    return values | ({CPU_PER_GIB: used[0] / place.content.size * GIB, PEAK: used[1] / MIB} if used else {})


def slow(place: Place, proxy: Proxy) -> dict[str, float]:
    """A thousand clients that each take a little of one large blob."""
    assert proxy.meter is not None
    blob = place.content.blobs(GIB // 4 if place.small else GIB)[0]
    seconds = 12 if place.small else 30
    idle, gauge = proxy.meter.memory(), Gauge(proxy.meter)
    crowd = load.crowd(place, proxy.url + blob.path, CLIENTS, PACE, seconds)
    used = gauge.used()
    assert used is not None
    return {
        SERVED: sum(one.size > 0 for one in crowd),
        THROUGHPUT: sum(one.size for one in crowd) / seconds / 1e6,
        CPU_PER_CENT: used[0] / seconds * 100,
        PEAK: used[1] / MIB,
        ABOVE_IDLE: (used[1] - idle) / MIB,
    }


def start(place: Place, proxy: Proxy) -> dict[str, float]:
    """From exec to the first answer, and the memory a little later."""
    assert proxy.meter is not None
    context = ssl.create_default_context(cafile=str(place.authority.cert))
    wait_until(lambda: place.namespace.inside(lambda: _answers(context, proxy)), f"{proxy.url} to answer")
    first = time.monotonic() - proxy.begun
    time.sleep(_SETTLES)
    return {FIRST_ANSWER: first, IDLE: proxy.meter.memory() / MIB}


def _answers(context: ssl.SSLContext, proxy: Proxy) -> bool:
    try:
        with (
            socket.create_connection((proxy.address, proxy.port), 5) as plain,
            context.wrap_socket(plain, server_hostname=name_of(proxy.address)) as secured,
        ):
            secured.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {name_of(proxy.address)}\r\n\r\n".encode())
            return bool(_ANSWER.match(secured.recv(4096)))
    except OSError:
        return False


def broken(place: Place, proxy: Proxy, size: int = GIB) -> dict[str, float]:
    """One blob from a CDN that may break it off: whether it came whole, and if so, when."""
    blob = place.content.blobs(size // 4 if place.small else size)[0]
    seconds = load.attempt(place, proxy.url + blob.path, blob.size)
    if seconds is None:
        return {WHOLE: 0}
    return {WHOLE: 100, SECONDS: seconds, THROUGHPUT: blob.size / seconds / 1e6}
