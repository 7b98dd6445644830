"""The table of a certificate that docxy obtains by itself."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.acme import MAX_DOMAINS, read_acme
from docxy.settings.reader import read
from docxy.settings.tables import Table
from docxy.settings.values import AcmeSettings, SettingsError
from tests.unit.settings.test_sources import SourcesTestCase

LEAST: dict[str, Any] = {"domains": ["mirror.example.com"], "agree_tos": True}


def acme(**values: Any) -> AcmeSettings:
    """The settings of the least there can be, and these values."""
    return read_acme(Table("acme", "acme", LEAST | values))


class TableTests(SynchronousTestCase):
    """``[acme]``"""

    def refused(self, **values: Any) -> str:
        """The error of these values."""
        return str(self.assertRaises(SettingsError, acme, **values))

    def test_defaults(self) -> None:
        """Names and the consent are enough."""
        self.assertEqual(acme(), AcmeSettings(("mirror.example.com",)))

    def test_all(self) -> None:
        """Every key is taken over."""
        values: dict[str, Any] = {
            "email": "me@example.com",
            "directory": "https://ca.example:14000/dir?x",
            "ca": "/ca.pem",
            "eab_kid": "kid-1",
            "eab_hmac_file": "/hmac",
            "key_type": "rsa3072",
            "profile": "shortlived",
            "state": "/state",
        }
        given = values | {"directory": "https://CA.example:14000/dir?x"}
        found = acme(domains=["A.example", "192.0.2.1", "[2001:DB8:0::1]", "a.example"], **given)
        self.assertEqual(found, AcmeSettings(("a.example", "192.0.2.1", "2001:db8::1"), **values))

    def test_domains(self) -> None:
        """Names are needed, those that an authority can look for, and not too many of them."""
        self.assertIn(
            "acme.domains: is missing; ", str(self.assertRaises(SettingsError, read_acme, _empty()))
        )
        self.assertIn("acme.domains: is empty", self.refused(domains=[]))
        self.assertIn("is a wildcard", self.refused(domains=["*.example.com"]))
        self.assertIn("is not a host name", self.refused(domains=["https://a.example"]))
        many = [f"a{number}.example" for number in range(MAX_DOMAINS + 1)]
        self.assertIn("acme.domains: is too long; name at most 100", self.refused(domains=many))

    def test_consent(self) -> None:
        """Without consent to the terms nothing starts, and the terms are named."""
        for values in ({}, {"agree_tos": False}):
            given = {"domains": ["a.example"], **values}
            error = self.assertRaises(SettingsError, read_acme, Table("acme", "acme", given))
            self.assertEqual(error.key, "acme.agree_tos")
            self.assertIn("https://letsencrypt.org/repository/", error.problem)
        told = self.refused(agree_tos=False, directory="https://ca.example/dir")
        self.assertIn("(of the authority at https://ca.example/dir)", told)

    def test_values(self) -> None:
        """What cannot be meant is refused under its key."""
        for key, value, problem in (
            ("email", "me", "is not one e-mail address"),
            ("email", "a@b.example,c@d.example", "is not one e-mail address"),
            ("email", "a@b\u2028c", "is not one e-mail address"),
            ("directory", "http://ca.example/dir", "is not encrypted"),
            ("directory", "ca.example", "is not an https:// or http:// URL"),
            ("key_type", "ed25519", "is 'ed25519'"),
            ("profile", "short lived", "is not a profile"),
            ("eab_kid", "", "is not a key identifier"),
            ("eab_kid", "kid 1", "is not a key identifier"),
            ("state", "", "is empty"),
        ):
            self.assertIn(f"acme.{key}: ", self.refused(**{key: value}))
            self.assertIn(problem, self.refused(**{key: value}))

    def test_binding_is_whole(self) -> None:
        """An account elsewhere has an identifier and a key."""
        self.assertIn("acme.eab_hmac_file: is missing", self.refused(eab_kid="kid"))
        self.assertIn("acme.eab_kid: is missing", self.refused(eab_hmac_file="/hmac"))


def _empty() -> Table:
    return Table("acme", "acme", {"agree_tos": True})


class TogetherTests(SynchronousTestCase):
    """With the other tables."""

    def test_listeners(self) -> None:
        """It is a certificate: TLS on 443 is the default, and its plain twin."""
        server = read({"acme": LEAST}).server
        self.assertEqual((server.listen, server.redirect), (("ssl:443",), ("tcp:80",)))

    def test_contradictions(self) -> None:
        """Another certificate, and no listener for this one, are refused."""
        pair = {"cert": "/c", "key": "/k"}
        error = self.assertRaises(SettingsError, read, {"acme": LEAST, "tls": pair})
        self.assertEqual(error.key, "acme.domains")
        error = self.assertRaises(SettingsError, read, {"acme": LEAST, "server": {"listen": "tcp:80"}})
        self.assertEqual((error.key, error.remedy), ("acme.domains", "listen on ssl:443"))


class SourcesTests(SourcesTestCase):
    """By flag, variable and file."""

    def test_flags(self) -> None:
        """Names have commas or spaces between them; the consent is a flag without a value."""
        found = self.load({"acme": "a.example, b.example,", "acme-agree-tos": 1}).acme
        self.assertEqual(found, AcmeSettings(("a.example", "b.example")))
        self.assertIsNone(self.load({"acme": None, "acme-agree-tos": 0}).acme)

    def test_variables(self) -> None:
        """The same in the environment; a word that is neither yes nor no is refused."""
        found = self.load(ACME="a.example b.example", ACME_AGREE_TOS="yes").acme
        self.assertEqual(found, AcmeSettings(("a.example", "b.example")))
        self.check_error(
            "DOCXY_ACME_AGREE_TOS: is a string, not true or false; write true or false",
            ACME="a.example",
            ACME_AGREE_TOS="perhaps",
        )

    def test_file(self) -> None:
        """A flag's names take the place of the file's; its files are beside it."""
        text = '[acme]\ndomains = "a.example"\nagree_tos = true\nca = "ca.pem"\nstate = "state"\n'
        self.write("docxy.toml", text)
        self.write("ca.pem")
        found = self.load({"acme": "b.example"}).acme
        assert found is not None
        self.assertEqual(found.domains, ("b.example",))
        self.assertEqual((found.ca, found.state), (self.path("ca.pem"), self.path("state")))

    def test_default_pair(self) -> None:
        """The default certificate is left alone; one that is given contradicts."""
        self.write_pair()
        self.assertIsNone(self.load({"acme": "a.example", "acme-agree-tos": 1}).tls.cert)
        options = {"acme": "a.example", "acme-agree-tos": 1, "cert": "chain.pem", "key": "key.pem"}
        problem = "contradicts tls.cert: either docxy obtains the certificate, or it is given"
        self.check_error(f"--acme: {problem}; keep one of the two", options)

    def test_older_variables(self) -> None:
        """To the older variables it is a certificate, too."""
        found = self.load({"acme": "a.example", "acme-agree-tos": 1}, HTTP_PORT="8080").server
        self.assertEqual((found.listen, found.redirect), (("ssl:443",), ("tcp:8080",)))

    def test_files(self) -> None:
        """A trust root and a secret that cannot be read are told at start, the secret's place is not."""
        base = '[acme]\ndomains = "a.example"\nagree_tos = true\n'
        self.write("docxy.toml", base + 'ca = "gone"\n')
        key = "acme.ca in DIR/docxy.toml"
        self.check_error(
            f"{key}: DIR/gone cannot be read (No such file or directory); name a file that docxy may read"
        )
        self.write("docxy.toml", base + 'eab_kid = "k"\neab_hmac_file = "s3cret"\n')
        key = "acme.eab_hmac_file in DIR/docxy.toml"
        problem = "the password file cannot be read (No such file or directory)"
        self.check_error(f"{key}: {problem}; name a file that docxy may read")
