"""Tests for `docxy.acme.authority`: whole orders of a certificate authority in memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.authority import Authority
from docxy.acme.challenges import HTTP, KINDS, TLS, Challenges
from docxy.acme.outcome import Refused
from docxy.acme.state import Account, State
from docxy.policy.renewals import Span, Suggestion
from docxy.settings.values import AcmeSettings
from docxy.tls.certificates import names_of
from tests.unit.acme import ca
from tests.unit.tls.throwaway import NOW, leaf


class AuthorityCase(SynchronousTestCase):
    """An authority in memory, and a folder for what it gives."""

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.patch(time, "sleep", lambda seconds: None)  # the library's own way to wait
        self.ca = ca.Authority()
        self.pending = Challenges(lambda: NOW)

    def authority(self, *kinds: str, **values: Any) -> Authority:
        """One that speaks to it."""
        self.settings = AcmeSettings(
            **{"domains": ("a.example", "192.0.2.1"), "directory": ca.DIRECTORY, "state": str(self.folder)}
            | values
        )
        self.state = State(self.settings)
        self.state.prepare()
        made = Authority(self.settings, self.state, self.pending, kinds or KINDS)
        made.network = self.ca.network
        return made

    def refused(self, *kinds: str, **values: Any) -> Refused:
        """Why an order fails."""
        error: Refused = self.assertRaises(Refused, self.authority(*kinds, **values).obtain)
        return error


class OrderTests(AuthorityCase):
    """A certificate for all names, or the reason why not."""

    def test_by_http(self) -> None:
        """The proofs are there while the authority looks, and gone after that."""
        seen: list[str | None] = []
        token = "dG9rZW4tb2Ytc2l4dGVlbi1ieXRlcw0"
        self.ca.on_challenge = lambda kind: seen.append(self.pending.text(token))
        issued = self.authority().obtain()
        found = x509.load_pem_x509_certificates(issued.chain)
        self.assertEqual(len(found), 2)
        self.assertEqual(names_of(found[0]), ("a.example", "192.0.2.1"))
        key = load_pem_private_key(issued.key, None)
        self.assertEqual(key.public_key(), found[0].public_key())
        assert seen[0] is not None
        self.assertTrue(seen[0].startswith(f"{token}."))
        self.assertIsNone(self.pending.text(token))
        self.assertEqual(self.ca.payloads["/challenge/0/http-01"], {})
        self.assertEqual([one["type"] for one in self.ca.payloads["/neworder"]["identifiers"]], ["dns", "ip"])

    def test_by_tls(self) -> None:
        """Where the authority finds nothing by HTTP, a second order is proved by TLS."""
        self.ca.disbelieved = [HTTP]
        self.authority().obtain()
        self.assertEqual(self.ca.asked.count("/neworder"), 2)
        self.assertIn("/challenge/1/tls-alpn-01", self.ca.asked)

    def test_by_tls_alone(self) -> None:
        """Without a plain listener HTTP is not tried."""
        self.authority(TLS).obtain()
        self.assertFalse([path for path in self.ca.asked if path.endswith(HTTP)])

    def test_disbelieved(self) -> None:
        """The reasons of all kinds are told, each on one line."""
        self.ca.disbelieved = [HTTP, TLS]
        told = str(self.refused(domains=("a.example",)))
        reason = "connection: nobody there at all"
        self.assertEqual(told, f"a.example: by http-01: {reason}; a.example: by tls-alpn-01: {reason}")

    def test_not_offered(self) -> None:
        """An authority that offers no challenge of ours is told so."""
        self.ca.offered = ["dns-01"]
        self.assertEqual(str(self.refused(TLS)), "a.example: the authority does not offer tls-alpn-01")

    def test_refused(self) -> None:
        """A refused order's reason is told, and how long to wait."""
        limited = ca.problem("rateLimited", "too many certificates", 429, **{"Retry-After": "3600"})
        self.ca.refusals["/neworder"] = [limited]
        error = self.refused()
        self.assertEqual(str(error), "rateLimited: too many certificates")

    def test_nonces(self) -> None:
        """Nonces that the authority refuses are followed by others, for a while."""
        self.ca.refusals["/neworder"] = [ca.problem("badNonce", "again")] * 9
        self.authority().obtain()
        self.ca.refusals["/neworder"] = [ca.problem("badNonce", "again")] * 99
        self.assertEqual(str(self.refused()), "badNonce: again")

    def test_nonsense(self) -> None:
        """An answer that is none is told as such, not as a traceback."""
        for path, content in (
            ("/dir", b"[]"),
            ("/neworder", b"{}"),
            ("/certificate", b"\xff"),
            ("/dir", b""),
        ):
            self.ca.refusals = {path: [(200, content, {})] * 3}
            self.assertRegex(str(self.refused()), "makes no sense|no certificate", path)

    def test_wrong_certificate(self) -> None:
        """What is for other names or another key is not taken."""
        self.ca.issue_for = ["a.example"]
        self.assertEqual(str(self.refused()), "the authority issued a certificate that is not for 192.0.2.1")
        self.ca.issue_for = None
        other = leaf("a.example")
        self.ca.refusals["/certificate"] = [(200, other.pem, {})]
        self.assertIn("not for our key", str(self.refused(domains=("a.example",))))

    def test_profile(self) -> None:
        """The profile is asked for."""
        self.authority(profile="shortlived").obtain()
        self.assertEqual(self.ca.payloads["/neworder"]["profile"], "shortlived")


class AccountTests(AuthorityCase):
    """One account, made once."""

    def test_made_once(self) -> None:
        """The second order is the same account's."""
        self.authority(email="me@a.example").obtain()
        registered = self.ca.payloads["/newaccount"]
        self.assertEqual(registered["contact"], ["mailto:me@a.example"])
        self.assertIs(registered["termsOfServiceAgreed"], True)
        account = self.state.account()
        self.authority().obtain()
        self.assertEqual(self.ca.asked.count("/newaccount"), 1)
        self.assertEqual(self.state.account(), account)

    def test_known(self) -> None:
        """An authority that knows the key already says where the account is."""
        self.ca.refusals["/newaccount"] = [(200, {"status": "valid"}, {"Location": f"{ca.BASE}/account/7"})]
        self.authority().obtain()
        account = self.state.account()
        assert account is not None
        self.assertEqual(account.url, f"{ca.BASE}/account/7")

    def test_gone(self) -> None:
        """An account that the authority has lost is made anew by the next try."""
        self.authority().obtain()
        self.ca.refusals["/neworder"] = [ca.problem("accountDoesNotExist", "who?")]
        self.assertEqual(str(self.refused()), "accountDoesNotExist: who?")
        self.authority().obtain()
        self.assertEqual(self.ca.asked.count("/newaccount"), 2)

    def test_broken(self) -> None:
        """A key that cannot be read is as good as none."""
        self.authority()
        self.state.keep_account(Account(f"{ca.BASE}/account/1", b"no key"))
        self.authority().obtain()
        self.assertEqual(self.ca.asked.count("/newaccount"), 1)

    def test_bound(self) -> None:
        """An account that must be bound is bound by the identifier and the key of the file."""
        self.ca.meta = {"externalAccountRequired": True}
        self.assertIn("set acme.eab_kid", str(self.refused()))
        secret = self.folder / "hmac"
        secret.write_text("no!")
        values = {"eab_kid": "kid-1", "eab_hmac_file": str(secret)}
        self.assertIn("acme.eab_hmac_file: ", str(self.refused(**values)))
        secret.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
        self.authority(**values).obtain()
        bound = self.ca.payloads["/newaccount"]["externalAccountBinding"]
        self.assertEqual(set(bound), {"protected", "payload", "signature"})


class SuggestionTests(AuthorityCase):
    """When to renew (RFC 9773)."""

    def test_window(self) -> None:
        """The window of this certificate, and when to ask again."""
        self.ca.window = {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00.5Z"}
        chain = self.authority().obtain().chain
        found = self.authority().suggestion(x509.load_pem_x509_certificate(chain))
        self.assertEqual(found, Suggestion(Span(1767326400.0, 1767412800.5), 3600.0))

    def test_none(self) -> None:
        """No window where the authority has none, or the certificate no name for it."""
        chain = self.authority().obtain().chain
        self.assertIsNone(self.authority().suggestion(x509.load_pem_x509_certificate(chain)))

    def test_nonsense(self) -> None:
        """A window that is none is told."""
        chain = self.authority().obtain().chain
        for window in (
            {"start": "soon", "end": "later"},
            {"start": 1, "end": 2},
            {},
            {"start": "2026-01-02T04:00:00Z"},
        ):
            self.ca.window = window
            error = self.assertRaises(
                Refused, self.authority().suggestion, x509.load_pem_x509_certificate(chain)
            )
            self.assertIn("makes no sense", str(error))
