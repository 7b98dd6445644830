"""
Who asks, by which name, from where: what a request says of itself, as far as it is believed.

Owns the reading of Host, X-Forwarded-* and the client networks.  Decisions
are those of `docxy.policy`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from docxy.answers import Caller
from docxy.oci.errors import DENIED
from docxy.policy.access import allowed
from docxy.policy.hosts import base_url
from docxy.policy.proxies import UNKNOWN, client_address, client_scheme, own_address
from docxy.policy.secret import SecretPath
from docxy.settings.values import ServerSettings
from docxy.web.exchange import Exchange
from docxy.web.request import MirrorRequest
from docxy.web.traffic import Traffic

MAX_AUTHORIZATION = 48 * 1024  # bytes; the largest tokens seen are below 40 KiB


class Front:
    """
    Reads requests for a server of ``settings`` whose certificate has ``certificate_names()``.

    What it serves is counted by ``traffic``.
    """

    def __init__(
        self,
        settings: ServerSettings,
        certificate_names: Callable[[], tuple[str, ...]],
        clock: IReactorTime,
        traffic: Traffic,
    ) -> None:
        self._settings = settings
        self._secret = SecretPath(settings.secret_path)
        fronts = ("", self._secret.front)
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
        return Exchange(request, self.client(request), self._clock, self.traffic, self._secret)

    def admit(self, request: MirrorRequest) -> None:
        """Raise 403 for a client outside `server.allow`."""
        client = self.client(request)
        if allowed(client, self._settings.allow):
            return
        if client == UNKNOWN:
            raise DENIED.error("the proxy in front of this mirror names no client, which server.allow needs")
        raise DENIED.error("this mirror is not open to your address: server.allow")

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
