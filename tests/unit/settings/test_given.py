"""What errors are told under."""

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.given import Given
from docxy.settings.values import SettingsError


class GivenTests(SynchronousTestCase):
    """Who gave what."""

    GIVEN = Given(
        {"tls.cert": "--cert", "upstream[a]": "DOCXY_UPSTREAM", "upstream[a].name": "--upstream"},
        "/etc/x.toml",
        frozenset({"tls", "upstream"}),
    )

    def test_names(self) -> None:
        """A flag or a variable goes before the file, and the key before its entry."""
        for key, name in (
            ("tls.cert", "--cert"),
            ("tls.key", "tls.key in /etc/x.toml"),
            ("upstream[a].name", "--upstream"),
            ("upstream[a].ca", "DOCXY_UPSTREAM"),
            ("upstream[b].ca", "upstream[b].ca in /etc/x.toml"),
            ("upstream", "upstream in /etc/x.toml"),
            ("server.listen", "server.listen"),
            ("", ""),
        ):
            self.assertEqual(self.GIVEN.name(key), name)

    def test_nothing(self) -> None:
        """What nobody gave is told under its own key."""
        self.assertEqual(Given().name("tls.cert"), "tls.cert")

    def test_error(self) -> None:
        """An error takes the name on and keeps its words."""
        error = SettingsError("tls.cert", "is wrong", "mend it").as_given(self.GIVEN)
        self.assertEqual((error.key, str(error)), ("--cert", "--cert: is wrong; mend it"))
