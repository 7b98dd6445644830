"""
Token servers in memory, for the tests of tokens.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from docxy.interfaces import (
    TokenReply,
    TokenRequest,
    UpstreamBroken,
)
from docxy.oci.scopes import parse_scopes
from docxy.upstream.tokens import TokenSource
from tests.unit.upstream.rig import (
    Answering,
    Seen,
    Side,
    UpstreamTestCase,
)

ORIGIN = "https://auth.example"
ALPINE = "repository:library/alpine:pull"
BASIC = b"Basic YWxpY2U6czNjcmV0"


def token_server(life: int = 300, **more: object) -> Answering:
    """A token server that numbers its tokens: t1, t2 and so on."""
    count = iter(range(1, 10**6))

    def answering(request: Request, seen: Seen) -> bytes:
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        return json.dumps({"token": f"t{next(count)}", "expires_in": life, **more}).encode()

    return answering


def asked(*scopes: str, **more: Any) -> TokenRequest:
    """A client's request for these scopes."""
    return TokenRequest(parse_scopes(scopes), **more)


class TokensTestCase(UpstreamTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.net.serve(ORIGIN, token_server())
        self.ours = self.side()
        self.tokens: TokenSource = self.ours.tokens

    def relay(self, request: TokenRequest, side: Side | None = None) -> TokenReply:
        """A client's answer."""
        return self.done((side or self.ours).tokens.relay(request))

    def got(self, request: TokenRequest, side: Side | None = None) -> dict[str, Any]:
        """The JSON of a client's answer."""
        answer: dict[str, Any] = json.loads(self.relay(request, side).body)
        return answer

    def query(self) -> list[tuple[str, str]]:
        """The parameters of the last request at the token server."""
        return parse_qsl(self.net.seen[-1].url.partition("?")[2], keep_blank_values=True)

    def refused(self, waiting: Deferred[Any], text: str) -> None:
        """It fails as broken, saying this and no secret."""
        said = str(self.failed(waiting, UpstreamBroken))
        self.assertIn(text, said)
        for secret in ("s3cret", "YWxpY2U6"):
            self.assertNotIn(secret, said + self.said())
