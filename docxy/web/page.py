"""The short page at the root, and the refusal of what leads nowhere."""

from __future__ import annotations

from twisted.web.resource import Resource

from docxy.answers import own_answer
from docxy.interfaces import HeaderLines
from docxy.oci.errors import UNSUPPORTED, RegistryError
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.request import MirrorRequest

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>docxy</title></head>
<body>
<h1>A registry mirror</h1>
<p>This server passes container images on from the registries it mirrors.
Name it in your client's settings:</p>
<ul>
<li>Docker: <code>"registry-mirrors": ["https://THIS-HOST"]</code>
in <code>/etc/docker/daemon.json</code></li>
<li>containerd: <code>[host."https://THIS-HOST"]</code>
in <code>/etc/containerd/certs.d/docker.io/hosts.toml</code></li>
<li>Podman, Skopeo, Buildah: a <code>[[registry.mirror]]</code> with <code>location = "THIS-HOST"</code>
in <code>/etc/containers/registries.conf</code></li>
</ul>
</body>
</html>
"""

_HTML = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Security-Policy", b"default-src 'none'"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_ALLOW = (("Allow", "GET, HEAD"),)


class FixedResource(Resource):
    """Serves the same body to every GET and HEAD."""

    isLeaf = True

    def __init__(self, front: Front, body: bytes, headers: HeaderLines) -> None:
        super().__init__()
        self._front = front
        self._answer = own_answer(200, body, headers)

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._serve(request, exchange))

    async def _serve(self, request: MirrorRequest, exchange: Exchange) -> None:
        if request.method not in (b"GET", b"HEAD"):
            raise UNSUPPORTED.error(headers=_ALLOW)
        exchange.answer(self._answer)


class RefusalResource(Resource):
    """Serves one refusal, that of a request which leads nowhere."""

    isLeaf = True

    def __init__(self, front: Front, error: RegistryError) -> None:
        super().__init__()
        self._front = front
        self._error = error

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._refuse())

    async def _refuse(self) -> None:
        raise self._error


def front_page(front: Front) -> FixedResource:
    """What ``/`` says."""
    return FixedResource(front, PAGE, _HTML)
