"""Requests that are refused before they exist, and those that may not learn why."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.log import ACCESS_KEYS, json_line
from docxy.settings.forms import network
from tests.unit.web.rig import HUB, Logged, Rig, request, settings

SECRET = "k7x2f9d8b31c77aa"
DIGEST = f"sha256:{'a' * 64}"


class EventTests(SynchronousTestCase):
    """The access log has them, too."""

    def events(self, *sent: bytes, peer: str = "203.0.113.7", wait: float = 0.0) -> list[dict[str, object]]:
        """The access events after this was sent."""
        logged, rig = Logged(self), Rig()
        connection = rig.connect(peer)
        for data in sent:
            connection.send(data)
        rig.clock.advance(wait)
        return [{key: event[key] for key in ACCESS_KEYS} for event in logged.access]

    def test_refused(self) -> None:
        """Each refusal is one event with all its keys; what was asked for stays unknown."""
        for data, status in (
            (b"nonsense\r\n\r\n", 400),
            (b"\x16\x03\x01", 400),
            (request("GET", "/x", "Content-Length: 5"), 400),
            (request("POST", "/auth/token", "Content-Length: 99999"), 413),
            (request("GET", "/" + "x" * 70_000), 431),
        ):
            with self.subTest(status=status, data=data[:20]):
                [event] = self.events(data)
                told = [event[key] for key in ("client", "status", "source", "resumes")]
                self.assertEqual(told, ["203.0.113.7", status, "self", 0])
                unknown = [event[key] for key in ("method", "upstream", "repository", "reference")]
                self.assertEqual(unknown, ["-"] * 4)
                self.assertGreater(int(str(event["bytes"])), 10)

    def test_slow(self) -> None:
        """A head that came too slowly has its duration."""
        [event] = self.events(b"GET /", wait=20.0)
        self.assertEqual((event["status"], event["duration"]), (408, 20.0))
        self.assertEqual(event["error"], "the request took too long")

    def test_client(self) -> None:
        """The client is told as requests tell it: an address, or the unix socket."""
        for peer, client in (
            ("2001:db8::7", "2001:db8::7"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("unix",) * 2,
        ):
            [event] = self.events(b"nonsense\r\n\r\n", peer=peer)
            self.assertEqual(event["client"], client)

    def test_silent(self) -> None:
        """Who said nothing is no request."""
        self.assertEqual(self.events(wait=30.0), [])

    def test_lines(self) -> None:
        """Such an event can be written in either form."""
        logged = Logged(self)
        Rig().connect().send(b"nonsense\r\n\r\n")
        [event] = logged.access
        self.assertIn('"status": 400', json_line(event))
        self.assertTrue(str(event["log_format"]).format(**event).startswith("203.0.113.7 - - - - 400 "))


class PhraseTests(SynchronousTestCase):
    """The status line has the status's own words."""

    def test_words(self) -> None:
        """Both before and after there is a request."""
        connection = Rig(settings(limits=None)).connect()
        connection.get("/v2/", method="PUT")
        self.assertIn(b"HTTP/1.1 405 Method Not Allowed\r\n", connection.line.taken)
        connection.send(request("GET", "/" + "x" * 70_000))
        self.assertIn(b"HTTP/1.1 431 Request Header Fields Too Large\r\n", connection.line.taken)


class SecretTests(SynchronousTestCase):
    """With a secret path, what is wrong with a request is told to those who show the secret."""

    def setUp(self) -> None:
        """A mirror with a secret path."""
        self.connection = Rig(settings(HUB, secret_path=SECRET)).connect()
        self.plain = self.connection.get("/nowhere").body

    def test_hidden(self) -> None:
        """Without it the malformed, and methods that a path does not have, are as unknown as all else."""
        for method, target in (
            ("GET", "/v2/A/manifests/x"),
            ("GET", "/v2/library/alpine/manifests/"),
            ("GET", "/v2/library/alpine/blobs/latest"),
            ("GET", "/v2/?ns=a&ns=b"),
            ("GET", "/v2/library/alpine/tags/list?n=x"),
            ("GET", "http://mirror.example.com/v2/"),
            ("GET", "*"),
            ("POST", "/v2/"),
            ("PUT", "/v2/library/alpine/manifests/latest"),
            ("POST", "/v2/library/alpine/blobs/uploads/"),
            ("DELETE", "/auth/token"),
            ("POST", "/v1/_ping"),
            ("POST", "/"),
            ("GET", f"/v2/library/{SECRET}/A/manifests/x"),
            ("PUT", f"/auth/{SECRET}/token"),
            ("PUT", f"/{SECRET}x/v2/"),
        ):
            with self.subTest(method=method, target=target):
                came = self.connection.get(target, "Content-Length: 0", method=method)
                self.assertEqual((came.status, came.body, came.headers["Allow"]), (404, self.plain, None))

    def test_shown(self) -> None:
        """With it they are told."""
        for method, target, status in (
            ("GET", f"/v2/{SECRET}/A/manifests/x", 400),
            ("GET", f"/{SECRET}/v2/A/manifests/x", 400),
            ("PUT", f"/{SECRET}/v2/", 405),
            ("PUT", f"/v2/{SECRET}/library/alpine/manifests/latest", 405),
            ("PUT", f"/{SECRET}/auth/token", 405),
        ):
            with self.subTest(method=method, target=target):
                came = self.connection.get(target, "Content-Length: 0", method=method)
                self.assertEqual(came.status, status)

    def test_challenge(self) -> None:
        """The bare ping challenges all the same."""
        for method in ("GET", "HEAD"):
            self.assertEqual(self.connection.get("/v2/", method=method).status, 401)

    @hypothesis(derandomize=True, max_examples=60, deadline=None)
    @given(st.sampled_from(["GET", "POST", "PUT"]), st.text("/v2auth:._-%A?=", max_size=24))
    @example("GET", "v2/_catalog")
    def test_any(self, method: str, path: str) -> None:
        """Whatever is asked without it is the challenge or that one answer."""
        came = (
            Rig(settings(HUB, secret_path=SECRET))
            .connect()
            .get(f"/{path}", "Content-Length: 0", method=method)
        )
        self.assertIn((came.status, came.body), [(404, self.plain), (401, came.body)])


class LocalTests(SynchronousTestCase):
    """This machine's own monitors."""

    def test_allowed(self) -> None:
        """Its health is told to itself where `server.allow` leaves it out, and nothing more is."""
        rig = Rig(settings(allow=(network("198.51.100.0/24"),)))
        for peer in ("127.0.0.1", "::1", "unix"):
            self.assertEqual(rig.connect(peer).get("/health").status, 200)
            self.assertEqual(rig.connect(peer).get("/v2/").status, 403)
        self.assertEqual(rig.connect("203.0.113.7").get("/health").status, 403)
