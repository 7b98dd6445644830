"""Logins: refused ones are bounded, others are not."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Authority, TokenReply
from docxy.policy.limits import MAX_FAILED_LOGINS
from docxy.settings.forms import network
from docxy.testing import reply
from tests.unit.web.rig import Came, Logged, Rig, settings

JSON = ((b"Content-Type", b"application/json"),)
FORM = "Content-Type: application/x-www-form-urlencoded"
CLIENT = "203.0.113.7"


class LoginCase(SynchronousTestCase):
    """A client that logs in by header or by form."""

    def setUp(self) -> None:
        """A mirror."""
        self.rig = Rig()
        self.tokens = self.rig.tokens["docker.io"]

    def will(self, status: int) -> None:
        """Let the token server's next answer be this one."""
        self.tokens.answers.clear()
        self.tokens.answers.append(TokenReply(status, JSON, b"{}"))

    def get(self, status: int, password: str | None, peer: str = CLIENT) -> Came:
        """Ask for a token with a Basic header, or with none; the token server answers ``status``."""
        self.will(status)
        basic = b64encode(f"me:{password}".encode()).decode()
        headers = [f"Authorization: Basic {basic}"] if password is not None else []
        return self.rig.connect(peer).get("/auth/token?service=x", *headers)

    def post(self, status: int, **form: str) -> Came:
        """The same by a form."""
        self.will(status)
        body = urlencode(form).encode()
        connection = self.rig.connect()
        connection.ask("/auth/token", f"Content-Length: {len(body)}", FORM, method="POST")
        connection.send(body)
        return connection.answer("POST")


class RefusedTests(LoginCase):
    """Who guesses."""

    def test_header(self) -> None:
        """After ten refused logins within a minute 429 tells how long to wait, and upstream is not asked."""
        for guess in range(MAX_FAILED_LOGINS):
            self.assertEqual(self.get(401, str(guess)).status, 401)
        self.rig.clock.advance(20)
        came = self.get(200, "right")
        self.assertEqual(
            (came.status, came.code, came.headers["Retry-After"]), (429, "TOOMANYREQUESTS", "40")
        )
        self.assertEqual(len(self.tokens.relayed), MAX_FAILED_LOGINS)
        self.assertEqual(self.get(200, "right", peer="203.0.113.8").status, 200)
        self.rig.clock.advance(40)
        self.assertEqual(self.get(200, "right").status, 200)

    def test_form(self) -> None:
        """Passwords and refresh tokens in forms count as well."""
        for guess in range(MAX_FAILED_LOGINS // 2):
            self.assertEqual(self.post(401, username="me", password=str(guess)).status, 401)
            self.assertEqual(self.post(401, refresh_token=str(guess)).status, 401)
        self.assertEqual(self.post(200, username="me", password="right").status, 429)
        self.assertEqual(self.get(200, "right").status, 429)

    def test_refused_form(self) -> None:
        """A form may be refused by 400 and 403, too; 404 and 405 only say that forms are not known."""
        for status in (400, 403):
            self.setUp()
            for guess in range(MAX_FAILED_LOGINS):
                self.assertEqual(self.post(404 + guess % 2, username="me", password=str(guess)).json, {})
            for guess in range(MAX_FAILED_LOGINS):
                self.assertEqual(self.post(status, username="me", password=str(guess)).status, status)
            self.assertEqual(self.post(200, username="me", password="right").status, 429)

    def test_undecodable(self) -> None:
        """A header that is not Base64 is a login like others."""
        for _ in range(MAX_FAILED_LOGINS):
            self.will(401)
            self.rig.connect().get("/auth/token", "Authorization: Basic !")
        self.assertEqual(self.get(200, "right").status, 429)

    def test_nothing_kept(self) -> None:
        """No event holds a password, refused or not."""
        logged = Logged(self)
        for _ in range(MAX_FAILED_LOGINS + 1):
            self.get(401, "pw1234")
        text = repr(logged.events)
        self.assertNotIn("pw1234", text)
        self.assertNotIn(b64encode(b"me:pw1234").decode(), text)


class ServedTests(LoginCase):
    """Who does not."""

    def test_anonymous(self) -> None:
        """Tokens without credentials are given for ever, also where they are refused."""
        for guess in range(MAX_FAILED_LOGINS):
            self.get(401, str(guess))
        for status in (401, 200):
            for _ in range(MAX_FAILED_LOGINS + 1):
                self.assertEqual(self.get(status, None).status, status)

    def test_many_users(self) -> None:
        """Any number of good logins from one address is served."""
        for user in range(3 * MAX_FAILED_LOGINS):
            self.assertEqual(self.get(200, str(user)).status, 200)

    def test_form_not_known(self) -> None:
        """Where a registry refuses all forms and takes the header, its clients are served for ever."""
        for user in range(3 * MAX_FAILED_LOGINS):
            status = (400, 401, 403)[user % 3]
            self.assertEqual(self.post(status, username="me", password=str(user)).status, status)
            self.assertEqual(self.get(200, str(user)).status, 200)

    def test_other_refusals(self) -> None:
        """Of a header only a 401 says that it is wrong."""
        for status in (400, 403, 404, 405, 429, 503):
            for _ in range(MAX_FAILED_LOGINS):
                self.assertEqual(self.get(status, "x").status, status)
        self.assertEqual(self.get(200, "x").status, 200)

    def test_behind_proxy(self) -> None:
        """Behind a trusted proxy each client has its own."""
        self.rig = Rig(settings(trusted_proxies=(network("10.0.0.0/8"),)))
        self.tokens = self.rig.tokens["docker.io"]
        for client, status in (("198.51.100.1", 401), ("198.51.100.2", 200)):
            for _ in range(MAX_FAILED_LOGINS):
                self.will(status)
                came = self.rig.connect("10.0.0.1").get(
                    "/auth/token", "Authorization: Basic bWU6cHc=", f"X-Forwarded-For: {client}"
                )
                self.assertEqual(came.status, status)


class BasicTests(SynchronousTestCase):
    """Logins to an upstream without a token service, which come with each request."""

    def setUp(self) -> None:
        """A mirror of such an upstream."""
        self.rig = Rig()
        self.rig.tokens["docker.io"].known = Authority("basic", realm="r")

    def ask(self, status: int, password: str, target: str = "/v2/") -> Came:
        """Ask with a Basic header; upstream answers ``status``."""
        self.rig.hub.will_answer(reply(status, b"{}"))
        basic = b64encode(f"me:{password}".encode()).decode()
        return self.rig.connect(CLIENT).get(target, f"Authorization: Basic {basic}")

    def test_refused(self) -> None:
        """Pings and pulls count alike, and with the token endpoint's; upstream is not asked any more."""
        for target in ("/v2/", "/v2/library/alpine/tags/list"):
            self.setUp()
            for guess in range(MAX_FAILED_LOGINS):
                self.assertEqual(self.ask(401, str(guess), target).status, 401)
            for again in ("/v2/", "/v2/library/alpine/tags/list"):
                came = self.ask(200, "right", again)
                self.assertEqual((came.status, came.headers["Retry-After"]), (429, "60"))
            self.assertEqual(len(self.rig.hub.asked), MAX_FAILED_LOGINS)
            self.rig.clock.advance(60)
            self.assertEqual(self.ask(200, "right", target).status, 200)

    def test_good(self) -> None:
        """Good logins, what they may not see or what does not exist count for nothing."""
        for status in (200, 403, 404):
            for user in range(MAX_FAILED_LOGINS + 1):
                self.assertEqual(self.ask(status, str(user)).status, status)

    def test_not_passed_on(self) -> None:
        """Where upstream has a token service it does not see the header, and cannot be guessed at by it."""
        self.rig.tokens["docker.io"].known = Authority("bearer", realm="https://auth.example/token")
        for guess in range(MAX_FAILED_LOGINS + 1):
            self.assertEqual(self.ask(401, str(guess), "/v2/library/alpine/tags/list").status, 401)
