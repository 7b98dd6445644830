"""
The admin listener: what is asked by those who watch over the mirror.

Owns a table of pages.  What it serves is neither counted nor written to the
access log, and it has connections of its own: however busy the mirror is, it answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource

from docxy.metrics import Metrics
from docxy.oci.errors import NOT_FOUND, UNSUPPORTED, RegistryError
from docxy.policy.limits import ConnectionCounter
from docxy.web.request import MirrorRequest
from docxy.web.site import MirrorSite, Served
from docxy.web.status import phrase

CONNECTIONS = 32

Page: TypeAlias = Callable[[MirrorRequest], tuple[str, bytes]]
"""Makes the content type and the content that answer a request."""

_JSON = "application/json"


class AdminResource(Resource):
    """Serves each of ``pages``, by path, to GET and HEAD, and nothing else."""

    isLeaf = True

    def __init__(self, pages: Mapping[bytes, Page]) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: MirrorRequest) -> int:
        try:
            content_type, content = self._page(request)(request)
        except RegistryError as error:
            request.setResponseCode(error.status, phrase(error.status))
            for name, value in error.headers:
                request.setHeader(name.encode("ascii"), value.encode("ascii"))
            content_type, content = _JSON, error.body()
        request.setHeader(b"Content-Type", content_type.encode("ascii"))
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Content-Length", b"%d" % len(content))
        request.write(b"" if request.method == b"HEAD" else content)
        request.finish()
        return 1

    def _page(self, request: MirrorRequest) -> Page:
        page = self._pages.get(request.path)
        if page is None:
            raise NOT_FOUND.error(f"here are {', '.join(sorted(path.decode() for path in self._pages))}")
        if request.method not in (b"GET", b"HEAD"):
            raise UNSUPPORTED.error(headers=(("Allow", "GET, HEAD"),))
        return page


class AdminSite(MirrorSite):
    """Serves one resource, within the bounds on time and size that the mirror has."""

    def __init__(self, served: Served, clock: IReactorTime) -> None:
        super().__init__(served, ConnectionCounter(CONNECTIONS, CONNECTIONS), clock)

    def resource_for(self, request: MirrorRequest) -> IResource:
        return self.served.find(request)

    def count_refused(self, status: int) -> None:
        """Nothing: it was no request to the mirror."""


def metrics_page(metrics: Metrics) -> Page:
    """``/metrics``, in the form that the client prefers."""

    def page(request: MirrorRequest) -> tuple[str, bytes]:
        return metrics.shown(", ".join(request.lines(b"Accept")))

    return page


def status_page(show: Callable[[], object]) -> Page:
    """``/status``: what ``show`` gives, as JSON."""

    def page(request: MirrorRequest) -> tuple[str, bytes]:
        return _JSON, json.dumps(show()).encode("ascii") + b"\n"

    return page
