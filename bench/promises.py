"""
What docxy promises of its speed, and whether a run bears it out.

Owns the promises and their figures. Pure: results in, verdicts out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.results import (
    ABOVE_IDLE,
    CPU_PER_GIB,
    FIRST_ANSWER,
    IDLE,
    P50,
    SECONDS,
    SERVED,
    THROUGHPUT,
    WHOLE,
    Results,
)
from bench.table import columns, number

DOCXY, UNVERIFIED, NGINX, STRAIGHT = "docxy", "docxy, verify = false", "nginx", "straight"
HASH = "sha256, CPU s/GiB"  # what `Results.about` calls the cost of hashing alone, where the run was made


class NotMeasuredError(Exception):
    """A figure that a promise needs is not in the run."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was promised, what was measured, and whether it is ``met``: None where it was not measured."""

    promise: str
    measured: str
    met: bool | None


def figure(results: Results, case: str, way: str, metric: str) -> float:
    """The median of a series; raises `NotMeasuredError` where there is none."""
    found = results.find(case, way, metric)
    if found is None or (case, way) in results.failures:
        raise NotMeasuredError(f"{way} was not measured in {case}")
    return found.median


def _at_most(measured: float, most: float, unit: str = "") -> tuple[str, bool]:
    return f"{number(measured)}{unit}", measured <= most


def more(value: float, than: float) -> str:
    """By how much it is more, in per cent."""
    return f"{(value / than - 1) * 100:+.1f} %"


def _cpu(results: Results) -> tuple[str, bool]:
    docxy, nginx = (figure(results, "blob", way, CPU_PER_GIB) for way in (UNVERIFIED, NGINX))
    return _at_most(docxy / nginx, 1.3, f" times ({number(docxy)} and {number(nginx)})")


def _throughput(results: Results) -> tuple[str, bool]:
    docxy, nginx = (figure(results, "blob", way, THROUGHPUT) for way in (UNVERIFIED, NGINX))
    told = f"{number(docxy / nginx)} times ({number(docxy)} and {number(nginx)} MB/s)"
    return told, docxy / nginx >= 0.85


def _hash(results: Results) -> tuple[str, bool]:
    verified, not_verified = (figure(results, "blob", way, CPU_PER_GIB) for way in (DOCXY, UNVERIFIED))
    if HASH not in results.about:
        raise NotMeasuredError(HASH)
    alone, cost = float(results.about[HASH]), verified - not_verified
    # A tenth more is what two medians of a quiet machine differ by.
    return f"{number(cost)} s/GiB; sha256 alone {number(alone)}", cost <= 1.1 * alone


def _verified(results: Results) -> tuple[str, bool]:
    verified, not_verified = (figure(results, "blob", way, THROUGHPUT) for way in (DOCXY, UNVERIFIED))
    share = verified / not_verified
    return f"{number(share * 100)} %", share >= 0.95


def _head(results: Results) -> tuple[str, bool]:
    docxy, straight = (figure(results, "head", way, P50) for way in (DOCXY, STRAIGHT))
    return _at_most(docxy - straight, 1.5, " ms")


def _crowd(results: Results) -> tuple[str, bool]:
    above, clients = (figure(results, "slow", DOCXY, metric) for metric in (ABOVE_IDLE, SERVED))
    return f"{number(above)} MiB ({number(clients)} served)", above <= 250 and clients >= 1000


def _idle(results: Results) -> tuple[str, bool]:
    return _at_most(figure(results, "start", DOCXY, IDLE), 70, " MiB")


def _start(results: Results) -> tuple[str, bool]:
    return _at_most(figure(results, "start", DOCXY, FIRST_ANSWER), 1, " s")


def _image(case: str) -> Callable[[Results], tuple[str, bool]]:
    def judge(results: Results) -> tuple[str, bool]:
        docxy, straight = (figure(results, case, way, SECONDS) for way in (DOCXY, STRAIGHT))
        return f"{more(docxy, straight)} ({number(docxy)} and {number(straight)} s)", docxy <= 1.05 * straight

    return judge


def _others_fail(results: Results) -> tuple[str, bool]:
    straight, nginx = (figure(results, "resetting", way, WHOLE) for way in (STRAIGHT, NGINX))
    return f"{number(straight)} % and {number(nginx)} % whole", straight == nginx == 0


def _resetting(line: str) -> Callable[[Results], tuple[str, bool]]:
    def judge(results: Results) -> tuple[str, bool]:
        whole = figure(results, "resetting" + line, DOCXY, WHOLE)
        if whole < 100:
            return f"{number(whole)} % whole", False
        broken, steady = (figure(results, case + line, DOCXY, SECONDS) for case in ("resetting", "steady"))
        told = f"whole; {more(broken, steady)} ({number(broken)} and {number(steady)} s)"
        return told, broken <= 1.1 * steady

    return judge


PROMISES: tuple[tuple[str, Callable[[Results], tuple[str, bool]]], ...] = (
    ("one blob, TLS, verify off: CPU at most 1.3 times nginx's", _cpu),
    ("one blob, TLS, verify off: throughput at least 0.85 times nginx's", _throughput),
    ("verification costs the hash and no more", _hash),
    ("throughput with verification at least 95 %, where a core is free", _verified),
    ("HEAD of a manifest: p50 under 1.5 ms above straight", _head),
    ("1000 slow clients: under 250 MiB above idle", _crowd),
    ("idle under 70 MiB", _idle),
    ("exec to first answer under 1 s", _start),
    ("cold image by skopeo within 5 % of straight", _image("image")),
    ("the same, 100 Mbit/s a connection", _image("image-line")),
    ("a resetting CDN: straight and nginx fail", _others_fail),
    ("a resetting CDN: docxy within 10 % of its time without resets", _resetting("")),
    ("the same, 100 Mbit/s a connection", _resetting("-line")),
)


def judged(results: Results) -> list[Verdict]:
    """Every promise with what this run has of it."""
    return [_verdict(results, promise, judge) for promise, judge in PROMISES]


def _verdict(results: Results, promise: str, judge: Callable[[Results], tuple[str, bool]]) -> Verdict:
    try:
        return Verdict(promise, *judge(results))
    except NotMeasuredError:
        return Verdict(promise, "not measured", None)


def word(met: bool | None) -> str:
    """A verdict in a word."""
    return {True: "yes", False: "no", None: "-"}[met]


def promises(results: Results) -> str:
    """The verdicts of a run as a table; empty where it measured nothing that was promised."""
    verdicts = judged(results)
    if all(one.met is None for one in verdicts):
        return ""
    rows = [["promise", "measured", "met"]]
    rows += [[one.promise, one.measured, word(one.met)] for one in verdicts]
    return "\n".join(columns(rows)) + "\n"
