"""Tests for `docxy.acme.network`: bounds, trust and patience, without a socket."""

from __future__ import annotations

import ssl
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
from acme.messages import Error
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter
from twisted.trial.unittest import SynchronousTestCase
from urllib3.response import HTTPResponse

from docxy.acme.keys import new_key
from docxy.acme.network import MAX_ANSWER, Adapter, Network, TooLarge
from tests.unit.tls.throwaway import root


def network(ca: str | None = None) -> Network:
    """One with an account's key."""
    return Network(JWKEC(key=new_key("ec256")), ca)


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

    def test_encrypted_alone(self) -> None:
        """Nothing goes out without TLS, wherever a directory or a redirect leads."""
        self.assertRaises(requests.exceptions.InvalidSchema, self.net.session.get, "http://ca.example/")
        self.answer |= {"status": 302, "headers": {"Location": "http://ca.example/"}}
        self.assertRaises(requests.exceptions.InvalidSchema, self.net.session.get, "https://ca.example/")

    def test_redirects_end(self) -> None:
        """Redirects are not followed for ever."""
        self.answer |= {"status": 302, "headers": {"Location": "https://ca.example/"}}
        self.assertRaises(requests.exceptions.TooManyRedirects, self.net.session.get, "https://ca.example/")


class TrustTests(SynchronousTestCase):
    """Whom it believes."""

    def test_roots(self) -> None:
        """The system's roots, and the one of the settings; names are checked."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        path = Path(made.name, "ca.pem")
        path.write_bytes(root().pem)
        context = network(str(path)).adapter._context
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, True))
        known = [one["subject"] for one in context.get_ca_certs()]
        self.assertIn(((("commonName", "Throwaway Root"),),), known)

    def test_only_those(self) -> None:
        """The pool has this context, and no further roots are added to a connection."""
        context = ssl.create_default_context()
        adapter = Adapter(context)
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
