"""The token endpoint over a connection."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import TokenReply, TokenRequest
from docxy.oci.errors import RegistryError
from docxy.web.channel import MAX_FORM
from docxy.web.token import MAX_PARAMS, _parse
from tests.unit.web.rig import Came, Logged, Rig

JSON = ((b"Content-Type", b"application/json"),)
FORM = "Content-Type: application/x-www-form-urlencoded"

quick = settings(derandomize=True, max_examples=150, deadline=None)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
pairs = st.lists(st.tuples(text, text), max_size=8)


class TokenTests(SynchronousTestCase):
    """GET and POST."""

    def setUp(self) -> None:
        """A mirror whose token server answers."""
        self.rig = Rig()
        self.tokens = self.rig.tokens["docker.io"]
        self.tokens.answers.append(TokenReply(200, JSON, b'{"token":"t"}'))
        self.client = self.rig.connect()

    def post(self, body: bytes, *headers: str) -> Came:
        """Send a form."""
        self.client.ask("/auth/token?service=q", f"Content-Length: {len(body)}", *headers, method="POST")
        self.client.send(body)
        return self.client.answer("POST")

    @property
    def relayed(self) -> TokenRequest:
        """What the token source was asked."""
        [request] = self.tokens.relayed
        return request

    def test_get(self) -> None:
        """Scopes, other parameters and the Basic header are passed on; the answer comes back as it is."""
        came = self.client.get(
            "/auth/token?account=me&scope=repository%3Aalpine%3Apull&scope=repository:library/b:pull"
            "&service=registry.example&empty=",
            "Authorization: Basic bWU6cHc=",
        )
        self.assertEqual((came.status, came.body), (200, b'{"token":"t"}'))
        scopes = [str(scope) for scope in self.relayed.scopes]
        self.assertEqual(scopes, ["repository:library/alpine:pull", "repository:library/b:pull"])
        self.assertEqual(self.relayed.params, (("account", "me"), ("empty", "")))
        self.assertEqual(self.relayed.service, "registry.example")
        self.assertEqual(self.relayed.authorization, b"Basic bWU6cHc=")
        self.assertFalse(self.relayed.form)

    def test_event(self) -> None:
        """The access log tells for what a token was asked, as upstream spells it."""
        logged = Logged(self)
        self.client.get("/auth/token?scope=aws&scope=repository:alpine:pull")
        [event] = logged.access
        self.assertEqual((event["upstream"], event["repository"]), ("docker.io", "library/alpine"))

    def test_form(self) -> None:
        """A form's parameters follow those of the query."""
        body = b"grant_type=password&username=me&password=p%26w&scope=repository:a:pull%20repository:b:pull"
        came = self.post(body, FORM + "; charset=utf-8")
        self.assertEqual(came.status, 200)
        self.assertTrue(self.relayed.form)
        self.assertIn(("password", "p&w"), self.relayed.params)
        self.assertEqual(len(self.relayed.scopes), 2)

    def test_chunked_form(self) -> None:
        """A form may come in chunks."""
        self.client.ask("/auth/token", FORM, "Transfer-Encoding: chunked", method="POST")
        self.client.send(b"8\r\nservice=\r\n1\r\nx\r\n0\r\n\r\n")
        self.assertEqual(self.client.answer("POST").status, 200)
        self.assertEqual(self.relayed.service, "x")

    def test_status_is_kept(self) -> None:
        """Upstream's status comes back: 404 and 405 tell a client to use GET."""
        for status in (400, 401, 404, 405, 429):
            self.tokens.answers[0] = TokenReply(status, JSON, b"{}")
            self.assertEqual(self.post(b"a=b", FORM).status, status)
            self.tokens.answers.append(TokenReply(200, JSON, b"{}"))

    def test_no_form(self) -> None:
        """A POST that is no form is refused."""
        for headers in ((), ("Content-Type: application/json",), (FORM, FORM)):
            came = self.post(b"{}", *headers)
            self.assertEqual((came.status, came.code), (415, "UNSUPPORTED"))
        self.assertEqual(self.tokens.relayed, [])

    def test_malformed(self) -> None:
        """Parameters that are no ASCII, or too many, are refused."""
        came = self.post(b"a=\xff", FORM)
        self.assertEqual((came.status, came.code), (400, "UNSUPPORTED"))
        came = self.post(b"a=b&" * (MAX_PARAMS + 1), FORM)
        self.assertEqual((came.status, came.code), (400, "UNSUPPORTED"))

    def test_nothing_logged(self) -> None:
        """No password and no token stands in any event."""
        logged = Logged(self)
        self.post(b"password=pw1234", FORM, "Authorization: Basic c2VjcmV0")
        text = repr(logged.events)
        for secret in ("pw1234", "c2VjcmV0", '"t"'):
            self.assertNotIn(secret, text)


class ParseTests(SynchronousTestCase):
    """The parameters of a query or a form."""

    @quick
    @given(pairs)
    def test_round_trip(self, params: list[tuple[str, str]]) -> None:
        """Whatever a client writes comes out as it went in, order and repetition kept."""
        self.assertEqual(_parse(urlencode(params).encode()), params)
        percent = urlencode(params, quote_via=quote, safe="")
        self.assertEqual(_parse(percent.encode()), params)

    @quick
    @given(st.binary(max_size=60) | st.text("a1%&=+; \x00", max_size=60).map(str.encode))
    def test_anything(self, encoded: bytes) -> None:
        """Bytes of any kind are parameters or our own error, and what was parsed is parsed alike again."""
        try:
            params = _parse(encoded)
        except RegistryError as refused:
            self.assertEqual(refused.status, 400)
            return
        self.assertLessEqual(len(params), MAX_PARAMS)
        self.assertEqual(_parse(urlencode(params).encode()), params)

    @quick
    @given(pairs, pairs)
    def test_joined(self, first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
        """Parameters behind others are the same as alone."""
        joined = f"{urlencode(first)}&{urlencode(second)}"
        self.assertEqual(_parse(joined.encode()), first + second)

    def test_hostile(self) -> None:
        """A form of the largest size that is taken is told at once, whatever it repeats."""
        for piece in (b"&", b"=", b"%", b"%2", b"+", b"a=b&", b";", b"%00", b"a"):
            hostile = (piece * MAX_FORM)[:MAX_FORM]
            with self.subTest(piece=piece):
                try:
                    self.assertLessEqual(len(_parse(hostile)), MAX_PARAMS)
                except RegistryError as refused:
                    self.assertEqual(refused.status, 400)
