"""Pings over a connection."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Authority
from docxy.testing import reply
from tests.unit.web.rig import GHCR, HUB, Logged, Rig, settings


class PingTests(SynchronousTestCase):
    """``GET /v2/``."""

    def test_challenge(self) -> None:
        """A ping is answered at once with one Bearer challenge; upstream is not asked."""
        rig = Rig()
        connection = rig.connect()
        for target in ("/v2/", "/v2"):
            came = connection.get(target)
            self.assertEqual((came.status, came.code), (401, "UNAUTHORIZED"))
            self.assertEqual(came.headers["Docker-Distribution-Api-Version"], "registry/2.0")
            self.assertEqual(
                came.headers.get_all("WWW-Authenticate"),
                ['Bearer realm="https://mirror.example.com/auth/token",service="registry.example"'],
            )
        self.assertEqual(rig.hub.asked, [])

    def test_head(self) -> None:
        """A HEAD is challenged as well."""
        came = Rig().connect().get("/v2/", method="HEAD")
        self.assertEqual((came.status, came.body), (401, b""))
        self.assertIn("Bearer", came.headers["WWW-Authenticate"])

    def test_open(self) -> None:
        """Where no token is needed the answer is 200."""
        rig = Rig()
        rig.tokens["docker.io"].known = Authority("none")
        self.assertEqual(rig.connect().get("/v2/").status, 200)

    def test_prefix(self) -> None:
        """The ping of a prefix names its upstream in the realm and in the log."""
        logged = Logged(self)
        came = Rig(settings(HUB, GHCR)).connect().get("/ghcr.io/v2/")
        self.assertIn("/auth/ghcr.io/token", came.headers["WWW-Authenticate"])
        self.assertEqual(logged.access[0]["upstream"], "ghcr.io")

    def test_credentials_are_checked(self) -> None:
        """A token is shown to upstream, whose word counts."""
        rig = Rig()
        rig.hub.will_answer(reply(200, b"{}"))
        self.assertEqual(rig.connect().get("/v2/", "Authorization: Bearer abc").status, 200)
        self.assertEqual(rig.hub.asked[0].lines(b"Authorization"), [b"Bearer abc"])
