"""
The plain listener beside a TLS one: it leads people to https, tells clients so, and proves our names.

A ping must not be redirected: docker looks the challenge up under the URL
that it asked, and would lose it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.resource import IResource, Resource

from docxy.answers import own_answer
from docxy.oci.errors import DENIED, NOT_FOUND
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.request import MirrorRequest

Proof = Callable[[str], str | None]

_CHALLENGES = b"/.well-known/acme-challenge/"
_PROOF_HEADERS = ((b"Content-Type", b"application/octet-stream"), (b"Cache-Control", b"no-store"))
_REGISTRY_PARTS = frozenset({b"v1", b"v2", b"auth"})


class RedirectResource(Resource):
    """
    Serves every request of a `server.redirect` listener.

    ``public_url`` is where the mirror is; ``proof`` gives what a certificate
    authority may read for a token now (RFC 8555 section 8.3).
    """

    isLeaf = True

    def __init__(self, front: Front, public_url: Callable[[MirrorRequest], str], proof: Proof) -> None:
        super().__init__()
        self._proof = proof
        self._front = front
        self._public_url = public_url

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._redirect(request, exchange))

    async def _redirect(self, request: MirrorRequest, exchange: Exchange) -> None:
        if request.path.startswith(_CHALLENGES) and request.method in (b"GET", b"HEAD"):
            self._prove(request, exchange)
            return
        url = self._public_url(request)
        if request.path == b"/" and request.method in (b"GET", b"HEAD"):
            exchange.answer(own_answer(308, b"", ((b"Location", url.encode("ascii") + b"/"),)))
        elif _REGISTRY_PARTS.intersection(request.path.split(b"/")):
            raise DENIED.error(f"this mirror is at {url}: set https in the client's configuration")
        else:
            raise NOT_FOUND.error()

    def _prove(self, request: MirrorRequest, exchange: Exchange) -> None:
        text = self._proof(request.path.removeprefix(_CHALLENGES).decode("latin-1"))
        if text is None:
            raise NOT_FOUND.error()
        exchange.answer(own_answer(200, text.encode("ascii"), _PROOF_HEADERS))


def to_redirect(resource: RedirectResource) -> Callable[[MirrorRequest], IResource]:
    """The finder of a site that only redirects."""
    return lambda request: resource
