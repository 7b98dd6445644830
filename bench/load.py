"""
The clients: curl for bytes and latencies, wrk for rates.

Owns their command lines and what they print. They run in the place's namespace; none is slower than
what it measures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.origin import TOKEN
from bench.place import Place
from tests.e2e.rig.processes import RigError, run
from tests.e2e.rig.seed import OCI_MANIFEST

BEARER = f"Authorization: Bearer {TOKEN}"
ACCEPT = f"Accept: {OCI_MANIFEST}"
_CLIENTS = 16  # at once, where a rate is measured
_OF_ONE_CURL = 250  # transfers; curl takes 300 at most
_PATIENCE = 900  # seconds
_WRK = """
wrk.headers["Authorization"] = "{bearer}"
wrk.headers["Accept"] = "{accept}"
wrk.headers["Connection"] = "{connection}"
function done(summary)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(summary.requests, summary.duration, bad)
end
"""
_TOLD = "%{http_code} %{size_download} %{time_total}\\n"


@dataclass(frozen=True, slots=True)
class Fetched:
    """One transfer: the status, the bytes of its body and its seconds."""

    status: int
    size: int
    seconds: float


def _curl(place: Place, *more: str) -> list[str]:
    # `-L` with the token for the registry alone, as every container client does it.
    common = [
        "curl",
        "-sS",
        "-L",
        "--http1.1",
        "--cacert",
        str(place.authority.cert),
        "-H",
        BEARER,
        "-H",
        ACCEPT,
    ]
    return place.namespace.command([*common, "-w", _TOLD, *more])


def _each(urls: Sequence[str]) -> list[str]:
    return [word for url in urls for word in ("-o", "/dev/null", url)]


def _told(lines: str) -> list[Fetched]:
    rows = (line.split() for line in lines.splitlines())
    return [Fetched(int(status), int(size), float(seconds)) for status, size, seconds in rows]


def fetch(place: Place, urls: Sequence[str], *options: str) -> list[Fetched]:
    """Get all of them at once, by one curl; raises `RigError` unless each came whole with status 200."""
    parallel = ["-Z", "--parallel-immediate", "--parallel-max", "300"] if len(urls) > 1 else []
    done = run(_curl(place, *parallel, *options, *_each(urls)), seconds=_PATIENCE).check()
    fetched = _told(done.out)
    wrong = [one.status for one in fetched if one.status != 200]
    if wrong or len(fetched) != len(urls):
        raise RigError(f"{len(fetched)} of {len(urls)} answers, of status not 200: {wrong[:5]}")
    return fetched


def attempt(place: Place, url: str, size: int) -> float | None:
    """Get one body of that size: its seconds, or None where it broke off."""
    done = run(_curl(place, *_each([url])), seconds=_PATIENCE)
    fetched = _told(done.out)
    whole = done.code == 0 and (fetched[0].status, fetched[0].size) == (200, size)
    return fetched[0].seconds if whole else None


def latencies(place: Place, url: str, count: int, method: str, new: bool) -> list[float]:
    """
    Seconds of ``count`` requests one after another, on one connection or each on a new one.

    The connection of the first is made before they count.
    """
    how = ["-I"] if method == "HEAD" else []
    how += ["-H", "Connection: close", "--no-sessionid"] if new else []
    # Each is the same URL: fragments are not sent.
    done = run(_curl(place, *how, "-o", "/dev/null", f"{url}#[0-{count}]"), seconds=_PATIENCE).check()
    return [one.seconds for one in _good(done.out)[1:]]


def head_rate(place: Place, url: str, count: int, new: bool) -> float:
    """HEAD requests a second, by a curl that keeps some connections busy: wrk waits for a HEAD's body."""
    how = ["-H", "Connection: close", "--no-sessionid"] if new else []
    parallel = ["-Z", "--parallel-max", str(_CLIENTS)]
    begun = time.monotonic()
    argv = _curl(place, "-I", *how, *parallel, "-o", "/dev/null", f"{url}#[1-{count}]")
    done = run(argv, seconds=_PATIENCE).check()
    return len(_good(done.out)) / (time.monotonic() - begun)


def rate(place: Place, url: str, seconds: int, new: bool) -> tuple[float, int]:
    """GET requests a second by wrk, and how many there were; raises `RigError` where some failed."""
    script = place.folder("wrk") / "get.lua"
    script.write_text(
        _WRK.format(
            bearer=f"Bearer {TOKEN}", accept=OCI_MANIFEST, connection="close" if new else "keep-alive"
        )
    )
    argv = ["wrk", "-t1", f"-c{_CLIENTS}", f"-d{seconds}s", "-s", str(script), url]
    done = run(place.namespace.command(argv), seconds=_PATIENCE).check()
    count, micros, bad = (float(word) for word in done.out.splitlines()[-1].split())
    if bad or not count:
        raise RigError(f"{bad:.0f} of {count:.0f} requests failed")
    return count / micros * 1e6, int(count)


def crowd(place: Place, url: str, clients: int, pace: int, seconds: int) -> list[Fetched]:
    """That many clients that each take ``pace`` bytes a second of one body, for some seconds."""
    share = ["--limit-rate", str(pace), "--max-time", str(seconds)]
    parallel = ["-Z", "--parallel-immediate", "--parallel-max", str(_OF_ONE_CURL)]
    argv = _curl(place, "-s", *parallel, *share, *_each([url] * _OF_ONE_CURL))
    with ThreadPoolExecutor() as pool:
        ran = pool.map(lambda _: run(argv, seconds=_PATIENCE), range(clients // _OF_ONE_CURL))
        return [one for done in ran for one in _told(done.out)]


def _good(lines: str) -> list[Fetched]:
    """All transfers; raises `RigError` where one was no success."""
    fetched = _told(lines)
    wrong = [one.status for one in fetched if one.status != 200]
    if wrong:
        raise RigError(f"{len(wrong)} of {len(fetched)} answers were of status {wrong[0]}")
    return fetched
