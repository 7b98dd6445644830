"""The plain listener beside a TLS one."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from docxy.web.redirect import RedirectResource, to_redirect
from tests.unit.web.rig import Connection, Rig


class RedirectTests(SynchronousTestCase):
    """It leads people, and tells clients."""

    def setUp(self) -> None:
        """A site that only redirects."""
        self.rig = Rig()
        proofs = {"token": "token.thumbprint"}
        url = "https://mirror.example.com:8443"
        resource = RedirectResource(self.rig.front, lambda request: url, proofs.get)
        self.rig.site.served = replace(self.rig.site.served, find=to_redirect(resource))
        self.client: Connection = self.rig.connect()

    def test_people(self) -> None:
        """GET and HEAD of the root lead to the public URL, whatever Host says."""
        for method in ("GET", "HEAD"):
            came = self.client.get("/", method=method, host="evil.example")
            self.assertEqual((came.status, came.body), (308, b""))
            self.assertEqual(came.headers["Location"], "https://mirror.example.com:8443/")

    def test_clients(self) -> None:
        """The registry's paths are not redirected: a ping would lose its challenge."""
        for target in (
            "/v2/",
            "/v2",
            "/hub/v2/library/alpine/manifests/latest",
            "/auth/token?x",
            "/v1/_ping",
        ):
            for method in ("GET", "HEAD"):
                came = self.client.get(target, "Authorization: Bearer x", method=method)
                self.assertEqual((came.status, came.headers["Location"]), (403, None))
            came = self.client.get(target)
            self.assertEqual(came.code, "DENIED")
            self.assertIn("https://mirror.example.com:8443", came.json["errors"][0]["message"])

    def test_proofs(self) -> None:
        """A certificate authority reads what is pending for its token, and nothing else."""
        came = self.client.get("/.well-known/acme-challenge/token", host="evil.example")
        self.assertEqual((came.status, came.body), (200, b"token.thumbprint"))
        self.assertEqual(came.headers["Content-Type"], "application/octet-stream")
        came = self.client.get("/.well-known/acme-challenge/token", method="HEAD")
        self.assertEqual((came.status, came.headers["Content-Length"]), (200, "16"))
        for target in ("other", "", "token/", "../token", "t%6Fken"):
            came = self.client.get(f"/.well-known/acme-challenge/{target}")
            self.assertEqual((came.status, came.code), (404, "NOT_FOUND"), target)
        came = self.client.get("/.well-known/acme-challenge/token", "Content-Length: 0", method="POST")
        self.assertEqual(came.status, 404)

    def test_others(self) -> None:
        """Nothing else is there."""
        for target, method in (("/health", "GET"), ("/nowhere", "GET"), ("/", "POST"), ("/v20", "GET")):
            came = self.client.get(target, "Content-Length: 0" if method == "POST" else "X: y", method=method)
            self.assertEqual((came.status, came.code), (404, "NOT_FOUND"))
        self.assertEqual(self.rig.hub.asked, [])
