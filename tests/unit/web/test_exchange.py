"""One request: answered once, logged once, whatever becomes of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from docxy.answers import Answer
from docxy.interfaces import Reply
from docxy.log import ACCESS_KEYS, json_line
from docxy.oci.errors import DENIED
from docxy.policy.secret import SecretPath
from docxy.testing import FakeTokenSource, reply
from docxy.web.exchange import Exchange
from docxy.web.request import MirrorRequest
from tests.unit.web.rig import GHCR, HUB, Connection, Logged, Rig, settings

MANIFEST = "/v2/library/alpine/manifests/latest"


class Serving(Resource):
    """Serves by a coroutine that awaits ``until`` and then does ``then``."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._rig = rig
        self.until: Deferred[None] = Deferred()
        self.exchange: Exchange
        self.raises: Exception | None = None
        self.begun = False

    def render(self, request: MirrorRequest) -> int:
        """Start."""
        secret = SecretPath("k7x9qq2m")
        self.exchange = Exchange(request, "192.0.2.99", self._rig.clock, self._rig.traffic, secret)
        return self.exchange.start(self._serve())

    async def _serve(self) -> None:
        if self.begun:
            self.exchange.request.write(b"begun")
        await self.until
        if self.raises is not None:
            raise self.raises
        self.exchange.answer(Answer(200, ((b"X-One", b"1"),), 2, b"{}", "relay"))


class ExchangeTests(SynchronousTestCase):
    """Answers and ends."""

    def setUp(self) -> None:
        """A request that is being served."""
        self.logged = Logged(self)
        self.rig = Rig()
        self.serving = Serving(self.rig)
        self.rig.site.resource_for = lambda request: self.serving  # type: ignore[method-assign]

    def ask(self, method: str = "GET") -> Connection:
        """Send the request."""
        connection = self.rig.connect()
        connection.ask("/x?token=secret", "Authorization: Bearer secret", method=method)
        return connection

    def test_secret(self) -> None:
        """Whatever was made of the request and of its failure, the event does not tell the secret path."""
        self.ask()
        self.serving.exchange.repository = "a/k7x9qq2m/b"
        self.serving.exchange.reference = "K7X9QQ2M"
        self.serving.raises = DENIED.error("no k7x9qq2m here")
        self.serving.until.callback(None)
        [event] = self.logged.access
        self.assertEqual((event["repository"], event["reference"]), ("a/***/b", "***"))
        self.assertEqual(event["error"], "no *** here")

    def test_answer(self) -> None:
        """An answer is written with its headers and its length, and logged with all its keys."""
        connection = self.ask()
        self.rig.clock.advance(1.5)
        self.serving.until.callback(None)
        came = connection.answer()
        self.assertEqual((came.status, came.body, came.headers["X-One"]), (200, b"{}", "1"))
        self.assertIsNone(came.headers["Content-Type"])
        [event] = self.logged.access
        wanted = {
            "client": "192.0.2.99",
            "method": "GET",
            "upstream": "-",
            "repository": "-",
            "reference": "-",
            "status": 200,
            "bytes": 2,
            "duration": 1.5,
            "source": "relay",
            "resumes": 0,
            "error": "-",
        }
        self.assertEqual({key: event[key] for key in ACCESS_KEYS}, wanted)
        self.assertEqual(set(wanted), set(ACCESS_KEYS))

    def test_head(self) -> None:
        """The answer to a HEAD has the length and sends nothing."""
        connection = self.ask("HEAD")
        self.serving.until.callback(None)
        came = connection.answer("HEAD")
        self.assertEqual((came.headers["Content-Length"], came.body), ("2", b""))
        self.assertTrue(connection.silent)
        self.assertEqual(self.logged.access[0]["bytes"], 0)

    def test_refusal(self) -> None:
        """A refusal is written as OCI JSON with its headers, and its message is logged."""
        connection = self.ask()
        self.serving.raises = DENIED.error("not for you", headers=(("Retry-After", "5"),))
        self.serving.until.callback(None)
        came = connection.answer()
        self.assertEqual((came.status, came.code, came.headers["Retry-After"]), (403, "DENIED", "5"))
        self.assertEqual(
            (self.logged.access[0]["status"], self.logged.access[0]["error"]), (403, "not for you")
        )

    def test_client_leaves(self) -> None:
        """A client that leaves cancels the work, and is logged without a status, once."""
        cancelled: list[object] = []
        self.serving.until = Deferred(cancelled.append)
        connection = self.ask()
        connection.leave()
        self.assertEqual(len(cancelled), 1)
        [event] = self.logged.access
        self.assertEqual((event["status"], event["error"]), (0, "client left"))

    def test_leaves_but_work_goes_on(self) -> None:
        """Work that is not to be cancelled ends without an answer, and without an error of ours."""
        self.serving.until = Deferred(lambda it: it.callback(None))
        self.ask().leave()
        self.assertEqual(len(self.logged.access), 1)

    def test_leaves_and_work_refuses(self) -> None:
        """Nor is a refusal written to who has left."""
        self.serving.raises = DENIED.error("too late")
        self.serving.until = Deferred(lambda it: it.callback(None))
        self.ask().leave()
        self.assertEqual([event["error"] for event in self.logged.access], ["too late"])

    def test_leaves_and_work_breaks(self) -> None:
        """A bug is told even then."""
        self.serving.raises = ValueError("a bug")
        self.serving.until = Deferred(lambda it: it.callback(None))
        self.ask().leave()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_bug(self) -> None:
        """A bug of ours is logged with its traceback and told as 500, without its words."""
        connection = self.ask()
        self.serving.raises = ValueError("a bug")
        self.serving.until.callback(None)
        came = connection.answer()
        self.assertEqual((came.status, came.code), (500, "UNKNOWN"))
        self.assertNotIn(b"a bug", came.body)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.logged.access[0]["error"], "ValueError")

    def test_bug_in_mid_answer(self) -> None:
        """A bug after the headers ends the connection short."""
        self.serving.begun = True
        connection = self.ask()
        self.serving.raises = ValueError("a bug")
        self.serving.until.callback(None)
        self.assertFalse(connection.answer().whole)
        self.assertTrue(connection.closed)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_logged_once(self) -> None:
        """The end comes once."""
        self.ask()
        self.serving.until.callback(None)
        self.serving.exchange._end(None)
        self.assertEqual(len(self.logged.access), 1)

    def test_nothing_secret(self) -> None:
        """Neither query nor credential stands in any event."""
        self.ask()
        self.serving.until.callback(None)
        self.assertNotIn("secret", "".join(json_line(event) for event in self.logged.events))


class MirrorTests(SynchronousTestCase):
    """The same with the whole mirror behind."""

    def setUp(self) -> None:
        """Two upstreams."""
        self.logged = Logged(self)
        self.rig = Rig(settings(HUB, GHCR))

    def test_concerns(self) -> None:
        """The event names upstream, repository and reference as upstream spells them."""
        self.rig.hub.will_answer(reply(200, b"{}"))
        self.rig.connect().get("/v2/docker.io/alpine/manifests/3.20?ns=docker.io")
        [event] = self.logged.access
        told = (event["upstream"], event["repository"], event["reference"], event["source"])
        self.assertEqual(told, ("docker.io", "library/alpine", "3.20", "relay"))

    def test_leaves_while_upstream_is_asked(self) -> None:
        """A client that leaves before the answer ends the request to upstream."""
        cancelled: list[object] = []
        asked: Deferred[Reply] = Deferred(cancelled.append)
        self.rig.hub.will_answer(asked)
        connection = self.rig.connect()
        connection.ask(MANIFEST)
        self.assertEqual(self.rig.relays.active, 1)
        connection.leave()
        self.assertEqual((len(cancelled), self.rig.relays.active), (1, 0))
        self.assertEqual(self.logged.access[0]["error"], "client left")

    def test_generate_204(self) -> None:
        """An answer without content has no length to tell."""
        connection = self.rig.connect()
        came = connection.get("/generate_204")
        self.assertEqual((came.status, came.body), (204, b""))
        self.assertIsNone(came.headers["Content-Length"])
        self.assertIsNone(came.headers["Transfer-Encoding"])
        self.assertEqual(connection.get("/health").status, 200)

    def test_not_modified(self) -> None:
        """A 304 has no body."""
        self.rig.hub.will_answer(reply(304, headers=[(b"ETag", b'"x"')]))
        connection = self.rig.connect()
        came = connection.get(MANIFEST, 'If-None-Match: "x"')
        self.assertEqual((came.status, came.headers["ETag"], came.body), (304, '"x"', b""))
        self.assertTrue(connection.silent)
        self.assertIsInstance(self.rig.tokens["docker.io"], FakeTokenSource)
