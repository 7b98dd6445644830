"""
Who asks, by which name, from where: what a request says of itself, as far as it is believed.

Owns the reading of Host, X-Forwarded-* and the client networks.  Decisions
are those of `docxy.policy`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from docxy.answers import Caller
from docxy.policy.access import Networks
from docxy.policy.addresses import bucket
from docxy.policy.hosts import base_url
from docxy.policy.proxies import client_address, client_scheme, own_address
from docxy.policy.secret import SecretPath
from docxy.settings.values import Settings
from docxy.usage.usage import Usage
from docxy.web.exchange import Exchange
from docxy.web.request import MirrorRequest
from docxy.web.traffic import Traffic

MAX_AUTHORIZATION = 48 * 1024  # bytes; the largest tokens seen are below 40 KiB


class Front:
    """
    Reads requests for a server of ``settings`` whose certificate has ``certificate_names()``.

    What it serves is counted by ``traffic``, and against ``usage``, where there is one.
    """

    def __init__(
        self,
        settings: Settings,
        certificate_names: Callable[[], tuple[str, ...]],
        clock: IReactorTime,
        traffic: Traffic,
        usage: Usage | None = None,
    ) -> None:
        self._settings = settings.server
        self._networks = Networks(settings)
        self._usage = usage
        self._secret = SecretPath.of(settings)
        fronts = ("", *self._secret.fronts)
        self._own_pages = {f"{front}{page}".encode("ascii") for front in fronts for page in ("/", "/health")}
        self.certificate_names = certificate_names
        self._clock = clock
        self.traffic = traffic

    def client(self, request: MirrorRequest) -> str:
        """The client's address, from behind trusted proxies; the pages for monitors know those themselves."""
        itself = self._itself(request) if request.path in self._own_pages else None
        forwarded = request.lines(b"X-Forwarded-For")
        return itself or client_address(request.peer(), forwarded, self._settings.trusted_proxies)

    def _itself(self, request: MirrorRequest) -> str | None:
        forwarded = [*request.lines(b"X-Forwarded-For"), *request.lines(b"X-Forwarded-Proto")]
        return own_address(request.peer(), forwarded, self._settings.trusted_proxies)

    def exchange(self, request: MirrorRequest) -> Exchange:
        """The record of this request, to serve it by."""
        exchange = Exchange(request, self.client(request), self._clock, self.traffic, self._secret)
        exchange.key = self._secret.key_in(request.path)
        return exchange

    def admit(self, request: MirrorRequest) -> None:
        """Raise 403 for a client that is not let in, 429 for one that asks too often."""
        client = self.client(request)
        self._networks.admit(client)
        if self._usage is not None and request.path not in self._own_pages:
            key = self._secret.key_in(request.path)
            self._usage.admit(bucket(client), key, is_stranger=not self.shows_secret(request))

    def shows_secret(self, request: MirrorRequest) -> bool:
        """Whether the client may know what there is: it shows a secret path, or there is none."""
        return not self._secret.is_set or bool(self._secret.shown_in(request.path))

    @property
    def pages_below(self) -> tuple[str, ...]:
        """Where the mirror's own pages are: below each secret path, or at the root."""
        return self._secret.fronts

    def is_local(self, request: MirrorRequest) -> bool:
        """Whether this machine or a trusted proxy asks, and nobody through it."""
        return self._itself(request) is not None

    def caller(self, request: MirrorRequest) -> Caller:
        """What the mirror may know of this request."""
        host = request.single(b"Host")
        scheme = client_scheme(
            request.peer(),
            request.lines(b"X-Forwarded-Proto"),
            self._settings.trusted_proxies,
            "https" if request.isSecure() else "http",
        )
        authorization = request.single(b"Authorization")
        if authorization is not None and len(authorization) > MAX_AUTHORIZATION:
            authorization = None
        base = base_url(
            host,
            scheme,
            public_urls=self._settings.public_urls,
            certificate_names=self.certificate_names(),
            local_address=request.local_address(),
        )
        return Caller(
            method=request.method,
            headers=request.header_lines(),
            host=host,
            base_url=base,
            authorization=None if authorization is None else authorization.encode("latin-1"),
        )
