"""What can be looked at where docxy obtains its certificate by itself."""

import os
import pwd
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.outcome import Offer, Refused
from docxy.acme.state import Account, State, Trouble
from docxy.cli import acme
from docxy.cli.files import User
from docxy.cli.findings import Finding, Mark
from docxy.settings.reader import read
from docxy.settings.values import AcmeSettings
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue

NAMES = ("mirror.example.com", "hub.example.com")
ME = pwd.getpwuid(os.geteuid())
TROUBLE = Trouble(3, (NOW + timedelta(hours=2)).timestamp(), NAMES)


class KeptCase(SynchronousTestCase):
    """A folder of its own for each test."""

    def setUp(self) -> None:
        made = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, made)
        self.folder = made / "acme"
        self.settings = AcmeSettings(NAMES, state=str(self.folder))
        self.state = State(self.settings)

    def found(self, user: User | None = None, **values: Any) -> dict[str, Finding]:
        """All findings of what is kept, by their subjects."""
        settings = AcmeSettings(NAMES, state=str(self.folder), **values)
        return {one.subject: one for one in acme.kept_findings(settings, NOW, user or User(ME))}

    def keep(self, *names: str, days: float = 60) -> None:
        """Keep a certificate for these names, with this life."""
        self.state.prepare()
        issued = issue(Wish(names[0], names=names, days=(-30, days)), intermediate())
        self.state.keep_pair(issued.pem + intermediate().pem, issued.key_pem())

    def certificate(self, mark: Mark, *words: str) -> Finding:
        """What is found of the certificate, which must be this; what is not fine has a remedy."""
        found = self.found()["certificate"]
        self.assertEqual((found.mark, bool(found.remedy)), (mark, mark is not Mark.OK))
        for word in words:
            self.assertIn(word, found.text)
        return found


class KeptTests(KeptCase):
    """The account, and the folder."""

    def test_nothing_yet(self) -> None:
        """Before the first start there is nothing, and nothing is wrong with that; nothing is made."""
        found = self.found()
        self.assertEqual([one.mark for one in found.values()], [Mark.OK, Mark.OK, Mark.WARNING])
        self.assertIn("none yet", found["account"].text)
        self.assertEqual(
            found["state"].text, f"{ME.pw_name} can keep account and certificate in {self.folder}"
        )
        self.assertFalse(self.folder.exists())

    def test_account(self) -> None:
        """An account is told by its URL."""
        self.keep(*NAMES)
        pem = issue(Wish()).key_pem()
        self.state.keep_account(Account("https://ca.example/account/1", pem))
        self.assertEqual(self.found()["account"].text, "https://ca.example/account/1")

    def test_closed(self) -> None:
        """What docxy's user cannot use is wrong, with the command that gives it the folder."""
        other = User(pwd.struct_passwd(("docxy", *ME[1:])))
        self.patch(User, "may", lambda user, access, path: access != "-w")
        found = self.found(other)["state"]
        self.assertEqual((found.mark, found.text), (Mark.FAILED, f"{self.folder.parent} is closed to docxy"))
        self.assertIn(f"install -d -m 700 -o docxy {self.folder}", found.remedy)
        self.keep(*NAMES)
        self.patch(User, "may", lambda user, access, path: not path.endswith("certificate.pem"))
        found = self.found(other)["state"]
        self.assertEqual(
            (found.mark, found.text), (Mark.FAILED, f"{self.state.pair.cert} is closed to docxy")
        )
        self.assertIn(f"chown -R docxy {self.folder}", found.remedy)

    def test_other_user(self) -> None:
        """Who is not docxy's user, nor root, cannot tell what that one may; what is closed is not judged."""
        self.patch(User, "may", lambda user, access, path: False)
        self.assertEqual(self.found(User())["state"].mark, Mark.WARNING)
        self.patch(os, "access", lambda path, flags: False)
        (found,) = self.found(User()).values()
        self.assertEqual((found.mark, found.remedy), (Mark.WARNING, "run docxy check as root"))

    def test_binding(self) -> None:
        """The key of an account elsewhere must be one."""
        found = self.found(eab_kid="k", eab_hmac_file=str(self.folder / "none"))
        self.assertEqual(found["acme.eab_hmac_file"].mark, Mark.FAILED)
        path = self.folder.parent / "hmac"
        path.write_text("A" * 40)
        self.assertNotIn("acme.eab_hmac_file", self.found(eab_kid="k", eab_hmac_file=str(path)))


class CertificateTests(KeptCase):
    """Whether it is there, awaited, or to be had no more."""

    def test_awaited(self) -> None:
        """The first one is awaited, with what to do if it stays so."""
        self.assertIn("if it stays so", self.certificate(Mark.WARNING, "awaited").remedy)

    def test_awaited_in_vain(self) -> None:
        """After tries that failed it is wrong: how many, and when the next is."""
        self.state.prepare()
        self.state.keep_trouble(TROUBLE)
        found = self.certificate(
            Mark.FAILED, "awaited", "3 tries have failed", f"{NOW + timedelta(hours=2):%H:%M} UTC"
        )
        self.assertIn("SIGHUP", found.remedy)
        self.state.keep_trouble(Trouble(1, TROUBLE.due, NAMES))
        self.certificate(Mark.FAILED, "1 try has failed")

    def test_ended(self) -> None:
        """One that has ended is awaited anew, and why is told."""
        self.keep(*NAMES, days=-1)
        self.certificate(Mark.WARNING, "awaited", "expired on")

    def test_obtained(self) -> None:
        """When the next is to be had, by the life of the one that is there."""
        self.keep(*NAMES, days=60)
        self.certificate(Mark.OK, f"the next about {NOW + timedelta(days=30):%Y-%m-%d}")

    def test_not_renewed(self) -> None:
        """While the old one serves, failed tries are a warning."""
        self.keep(*NAMES)
        self.state.keep_trouble(TROUBLE)
        self.certificate(Mark.WARNING, "no new one is to be had; 3 tries have failed")

    def test_other_names(self) -> None:
        """One that lacks a name is to be replaced."""
        self.keep(NAMES[0])
        self.certificate(Mark.WARNING, "a new one is awaited, for hub.example.com")


class ProofTests(SynchronousTestCase):
    """Whether docxy listens where the authority looks."""

    def proved(self, **server: Any) -> Finding:
        """What is found for these listeners."""
        wanted = {"domains": ["a.example"], "agree_tos": True}
        return acme.proof_finding(read({"acme": wanted, "server": server}).server)

    def test_default(self) -> None:
        """The default listeners are where it looks."""
        found = self.proved()
        self.assertEqual((found.mark, found.text), (Mark.OK, "http-01 by tcp:80, tls-alpn-01 by ssl:443"))

    def test_one(self) -> None:
        """One of the two is enough; of inherited sockets it is not known where they are."""
        for listen, redirect, text in (
            ("ssl:443", [], "tls-alpn-01 by ssl:443"),
            ("ssl:8443", ["tcp:80"], "http-01 by tcp:80"),
            ("ssl:systemd:index=0", [], "tls-alpn-01 by ssl:systemd:index=0"),
        ):
            found = self.proved(listen=[listen], redirect=redirect)
            self.assertEqual((found.mark, found.text), (Mark.OK, text))

    def test_elsewhere(self) -> None:
        """Other ports must be forwarded to."""
        found = self.proved(listen=["ssl:8443"], redirect=["tcp:8080"])
        self.assertEqual((found.mark, "(tcp:8080, ssl:8443)" in found.remedy), (Mark.WARNING, True))
        self.assertIn("port 80 or 443", found.text)
        self.assertIn("asks port 443,", self.proved(listen=["ssl:8443"], redirect=[]).text)


class AuthorityTests(SynchronousTestCase):
    """What the authority says of itself."""

    def judged(self, answer: Offer | Refused, **values: Any) -> list[Finding]:
        """What is found where it answers so."""

        def ask(_: AcmeSettings) -> Offer:
            if isinstance(answer, Refused):
                raise answer
            return answer

        return acme.authority_findings(AcmeSettings(NAMES, **values), ask)

    def test_fine(self) -> None:
        """One that serves everybody, and one that knows us."""
        (found,) = self.judged(Offer(False, ()))
        self.assertEqual((found.mark, found.subject), (Mark.OK, AcmeSettings(NAMES).directory))
        self.assertEqual(len(self.judged(Offer(True, ("a", "b")), eab_kid="k", profile="b")), 1)

    def test_unmet(self) -> None:
        """One that cannot be met is wrong, with the way to see why."""
        (found,) = self.judged(Refused("the authority cannot be met (refused)"))
        self.assertEqual(found.mark, Mark.FAILED)
        self.assertIn(f"curl -v {AcmeSettings(NAMES).directory}", found.remedy)
        (found,) = self.judged(Refused("the authority cannot be met (x certificate verify failed y)"))
        self.assertIn("[acme]", found.remedy)

    def test_bound(self) -> None:
        """One that wants to know whose account it is must be told."""
        found = self.judged(Offer(True, ()))
        self.assertEqual([one.mark for one in found], [Mark.OK, Mark.FAILED])
        self.assertIn("acme.eab_kid", found[1].remedy)

    def test_profile(self) -> None:
        """A profile that it does not list would be refused with the order."""
        _, found = self.judged(Offer(False, ("classic", "shortlived")), profile="tlsserver")
        self.assertEqual((found.mark, "(classic, shortlived)" in found.remedy), (Mark.FAILED, True))
        self.assertIn("(none)", self.judged(Offer(False, ()), profile="x")[1].remedy)

    def test_asked(self) -> None:
        """It is really asked: one that is not there is refused."""
        settings = AcmeSettings(NAMES, directory="https://127.0.0.1:1/directory")
        (found,) = acme.authority_findings(settings, acme.offer_of)
        self.assertEqual(found.mark, Mark.FAILED)
        self.assertIn("refused", found.text)
