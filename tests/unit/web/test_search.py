"""The v1 API over a connection."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.testing import reply
from tests.unit.web.rig import GHCR, HUB, Rig, settings


class SearchTests(SynchronousTestCase):
    """Ping and search, for upstreams that have them."""

    def setUp(self) -> None:
        """Docker Hub, which has a search, and one that has none."""
        self.rig = Rig(settings(HUB, GHCR))
        self.client = self.rig.connect()

    def test_ping(self) -> None:
        """The ping is answered here."""
        came = self.client.get("/v1/_ping")
        self.assertEqual((came.status, came.json), (200, {}))
        self.assertEqual(self.rig.hub.asked, [])

    def test_search(self) -> None:
        """The search goes upstream with its query."""
        self.rig.hub.will_answer(reply(200, b'{"results":[]}', [(b"Content-Type", b"application/json")]))
        came = self.client.get("/v1/search?q=x&n=25")
        self.assertEqual((came.status, came.json), (200, {"results": []}))
        self.assertEqual(self.rig.hub.asked[0].target, b"/v1/search?q=x&n=25")

    def test_none(self) -> None:
        """Where upstream has none, both are 404."""
        for target in ("/ghcr.io/v1/_ping", "/ghcr.io/v1/search?q=x", "/nowhere/v1/_ping"):
            self.assertEqual(self.client.get(target).status, 404)
