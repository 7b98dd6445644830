"""The page at the root."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.web.rig import Logged, Rig


class PageTests(SynchronousTestCase):
    """What a person sees."""

    def test_page(self) -> None:
        """It says what this is and how a client uses it, and runs nothing."""
        came = Rig().connect().get("/")
        self.assertEqual((came.status, came.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        for word in (b"registry-mirrors", b"hosts.toml", b"registries.conf"):
            self.assertIn(word, came.body)
        self.assertIn("default-src 'none'", came.headers["Content-Security-Policy"])

    def test_head(self) -> None:
        """A HEAD tells its length."""
        connection = Rig().connect()
        came = connection.get("/", method="HEAD")
        self.assertGreater(int(came.headers["Content-Length"]), 100)
        self.assertTrue(connection.silent)

    def test_echoes_nothing(self) -> None:
        """Nothing of the request stands in it."""
        came = Rig().connect().get("/?x=<script>", host="evil.example")
        self.assertNotIn(b"evil", came.body)
        self.assertNotIn(b"<script>", came.body)

    def test_refusals_are_logged(self) -> None:
        """What leads nowhere is an event as well."""
        logged = Logged(self)
        Rig().connect().get("/nowhere")
        self.assertEqual([(e["status"], e["error"]) for e in logged.access], [(404, "no such endpoint")])
