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
from docxy.acme.keys import renewal_id
from docxy.acme.outcome import Offer, Refused
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
        error: Refused = self.assertRaises(Refused, self.authority(*kinds, **values).obtain, None)
        return error


class OrderTests(AuthorityCase):
    """A certificate for all names, or the reason why not."""

    def test_by_http(self) -> None:
        """The proofs are there while the authority looks, and gone after that."""
        seen: list[str | None] = []
        token = "dG9rZW4tb2Ytc2l4dGVlbi1ieXRlcw0"
        self.ca.on_challenge = lambda kind: seen.append(self.pending.text(token))
        issued = self.authority().obtain(None)
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
        self.authority().obtain(None)
        self.assertEqual(self.ca.asked.count("/neworder"), 2)
        self.assertIn("/challenge/1/tls-alpn-01", self.ca.asked)

    def test_by_tls_alone(self) -> None:
        """Without a plain listener HTTP is not tried."""
        self.authority(TLS).obtain(None)
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
        self.authority().obtain(None)
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

    def test_not_ordered(self) -> None:
        """A proof for a name that was not ordered is not given."""
        found = {"type": "dns", "value": "bank.example"}
        wanted = {"status": "pending", "identifier": found, "challenges": []}
        self.ca.refusals["/authorization/0"] = [(200, wanted, {})]
        told = "the authority wants a proof for bank.example, which was not ordered"
        self.assertEqual(str(self.refused()), told)
        self.assertFalse([path for path in self.ca.asked if "challenge" in path])

    def test_token(self) -> None:
        """Nothing is published below a token that is none, and nobody is led astray by one."""
        for token in (
            "short",
            "../../../../etc/passwd",
            "dG9rZW4tb2Ytc2l4dGVlbg==",
            "<script>dG9rZW4tb2Y</script>",
        ):
            challenge = {
                "type": TLS,
                "url": f"{ca.BASE}/challenge/0/{TLS}",
                "status": "pending",
                "token": token,
            }
            name = {"type": "dns", "value": "a.example"}
            wanted = {"status": "pending", "identifier": name, "challenges": [challenge]}
            self.ca.refusals["/authorization/0"] = [(200, wanted, {})]
            self.assertIn("token has not the form", str(self.refused(TLS, domains=("a.example",))), token)

    def test_strange_words(self) -> None:
        """Words that the protocol does not have are told, and are no fault of ours."""
        self.ca.refusals["/authorization/0"] = [(200, {"status": "undecided", "challenges": []}, {})]
        self.assertIn("makes no sense (DeserializationError: ", str(self.refused()))

    def test_other_roots(self) -> None:
        """Trust roots that are gone by now are told by their setting's name."""
        self.assertIn("acme.ca: '/gone' cannot be used", str(self.refused(ca="/gone")))

    def test_replaces(self) -> None:
        """The order names the certificate that it renews, where the authority knows of such."""
        old = x509.load_pem_x509_certificate(self.authority().obtain(None).chain)
        self.authority().obtain(old)
        self.assertNotIn("replaces", self.ca.payloads["/neworder"])
        self.ca.window = {}
        self.authority().obtain(old)
        self.assertEqual(self.ca.payloads["/neworder"]["replaces"], renewal_id(old))
        self.authority(domains=("b.example",)).obtain(old)
        self.assertNotIn("replaces", self.ca.payloads["/neworder"])

    def test_profile(self) -> None:
        """The profile is asked for."""
        self.authority(profile="shortlived").obtain(None)
        self.assertEqual(self.ca.payloads["/neworder"]["profile"], "shortlived")


class AccountTests(AuthorityCase):
    """One account, made once."""

    def test_made_once(self) -> None:
        """The second order is the same account's."""
        self.authority(email="me@a.example").obtain(None)
        registered = self.ca.payloads["/newaccount"]
        self.assertEqual(registered["contact"], ["mailto:me@a.example"])
        self.assertIs(registered["termsOfServiceAgreed"], True)
        account = self.state.account()
        self.authority().obtain(None)
        self.assertEqual(self.ca.asked.count("/newaccount"), 1)
        self.assertEqual(self.state.account(), account)

    def test_known(self) -> None:
        """An authority that knows the key already says where the account is."""
        self.ca.refusals["/newaccount"] = [(200, {"status": "valid"}, {"Location": f"{ca.BASE}/account/7"})]
        self.authority().obtain(None)
        account = self.state.account()
        assert account is not None
        self.assertEqual(account.url, f"{ca.BASE}/account/7")

    def test_not_kept(self) -> None:
        """An account that could not be kept is found again by its key, which was kept before."""

        def refuse(account: Account) -> None:
            raise OSError(28, "No space left on device")

        made = self.authority()
        self.patch(self.state, "keep_account", refuse)
        self.assertRaises(OSError, made.obtain, None)
        key = self.state.account_key()
        self.authority().obtain(None)
        account = self.state.account()
        assert account is not None
        self.assertEqual(account.key, key)

    def test_gone(self) -> None:
        """An account that the authority has lost is made anew by the next try."""
        self.authority().obtain(None)
        self.ca.refusals["/neworder"] = [ca.problem("accountDoesNotExist", "who?")]
        self.assertEqual(str(self.refused()), "accountDoesNotExist: who?")
        self.authority().obtain(None)
        self.assertEqual(self.ca.asked.count("/newaccount"), 2)

    def test_broken(self) -> None:
        """A key that cannot be read is as good as none."""
        self.authority()
        self.state.keep_account(Account(f"{ca.BASE}/account/1", b"no key"))
        self.authority().obtain(None)
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
        self.authority(**values).obtain(None)
        bound = self.ca.payloads["/newaccount"]["externalAccountBinding"]
        self.assertEqual(set(bound), {"protected", "payload", "signature"})


class SuggestionTests(AuthorityCase):
    """When to renew (RFC 9773)."""

    def test_window(self) -> None:
        """The window of this certificate, and when to ask again."""
        self.ca.window = {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00.5Z"}
        chain = self.authority().obtain(None).chain
        found = self.authority().suggestion(x509.load_pem_x509_certificate(chain))
        self.assertEqual(found, Suggestion(Span(1767326400.0, 1767412800.5), 3600.0))
        self.ca.more = {"explanationURL": "https://ca.example/why\n"}
        found = self.authority().suggestion(x509.load_pem_x509_certificate(chain))
        assert found is not None
        self.assertEqual(found.explanation, "https://ca.example/why")

    def test_none(self) -> None:
        """No window where the authority has none, or the certificate no name for it."""
        chain = self.authority().obtain(None).chain
        self.assertIsNone(self.authority().suggestion(x509.load_pem_x509_certificate(chain)))

    def test_nonsense(self) -> None:
        """A window that is none is told."""
        chain = self.authority().obtain(None).chain
        for window in (
            {"start": "soon", "end": "later"},
            {"start": 1, "end": 2},
            {},
            {"start": "2026-01-02T04:00:00Z"},
            {"start": "2026-01-02T04:00:00", "end": "2026-01-03T04:00:00"},
            {"start": "2026-01-02T04:00:00Z", "end": "9999-12-31T23:59:59-23:00"},
        ):
            self.ca.window = window
            error = self.assertRaises(
                Refused, self.authority().suggestion, x509.load_pem_x509_certificate(chain)
            )
            self.assertIn("makes no sense", str(error))


class OfferTests(AuthorityCase):
    """What an authority says of itself."""

    def test_offer(self) -> None:
        """Whether it wants to know its accounts, and its profiles; nobody signs up for that."""
        self.assertEqual(self.authority().offer(), Offer(False, ()))
        self.ca.meta = {"externalAccountRequired": True, "profiles": {"classic": "x", "short\nlived": "y"}}
        self.assertEqual(self.authority().offer(), Offer(True, ("classic", "short lived")))
        self.assertEqual(self.ca.asked, [])

    def test_none(self) -> None:
        """What is no directory, or says what makes no sense, is refused."""
        contents: tuple[object, ...] = ({}, {"newOrder": "x", "meta": {"profiles": 1}}, [])
        for content in contents:
            self.ca.refusals["/dir"] = [(200, content, {})]
            self.assertRaises(Refused, self.authority().offer)
