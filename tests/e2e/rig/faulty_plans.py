"""
Everything that can go wrong upstream: one function each, and what a client then sees.

Owns the list, in the order of the table that is printed.  A fault changes an
`Origin` before it starts; it knows nothing of docxy.
"""

from __future__ import annotations

from dataclasses import replace

from . import hub as places
from .faulty import Asked, End, Faulty, Reply, Script
from .faulty_origin import Origin, serve
from .faulty_parts import (
    LARGE,
    SMALL,
    bad_address,
    bad_number,
    cut,
    cut_off,
    fails,
    in_turn,
    nothing,
    told,
    whole,
)
from .faulty_table import FAULTS, SHORT, UNUSED, fault
from .writer import sha256

__all__ = ["CLIENTS_TOKEN", "FAULTS", "FLIPPED"]

CLIENTS_TOKEN = "Bearer of-the-client"
FLIPPED = "a bit is flipped"


# Bodies that break


@fault("every response is reset after 200 kB")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, SMALL, "reset")


@fault("every response is closed after 1.1 MB")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, LARGE, "close")


@fault("two responses stall")
def _(origin: Origin) -> None:
    stalled = cut(origin.blob, LARGE, "hang")
    origin.cdn.script = in_turn(stalled, stalled, then=origin.blob)


@fault("the first response crawls")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(lambda asked: replace(origin.blob(asked), pace=20_000), then=origin.blob)


@fault("chunked, whole")
def _(origin: Origin) -> None:
    origin.cdn.script = lambda asked: replace(origin.blob(asked), chunked=True)


@fault("chunked, every response is cut after 1.1 MB")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(lambda asked: replace(origin.blob(asked), chunked=True), LARGE, "close")


@fault("no length, no chunks")
def _(origin: Origin) -> None:
    origin.cdn.script = lambda asked: replace(origin.blob(asked), unframed=True)


@fault("no length, no chunks, the first response is cut")
def _(origin: Origin) -> None:
    def unframed(asked: Asked) -> Reply:
        return replace(origin.blob(asked), unframed=True)

    origin.cdn.script = in_turn(cut(unframed, LARGE, "close"), then=unframed)


@fault("no body gets beyond the same byte", ends=SHORT)
def _(origin: Origin) -> None:
    origin.cdn.script = cut_off(origin, 3_000_000, "reset")


@fault(FLIPPED, range=UNUSED, suffix=UNUSED, whole=SHORT, parallel=SHORT)
def _(origin: Origin) -> None:
    wrong = bytearray(origin.content.layer)
    wrong[2_000_000] ^= 1
    origin.cdn.script = lambda asked: serve(memoryview(wrong), asked)


# What is met when a body is asked for again


def resumed(origin: Origin, *scripts: Script, end: End = "reset") -> None:
    """The CDN's first response is cut; ``scripts`` answer when it is asked again."""
    origin.cdn.script = in_turn(cut(origin.blob, LARGE, end), *scripts, then=origin.blob)


@fault("a resume meets 500, then 502, then 503 (Retry-After: 1)")
def _(origin: Origin) -> None:
    resumed(origin, fails(500), fails(502), fails(503, 1))


@fault("a resume meets 429 (Retry-After: 1) from the registry")
def _(origin: Origin) -> None:
    resumed(origin)
    origin.at_registry("/blobs/", in_turn(origin.redirect, fails(429, 1), then=origin.redirect))


@fault("a resume is reset before headers, three times")
def _(origin: Origin) -> None:
    resumed(origin, *[nothing("reset")] * 3)


@fault("a resume is sent to a dead host, twice")
def _(origin: Origin) -> None:
    resumed(origin)

    def dead(asked: Asked) -> Reply:
        return origin.redirect_to(places.LONE[number])

    number = bad_number()
    origin.at_registry("/blobs/", in_turn(origin.redirect, dead, dead, then=origin.redirect))


@fault("resumes ignore Range")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(cut(origin.blob, LARGE, "reset"), then=whole(origin))


@fault("a resume says a wrong Content-Range, once")
def _(origin: Origin) -> None:
    resumed(origin, told(origin.blob, lambda first, last, size: f"bytes {first + 1}-{last}/{size}"))


@fault("resumes always say a wrong Content-Range", ends=SHORT)
def _(origin: Origin) -> None:
    shifted = told(origin.blob, lambda first, last, size: f"bytes {first + 1}-{last}/{size}")
    origin.cdn.script = in_turn(cut(origin.blob, LARGE, "reset"), then=shifted)


@fault("a resume says a wrong total, once")
def _(origin: Origin) -> None:
    resumed(origin, told(origin.blob, lambda first, last, size: f"bytes {first}-{last}/{size + 1}"))


@fault("resumes always say a wrong total", ends=SHORT)
def _(origin: Origin) -> None:
    larger = told(origin.blob, lambda first, last, size: f"bytes {first}-{last}/{size + 1}")
    origin.cdn.script = in_turn(cut(origin.blob, LARGE, "reset"), then=larger)


@fault("every URL serves once, every response is reset after 1.1 MB")
def _(origin: Origin) -> None:
    used: set[str] = set()

    def once(asked: Asked) -> Reply:
        if asked.target in used:
            return fails(403)(asked)
        used.add(asked.target)
        return cut(origin.blob, LARGE, "reset")(asked)

    origin.cdn.script = once


def wants_token(origin: Origin, clients: int, public: bool) -> None:
    """The registry takes the client's token ``clients`` times, and others if the image is public."""
    challenge = ("WWW-Authenticate", 'Bearer realm="https://faulty.test/token",service="faulty.test"')
    refused = Reply(401, [challenge], b"{}")
    left = iter(range(clients))

    def answer(asked: Asked) -> Reply:
        bearer = asked.header("authorization")
        if bearer == CLIENTS_TOKEN:
            return refused if next(left, None) is None else origin.redirect(asked)
        return origin.redirect(asked) if public and bearer.startswith("Bearer token-") else refused

    origin.at_registry("/blobs/", answer)


@fault("the client's token expires, the image is public")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, LARGE, "reset")
    wants_token(origin, 1, public=True)


@fault("the same, and the token server fails twice")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, LARGE, "reset")
    wants_token(origin, 1, public=True)
    origin.at_registry("/token", in_turn(fails(503), fails(503), then=origin.token))


@fault("the client's token expires, the image is private", ends=SHORT)
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, LARGE, "reset")
    wants_token(origin, 1, public=False)


# What is met before the headers


@fault("the registry answers 500, twice")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", in_turn(fails(500), fails(500), then=origin.redirect))


@fault("the registry answers 502, twice")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", in_turn(fails(502), fails(502), then=origin.redirect))


@fault("the registry answers 503 (Retry-After: 1), twice")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", in_turn(fails(503, 1), fails(503, 1), then=origin.redirect))


@fault("the CDN answers 503, twice")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(fails(503), fails(503), then=origin.blob)


@fault("the registry always answers 503", ends="error 503")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", fails(503))


@fault("the registry answers 429 (Retry-After: 1)", ends="error 429")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", fails(429, 1))


@fault("the first signature has expired already")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(fails(403), then=origin.blob)


@fault("the registry resets before headers, twice")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", in_turn(*[nothing("reset")] * 2, then=origin.redirect))


@fault("the CDN closes before headers, twice")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(*[nothing("close")] * 2, then=origin.blob)


@fault("the CDN is silent, once")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(nothing("hang"), then=origin.blob)


@fault("the redirect is to a dead host, then to a live one")
def _(origin: Origin) -> None:
    number = bad_number()
    origin.at_registry(
        "/blobs/", in_turn(lambda asked: origin.redirect_to(places.LONE[number]), then=origin.redirect)
    )


@fault("the redirect is always to a dead host", ends="error 502")
def _(origin: Origin) -> list[Faulty]:
    return bad_address(origin, None, lone=True)


@fault("the registry refuses connections", ends="error 502")
def _(origin: Origin) -> None:
    origin.registry_listens = False


@fault("one of the CDN's two addresses refuses connections")
def _(origin: Origin) -> list[Faulty]:
    return bad_address(origin, None)


@fault("one of the CDN's two addresses fails in TLS")
def _(origin: Origin) -> list[Faulty]:
    return bad_address(origin, "garbage")


@fault("one of the CDN's two addresses resets in TLS")
def _(origin: Origin) -> list[Faulty]:
    return bad_address(origin, "reset")


@fault("the CDN's only address fails in TLS", ends="error 502")
def _(origin: Origin) -> list[Faulty]:
    return bad_address(origin, "garbage", lone=True)


@fault("the CDN's IPv6 address cannot be reached")
def _(origin: Origin) -> None:
    origin.location = places.DUAL


@fault("Range is ignored")
def _(origin: Origin) -> None:
    origin.cdn.script = whole(origin)


@fault("the first answer says a wrong Content-Range")
def _(origin: Origin) -> None:
    shifted = told(origin.blob, lambda first, last, size: f"bytes {first + 1}-{last}/{size}")
    origin.cdn.script = in_turn(shifted, then=origin.blob)


# Manifests


@fault("a manifest is cut in the middle, twice", "manifest", parallel=UNUSED)
def _(origin: Origin) -> None:
    origin.at_registry(
        "/manifests/", in_turn(*[cut(origin.manifest, 100, "close")] * 2, then=origin.manifest)
    )


@fault("a manifest is reset in the middle, always", "manifest", ends="error 502", parallel=UNUSED)
def _(origin: Origin) -> None:
    origin.at_registry("/manifests/", cut(origin.manifest, 100, "reset"))


@fault("a manifest stalls in the middle, once", "manifest", parallel=UNUSED)
def _(origin: Origin) -> None:
    origin.at_registry("/manifests/", in_turn(cut(origin.manifest, 100, "hang"), then=origin.manifest))


def _altered(origin: Origin) -> Script:
    wrong = origin.content.manifest.replace(sha256(origin.content.config)[7:15].encode(), b"0badc0de")
    return lambda asked: replace(origin.manifest(asked), body=wrong)


@fault("a manifest has wrong bytes, once", "manifest", parallel=UNUSED)
def _(origin: Origin) -> None:
    origin.at_registry("/manifests/", in_turn(_altered(origin), then=origin.manifest))


@fault("a manifest always has wrong bytes", "manifest", ends="error 502", parallel=UNUSED)
def _(origin: Origin) -> None:
    origin.at_registry("/manifests/", _altered(origin))
