"""
How the authority's directory is met: the library's network, less what it believes too easily.

Owns trust roots, bounds and the patience with refused nonces.  Runs in the
thread of an order, never in the reactor's.  The system's trust roots are
believed and those of ``acme.ca``, not the ones that come with `requests`; no
proxy and no ``.netrc`` is read; answers are bounded, and so is the time for
all of them.  Nothing leads from the directory's host to another one.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Timer
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from acme.client import ClientNetwork
from acme.messages import Error
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from docxy import __version__
from docxy.acme.trust import trust
from docxy.policy.retry import told_wait

TIMEOUT = 30  # seconds without a byte
LONGEST = 900  # seconds for a whole conversation
MAX_ANSWER = 1 << 20  # bytes; a chain of certificates has some thousand
_NONCE_TRIES = (
    8  # each of two requests; RFC 8555 section 6.5 has clients repeat what was refused for its nonce
)


Origin = tuple[str, str | None, int]
"""Scheme, host and port: what URLs of the same authority have in common."""


class TooLarge(requests.exceptions.RequestException):
    """An answer is over `MAX_ANSWER`."""


class TooLong(requests.exceptions.RequestException):
    """The conversation has not ended after `LONGEST` seconds."""


class Elsewhere(requests.exceptions.RequestException):
    """The authority names an address that is not its directory's host."""


class _Bounded:
    """An answer's body, which ends with an error where it is too long."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, amount: int | None = None, **more: Any) -> Any:
        """What `requests` throws the rest of an answer away by."""
        return self._raw.read(MAX_ANSWER if amount is None else min(amount, MAX_ANSWER), **more)

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """What `requests` reads it by."""
        left = MAX_ANSWER
        for chunk in self._raw.stream(amount, decode_content=decode_content):
            left -= len(chunk)
            if left < 0:
                raise TooLarge(f"an answer of the authority is over {MAX_ANSWER} bytes")
            yield chunk


class Adapter(HTTPAdapter):
    """
    Connections to ``origin`` alone, if ``context`` trusts it.

    ``told`` is the last refusal's Retry-After, in seconds.
    """

    def __init__(self, context: ssl.SSLContext, origin: Origin) -> None:
        self._context = context
        self._origin = origin
        self._sockets: list[socket.socket] = []
        self._cut = Event()
        self.told: float | None = None
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """Make the connections' pool."""
        super().init_poolmanager(*args, **more, ssl_context=self._context)
        opened, cut = self._sockets, self._cut

        class Connection(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                opened.append(self.sock)
                if cut.is_set():
                    self.close()

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"https": Pool}

    def cut(self) -> None:
        """Whatever is waited for will not come; called by another thread."""
        self._cut.set()
        for each in self._sockets.copy():
            with suppress(OSError):  # closed meanwhile
                each.shutdown(socket.SHUT_RDWR)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Not the inherited one: it adds the roots that come with `requests`."""
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, request: Any, stream: bool = False, *args: Any, **more: Any) -> requests.Response:
        """Send it, and bound its answer."""
        if self._cut.is_set():
            raise TooLong(f"it has not come to an end in {LONGEST} seconds")
        if origin_of(request.url) != self._origin:
            host = urlsplit(request.url).netloc
            raise Elsewhere(f"it names the host {host}, which is not that of acme.directory: set that right")
        answer = super().send(request, stream, *args, **more)
        answer.raw = _Bounded(answer.raw)
        headers = answer.headers
        if not answer.ok:
            self.told = told_wait(headers.get("Retry-After"), headers.get("Date"))
        return answer


class Network(ClientNetwork):
    """
    The library's network for one conversation, with `Adapter` for each connection, signing with ``jwk``.

    As a context manager it ends the conversation after `LONGEST` seconds, whatever is waited for then.

    :raises SettingsError: ``ca`` is no file of trust roots.
    """

    def __init__(self, jwk: JWKEC, directory: str, ca: str | None) -> None:
        super().__init__(jwk, alg=ES256, user_agent=f"docxy/{__version__}", timeout=TIMEOUT)
        self.jwk = jwk
        self.origin = origin_of(directory)
        self.adapter = Adapter(trust(ca), self.origin)
        self.session.trust_env = False
        self.session.max_redirects = 3
        self.session.headers["Accept-Encoding"] = "identity"
        self.session.adapters.clear()
        self.session.mount("https://", self.adapter)  # and nothing that is not encrypted

    def __enter__(self) -> Self:
        self._limit = Timer(LONGEST, self.adapter.cut)
        self._limit.daemon = True
        self._limit.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._limit.cancel()
        self.session.close()

    def post(self, *args: Any, **more: Any) -> requests.Response:
        """Send a signed request, again where the authority refuses its nonce."""
        for _ in range(_NONCE_TRIES - 1):
            try:
                return super().post(*args, **more)
            except Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **more)


def origin_of(url: str) -> Origin:
    """Where a URL leads to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443
