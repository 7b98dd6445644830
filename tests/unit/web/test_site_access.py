"""Who is served at all: the secret path, and client networks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.forms import network
from docxy.testing import reply
from tests.unit.web.rig import GHCR, HUB, Logged, Rig, settings

DIGEST = "sha256:" + "a" * 64
SECRET = "k7x2f9d8b31c77aa"


class SecretTests(SynchronousTestCase):
    """A secret path hides all but the challenge."""

    def setUp(self) -> None:
        """A mirror with a secret path."""
        self.rig = Rig(settings(HUB, GHCR, secret_path=SECRET))

    def test_hidden(self) -> None:
        """Without the secret everything is 404, in the same words."""
        connection = self.rig.connect()
        for target in (
            "/",
            "/health",
            "/health?upstream=1",
            "/generate_204",
            "/v2/library/alpine/manifests/latest",
            f"/v2/library/alpine/blobs/{DIGEST}",
            "/v2/_catalog",
            "/docker.io/v2/",
            "/auth/token?service=x&scope=repository:library/alpine:pull",
            "/auth/ghcr.io/token",
            "/auth/token?" + "a=b&" * 200,
            "/v1/_ping",
            "/v1/search?q=x",
            f"/{SECRET}x/v2/",
            f"/v2/library/{SECRET}/manifests/latest",
        ):
            with self.subTest(target=target):
                came = connection.get(target)
                self.assertEqual((came.status, came.code), (404, "NOT_FOUND"))
        self.assertEqual(self.rig.hub.asked, [])

    def test_hidden_form(self) -> None:
        """What is wrong with a token request's form is told to those alone who show the secret."""
        for target, status in (("/auth/token", 404), (f"/{SECRET}/auth/token", 415)):
            connection = self.rig.connect()
            connection.ask(target, "Content-Length: 1", "Content-Type: text/plain", method="POST")
            connection.send(b"x")
            self.assertEqual(connection.answer("POST").status, status)

    def test_bare_challenge(self) -> None:
        """A ping without the secret challenges, with a realm that does not tell it."""
        came = self.rig.connect().get("/v2/")
        self.assertEqual(came.status, 401)
        self.assertNotIn(SECRET, str(came.headers) + came.body.decode())

    def test_shown(self) -> None:
        """With the secret in the path all is there, and its realm has the secret."""
        connection = self.rig.connect()
        for target, status in (
            (f"/{SECRET}/", 200),
            (f"/{SECRET}/health", 200),
            (f"/{SECRET}/generate_204", 204),
            (f"/{SECRET}/v1/_ping", 200),
            (f"/{SECRET}/v2/", 401),
        ):
            with self.subTest(target=target):
                self.assertEqual(connection.get(target).status, status)
        realm = connection.get(f"/{SECRET}/v2/").headers["WWW-Authenticate"]
        self.assertIn(f"https://mirror.example.com/{SECRET}/auth/token", realm)

    def test_in_name(self) -> None:
        """With the secret as first component a manifest is served; upstream does not see it."""
        self.rig.hub.will_answer(reply(200, b"{}"))
        came = self.rig.connect().get(f"/v2/{SECRET}/library/alpine/manifests/latest")
        self.assertEqual(came.status, 200)
        self.assertEqual(self.rig.hub.asked[0].target, b"/v2/library/alpine/manifests/latest")

    def test_local_health(self) -> None:
        """This machine's own monitors need no secret."""
        for peer in ("127.0.0.1", "::1", "unix"):
            self.assertEqual(self.rig.connect(peer).get("/health").status, 200)

    def test_local_health_is_not_passed_on(self) -> None:
        """Whoever comes through a proxy on this machine needs the secret, trusted or not."""
        for proxies in ((), (network("127.0.0.0/8"),)):
            rig = Rig(settings(HUB, secret_path=SECRET, trusted_proxies=proxies))
            for header in ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: ", "X-Forwarded-Proto: https"):
                self.assertEqual(rig.connect("127.0.0.1").get("/health", header).status, 404)

    def test_never_logged(self) -> None:
        """The secret stands in no event."""
        logged = Logged(self)
        self.rig.hub.will_answer(reply(200, b"{}"), reply(200, b"{}"))
        connection = self.rig.connect()
        connection.get(f"/v2/{SECRET}/library/alpine/manifests/latest")
        connection.get(f"/{SECRET}/v2/library/alpine/manifests/latest")
        connection.get(f"/{SECRET}/nowhere")
        for target in (
            f"/{SECRET}/auth/{SECRET}/token",
            f"/{SECRET}/auth/token?scope=repository:{SECRET}:5000/a:pull&account={SECRET}",
            f"/{SECRET}/v2/?ns={SECRET}.example",
            f"/{SECRET}/v2/{SECRET}:5000/alpine/manifests/{SECRET}",
            f"/{SECRET}/{SECRET}:5000/v2/",
            f"/v2/?ns={SECRET}",
        ):
            came = connection.get(target)
            self.assertEqual((came.status, came.json["errors"][0]["message"]), (404, "no such endpoint"))
        self.assertEqual(len(logged.access), 9)
        self.assertNotIn(SECRET, repr(logged.access))
        self.assertEqual(len(self.rig.hub.asked), 2)


class AllowTests(SynchronousTestCase):
    """Client networks."""

    def test_outside(self) -> None:
        """A client outside of server.allow gets 403 whatever it asks for; one inside is served."""
        rig = Rig(settings(allow=(network("198.51.100.0/24"),)))
        for target in ("/v2/", "/health", "/", "/nowhere", "/auth/token"):
            came = rig.connect("203.0.113.7").get(target)
            self.assertEqual((came.status, came.code), (403, "DENIED"))
        self.assertEqual(rig.connect("198.51.100.9").get("/v2/").status, 401)
        self.assertEqual(rig.connect("::ffff:198.51.100.9").get("/v2/").status, 401)

    def test_behind_proxy(self) -> None:
        """Behind a trusted proxy the client's own address counts."""
        rig = Rig(
            settings(allow=(network("198.51.100.0/24"),), trusted_proxies=(network("10.0.0.0/8"),)),
        )
        proxy = rig.connect("10.0.0.1")
        self.assertEqual(proxy.get("/v2/", "X-Forwarded-For: 198.51.100.9").status, 401)
        self.assertEqual(proxy.get("/v2/", "X-Forwarded-For: 198.51.100.9, 203.0.113.7").status, 403)
        self.assertEqual(proxy.get("/v2/").status, 403)

    def test_unknown_client(self) -> None:
        """A proxy in an allowed network lets nobody in whom it does not name; its own checks are answered."""
        inside = (network("10.0.0.0/8"),)
        proxy = Rig(settings(allow=inside, trusted_proxies=inside)).connect("10.0.0.1")
        for header in (
            "X: y",
            "X-Forwarded-For: ",
            "X-Forwarded-For: unknown",
            "X-Forwarded-For: 10.0.0.9, ?",
        ):
            for target in ("/v2/", "/v2/library/alpine/manifests/latest", "/auth/token", "/generate_204"):
                came = proxy.get(target, header)
                self.assertEqual((came.status, came.code), (403, "DENIED"))
                self.assertIn("names no client", came.json["errors"][0]["message"])
        self.assertEqual(proxy.get("/v2/", "X-Forwarded-For: 10.0.0.9").status, 401)
        for target in ("/health", "/"):
            self.assertEqual(proxy.get(target).status, 200)
            self.assertEqual(proxy.get(target, "X-Forwarded-Proto: https").status, 403)

    def test_front_page(self) -> None:
        """A trusted proxy's own request of the front page is judged by the proxy's address."""
        proxies = (network("10.0.0.0/8"),)
        rig = Rig(settings(allow=(network("198.51.100.0/24"),), trusted_proxies=proxies))
        self.assertEqual(rig.connect("10.0.0.1").get("/").status, 403)
        self.assertEqual(rig.connect("10.0.0.1").get("/health").status, 200)
