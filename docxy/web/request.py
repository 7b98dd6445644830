"""
One request, as `twisted.web` hands it over, less what a mirror has no use for.

Must not decode paths, parse forms or keep cookies: routes are read from the
raw path, forms by the token endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger
from twisted.web.http import datetimeToString
from twisted.web.server import Request

from docxy.interfaces import HeaderLines
from docxy.oci.errors import SIZE_INVALID, UNKNOWN
from docxy.oci.routes import Route
from docxy.web.channel import MAX_FORM, MirrorChannel
from docxy.web.closing import PATIENCE

_log = Logger()


class MirrorRequest(Request):
    """A `Request` whose resource is found by the site from the raw path."""

    channel: MirrorChannel
    content: BytesIO
    route: Route
    site: Any
    on_stop: Callable[[], None] | None = None  # ends the work for this request

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def parseCookies(self) -> None:
        """No cookie is read: a mirror has none."""

    def handleContentChunk(self, data: bytes) -> None:
        if self.content.tell() + len(data) > MAX_FORM:
            self.channel.refuse(SIZE_INVALID.error(f"the form is over {MAX_FORM} bytes"))
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        # Not the inherited one: it decodes the query into arguments, which nobody reads.
        self.content.seek(0)
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, self.query = path.partition(b"?")
        self.args = {}
        self.process()

    def process(self) -> None:
        self.site = self.channel.site
        self.setHeader(b"Server", b"docxy")
        self.setHeader(b"Date", datetimeToString())
        try:
            self.site.resource_for(self).render(self)
        except Exception:
            _log.failure("request failed before it was served")
            self.channel.refuse(UNKNOWN.error())

    # The end of the service

    def end_short(self) -> None:
        """End this request and its connection: in order, where the client can tell that something lacks."""
        channel = self.channel
        if self.on_stop is not None:
            self.on_stop()
        if self.producer is not None:
            self.unregisterProducer()
        announced = self.chunked or self.responseHeaders.hasHeader(b"Content-Length")
        if self.startedWriting and not announced:
            channel.abort()
        else:
            channel.leave(PATIENCE)

    # What resources ask

    def header_lines(self) -> HeaderLines:
        """All headers, a line each, in order of their names."""
        return tuple(
            (name, value) for name, values in self.requestHeaders.getAllRawHeaders() for value in values
        )

    def lines(self, name: bytes) -> list[str]:
        """Every value of header ``name``."""
        return [value.decode("latin-1") for value in self.requestHeaders.getRawHeaders(name, [])]

    def single(self, name: bytes) -> str | None:
        """The value of a header that was sent exactly once."""
        values = self.lines(name)
        return values[0] if len(values) == 1 else None

    def peer(self) -> str | None:
        """The address of the other end; None for a unix socket."""
        address = self.channel.getPeer()
        return address.host if isinstance(address, IPv4Address | IPv6Address) else None

    def local_address(self) -> tuple[str, int] | None:
        """Our own end's address and port; None for a unix socket."""
        address = self.channel.getHost()
        return (address.host, address.port) if isinstance(address, IPv4Address | IPv6Address) else None
