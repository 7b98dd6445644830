"""The older variables for listeners."""

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.older import Listeners, listeners, truth
from docxy.settings.values import SettingsError

PLAIN = "tcp:5000:interface=127.0.0.1"


def found(has_certificate: bool = False, **environ: str) -> Listeners:
    """What these variables ask for, written without their ``DOCXY_``."""
    return listeners({f"DOCXY_{name}": value for name, value in environ.items()}, has_certificate)


class ListenersTests(SynchronousTestCase):
    """Ports and switches become lists of endpoints."""

    def check_error(self, expected: str, **environ: str) -> None:
        """The variables are refused with the error of this text."""
        self.assertEqual(str(self.assertRaises(SettingsError, found, **environ)), expected)

    def test_none(self) -> None:
        """Without them nothing is decided, whatever newer ones are there."""
        self.assertEqual(found(True, LISTEN="tcp:5000"), Listeners())

    def test_with_tls(self) -> None:
        """With TLS the https port serves and the http port redirects."""
        self.assertEqual(found(HTTPS_PORT="8443"), Listeners(["ssl:8443"], None, "DOCXY_HTTPS_PORT"))
        self.assertEqual(found(HTTPS_ENABLED="true"), Listeners(["ssl:443"], None, "DOCXY_HTTPS_ENABLED"))
        both = found(HTTPS_PORT="8443", HTTP_PORT="8080")
        self.assertEqual(both, Listeners(["ssl:8443"], ["tcp:8080"], "DOCXY_HTTPS_PORT"))

    def test_with_a_certificate(self) -> None:
        """A certificate means TLS: the http port redirects, and the switch for http is the redirect's."""
        self.assertEqual(found(True, HTTP_PORT="8080"), Listeners(None, ["tcp:8080"], "DOCXY_HTTP_ENABLED"))
        self.assertEqual(found(True, HTTP_ENABLED="yes"), Listeners(None, ["tcp:80"], "DOCXY_HTTP_ENABLED"))
        self.assertEqual(found(True, HTTP_ENABLED="no"), Listeners(None, [], "DOCXY_HTTP_ENABLED"))

    def test_without_tls(self) -> None:
        """Without TLS the http port serves; on loopback alone where nobody asked for http."""
        self.assertEqual(found(HTTP_PORT="8080"), Listeners(["tcp:8080"], [], "DOCXY_HTTP_PORT"))
        self.assertEqual(found(HTTP_ENABLED="1"), Listeners(["tcp:80"], [], "DOCXY_HTTP_ENABLED"))
        self.assertEqual(found(True, HTTPS_ENABLED="off"), Listeners([PLAIN], [], "DOCXY_HTTPS_ENABLED"))
        switched = found(True, HTTPS_ENABLED="0", HTTPS_PORT="443", HTTP_PORT="80")
        self.assertEqual(switched, Listeners(["tcp:80"], [], "DOCXY_HTTP_PORT"))

    def test_nothing_left(self) -> None:
        """Both off is no mirror."""
        expected = "DOCXY_HTTP_ENABLED: leaves nothing to listen on; enable it, or give a certificate"
        self.check_error(expected, HTTP_ENABLED="false")
        self.check_error(expected, HTTP_ENABLED="false", HTTPS_ENABLED="false")

    def test_newer_variables(self) -> None:
        """Old and new ways to say one thing do not mix."""
        expected = "DOCXY_HTTP_PORT: contradicts DOCXY_LISTEN; keep DOCXY_LISTEN alone"
        self.check_error(expected, HTTP_PORT="80", LISTEN="tcp:80")
        expected = "DOCXY_HTTPS_PORT: contradicts DOCXY_REDIRECT; keep DOCXY_REDIRECT alone"
        self.check_error(expected, HTTPS_PORT="443", REDIRECT="tcp:80")

    def test_bad_values(self) -> None:
        """Ports are numbers, switches are words for yes and no."""
        expected = "DOCXY_HTTP_PORT: 'tcp://10.0.0.1:80' is not a port; write a number from 1 to 65535"
        self.check_error(expected, HTTP_PORT="tcp://10.0.0.1:80")
        expected = "DOCXY_HTTPS_ENABLED: 'maybe' is neither yes nor no; write true or false"
        self.check_error(expected, HTTPS_ENABLED="maybe")


class TruthTests(SynchronousTestCase):
    """Words for yes and no."""

    def test_truth(self) -> None:
        """Letters' case does not matter, and other words say nothing."""
        table = {
            "True": True,
            "on": True,
            "1": True,
            "NO": False,
            "off": False,
            "0": False,
            "10.0.0.0/8": None,
        }
        self.assertEqual({word: truth(word) for word in table}, table)
