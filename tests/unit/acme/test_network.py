"""Tests for `docxy.acme.network`: bounds, trust and patience, without a socket."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
from acme.messages import Error
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter
from twisted.trial.unittest import SynchronousTestCase
from urllib3.response import HTTPResponse

from docxy.acme import network as network_module
from docxy.acme.keys import new_key
from docxy.acme.network import (
    LONGEST,
    MAX_ANSWER,
    Adapter,
    Elsewhere,
    Network,
    TooLarge,
    TooLong,
    _Bounded,
    origin_of,
)
from tests.unit.tls.throwaway import intermediate, leaf, root, write


def network(ca: str | None = None) -> Network:
    """One with an account's key."""
    return Network(JWKEC(key=new_key("ec256")), "https://ca.example/dir", ca)


class AdapterTests(SynchronousTestCase):
    """Answers, as they come from the wire."""

    def setUp(self) -> None:
        """The next answer is this."""
        self.answer: dict[str, Any] = {"status": 200, "body": b"{}", "headers": {}}

        def send(adapter: HTTPAdapter, request: Any, *args: Any, **more: Any) -> requests.Response:
            raw = HTTPResponse(
                BytesIO(self.answer["body"]),
                self.answer["headers"],
                self.answer["status"],
                preload_content=False,
            )
            return adapter.build_response(request, raw)

        self.patch(HTTPAdapter, "send", send)
        self.net = network()

    def test_bounded(self) -> None:
        """An answer is read to its bound, and no further."""
        self.answer["body"] = b"x" * MAX_ANSWER
        self.assertEqual(len(self.net.session.get("https://ca.example/").content), MAX_ANSWER)
        self.answer["body"] += b"x"
        self.assertRaises(TooLarge, self.net.session.get, "https://ca.example/")

    def test_told(self) -> None:
        """A refusal's Retry-After is kept, that of an answer is not."""
        self.answer["headers"] = {"Retry-After": "7"}
        self.net.session.get("https://ca.example/")
        self.assertIsNone(self.net.adapter.told)
        self.answer["status"] = 503
        self.net.session.get("https://ca.example/")
        self.assertEqual(self.net.adapter.told, 7.0)
        self.answer["headers"] = {}
        self.net.session.get("https://ca.example/")
        self.assertIsNone(self.net.adapter.told)

    def test_rest_bounded(self) -> None:
        """So is what `requests` throws away, of an answer that it cannot read."""
        raw = _Bounded(BytesIO(b"x" * (MAX_ANSWER + 1)))
        self.assertEqual([len(raw.read(7)), len(raw.read())], [7, MAX_ANSWER - 6])
        self.assertEqual(len(_Bounded(BytesIO(b"x" * (MAX_ANSWER + 1))).read()), MAX_ANSWER)

    def test_elsewhere(self) -> None:
        """Nothing is asked of another host or port, whatever the authority names or redirects to."""
        for url in ("https://elsewhere.example/", "https://ca.example:8443/", "https://ca.example.test/"):
            self.assertRaises(Elsewhere, self.net.session.get, url)
        self.assertEqual(self.net.session.get("https://CA.example:443/").status_code, 200)
        self.answer |= {"status": 302, "headers": {"Location": "https://127.0.0.1/"}}
        error = self.assertRaises(Elsewhere, self.net.session.get, "https://ca.example/")
        self.assertIn("it names the host 127.0.0.1,", str(error))

    def test_cut(self) -> None:
        """A conversation that has lasted too long asks nothing more."""
        self.net.adapter.cut()
        self.assertRaises(TooLong, self.net.session.get, "https://ca.example/")

    def test_encrypted_alone(self) -> None:
        """Nothing goes out without TLS, wherever a directory or a redirect leads."""
        self.assertRaises(requests.exceptions.InvalidSchema, self.net.session.get, "http://ca.example/")
        self.answer |= {"status": 302, "headers": {"Location": "http://ca.example/"}}
        self.assertRaises(requests.exceptions.InvalidSchema, self.net.session.get, "https://ca.example/")

    def test_redirects_end(self) -> None:
        """Redirects are not followed for ever."""
        self.answer |= {"status": 302, "headers": {"Location": "https://ca.example/"}}
        self.assertRaises(requests.exceptions.TooManyRedirects, self.net.session.get, "https://ca.example/")


class SlowTests(SynchronousTestCase):
    """An authority that does not come to an end."""

    def serve(self, listening: socket.socket) -> None:
        """Answer with half a header, and with nothing more until the client leaves."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf)
        accepted, _ = listening.accept()
        with accepted, context.wrap_socket(accepted, server_side=True) as connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            self.timer.call()
            self.left = connection.recv(1) == b""

    def test_ended(self) -> None:
        """The time for all is bounded: what is waited for then is cut, in the midst of an answer."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        one = leaf("localhost")
        self.leaf = write(Path(made.name, "leaf.pem"), [one.pem, intermediate().pem, one.key_pem()])
        authority = write(Path(made.name, "root.pem"), [root().pem])
        self.patch(network_module, "Timer", self.timer_of)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"https://localhost:{listening.getsockname()[1]}/dir"
            serving = threading.Thread(target=self.serve, args=[listening])
            serving.start()
            with Network(JWKEC(key=new_key("ec256")), url, authority) as net:
                error = self.assertRaises(
                    requests.exceptions.ConnectionError, net.session.get, url, timeout=30
                )
                self.assertNotIsInstance(error, requests.exceptions.SSLError)
                self.assertRaises(TooLong, net.session.get, url, timeout=30)
            serving.join(30)
        self.assertTrue(self.left)
        self.assertEqual((self.timer.seconds, self.timer.steps), (LONGEST, ["start", "cancel"]))

    def timer_of(self, seconds: float, call: Callable[[], None]) -> FakeTimer:
        """A clock that the test turns."""
        self.timer = FakeTimer(seconds, call)
        return self.timer


class FakeTimer:
    """A `threading.Timer` of which the test says when its time is over."""

    daemon = False

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self.call = seconds, call
        self.steps: list[str] = []

    def start(self) -> None:
        """Begin."""
        assert self.daemon
        self.steps.append("start")

    def cancel(self) -> None:
        """End."""
        self.steps.append("cancel")


class TrustTests(SynchronousTestCase):
    """Whom it believes."""

    def test_only_those(self) -> None:
        """The pool has this context, and no further roots are added to a connection."""
        context = ssl.create_default_context()
        adapter = Adapter(context, origin_of("https://ca.example/"))
        self.assertIs(adapter.poolmanager.connection_pool_kw["ssl_context"], context)

        class Pool:
            cert_reqs = ca_certs = None

        pool = Pool()
        adapter.cert_verify(pool, "https://ca.example/", True, None)
        self.assertEqual((pool.cert_reqs, pool.ca_certs), ("CERT_REQUIRED", None))

    def test_environment(self) -> None:
        """No proxy and no account out of the environment is used."""
        self.assertIs(network().session.trust_env, False)


class NonceTests(SynchronousTestCase):
    """Refused nonces."""

    def test_other_errors(self) -> None:
        """Only a refused nonce is reason to ask again."""
        net = network()
        asked = []

        def refuse(*args: Any, **more: Any) -> None:
            asked.append(args)
            raise Error.with_code("malformed")

        self.patch(Network, "_post_once", refuse)
        self.assertRaises(Error, net.post, "https://ca.example/", None)
        self.assertEqual(len(asked), 1)
