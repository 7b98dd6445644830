"""``docxy check``: everything that a pull needs, looked at once."""

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.check import check, make_probe, service_user
from docxy.cli.findings import Mark
from docxy.settings.reader import read
from docxy.settings.values import Settings, SettingsError


def broken() -> Settings:
    """Settings that cannot be read."""
    raise SettingsError("server.x", "is unknown", "remove it")


class CheckTests(SynchronousTestCase):
    """What ends a check early, and what an upstream is tried with; the rest is tried end to end."""

    def test_settings(self) -> None:
        """Of settings that cannot be read the reason is all that is found."""
        (found,) = self.successResultOf(Deferred.fromCoroutine(check(MemoryReactorClock(), broken)))
        self.assertEqual((found.mark, found.check, found.subject), (Mark.FAILED, "settings", "server.x"))
        self.assertEqual((found.text, found.remedy), ("is unknown", "remove it"))

    def test_image(self) -> None:
        """An image of no upstream is refused before anything is asked."""
        looking = check(MemoryReactorClock(), lambda: read({}), ["quay.io/a/b"])
        self.failureResultOf(Deferred.fromCoroutine(looking), SettingsError)

    def test_ways(self) -> None:
        """Each URL of an upstream is asked alone, the registry last."""
        urls = ["https://near.example", "https://registry-1.docker.io"]
        settings = read({"upstream": [{"name": "docker.io", "url": urls}]})
        probe = make_probe(MemoryReactorClock(), settings, settings.upstreams[0], None)
        self.assertEqual(list(probe.ways), urls)

    def test_trust(self) -> None:
        """A trust root that cannot be read is refused under its setting."""
        settings = read({"upstream": [{"name": "docker.io", "ca": "/nowhere/ca.pem"}]})
        error = self.assertRaises(
            SettingsError, make_probe, MemoryReactorClock(), settings, settings.upstreams[0], None
        )
        self.assertEqual(error.key, "upstream[docker.io].ca")

    def test_service_user(self) -> None:
        """It is the package's, or none."""
        self.assertIn(service_user(), ("docxy", None))
