"""
What ``docxy top`` shows of a mirror's ``/status``.

Owns the lines of one view.  Whatever clients and registries have said is made
harmless here: no control character reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docxy.cli.findings import printable

_COLUMNS = "{:<15} {:<8} {:>9} {:>9} {:>4} {:>11} {:>6} {:>6}  {:<9} {}"
_HEAD = _COLUMNS.format("CLIENT", "KIND", "SENT", "OF", "%", "SPEED", "TIME", "RESUME", "WAITS FOR", "WHAT")


def view(status: Mapping[str, Any], width: int, height: int) -> str:
    """One view of ``status``, of at most ``height`` lines of ``width`` characters."""
    found = [*_summary(status), "", _HEAD, *(_relay(one) for one in status["relays"])]
    if len(found) > height:
        hidden = len(found) - height + 1
        found = [*found[: height - 1], f"... and {hidden} more"]
    return "".join(f"{printable(line)[:width].rstrip()}\n" for line in found)


def _summary(status: Mapping[str, Any]) -> Iterator[str]:
    relays, limits = status["relays"], status["limits"]
    used = ", ".join(f"{name} {one['used']}/{one['limit']}" for name, one in limits.items())
    speed = sum(one["speed"] for one in relays)
    state = f"{'draining' if status['draining'] else 'up'} {_time(status['uptime'])}"
    yield f"docxy {status['versions']['version']}  {state}  {used}  {_size(speed)}/s"
    for one in status["upstreams"]:
        yield f"{one['name']}: {'; '.join(_upstream(one)) or 'no trouble'}"
    for one in status["certificates"]:
        yield f"certificate {', '.join(one['names'][:3])}: {one['seconds_left'] // 86400} days left"


def _upstream(upstream: Mapping[str, Any]) -> Iterator[str]:
    for quota in upstream["quotas"]:
        of_all = "" if quota["limit"] is None else f" of {quota['limit']}"
        yield f"{quota['remaining']}{of_all} pulls left ({quota['credential']})"
    if upstream["avoided"]:
        yield f"avoided: {', '.join(upstream['avoided'][:3])}"
    if upstream["last_error"] is not None:
        yield f"last error at {upstream['last_error']['at']}: {upstream['last_error']['text']}"


def _relay(relay: Mapping[str, Any]) -> str:
    sent, total = relay["sent"], relay["total"]
    return _COLUMNS.format(
        str(relay["client"]),
        str(relay["kind"]),
        _size(sent),
        "?" if total is None else _size(total),
        "" if not total else f"{100 * sent // total}%",
        f"{_size(relay['speed'])}/s",
        _time(relay["seconds"]),
        sum(relay["resumes"].values()) or "",
        str(relay["waits_for"]),
        f"{relay['upstream']}/{relay['repository']} {str(relay['reference'])[:19]}",
    )


def _size(count: float) -> str:
    """Bytes, as people have them."""
    if count < 1024:
        return f"{count:.0f} B"
    units = iter(("KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    count /= 1024
    while count >= 1024 and (larger := next(units, None)) is not None:
        count, unit = count / 1024, larger
    return f"{count:.1f} {unit}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
