"""Which folder file names are relative to, and who gave what, as it is known later."""

import os

from docxy.settings.sources import load
from docxy.settings.values import SettingsError
from tests.unit.settings.test_sources import SourcesTestCase


class GivenTests(SourcesTestCase):
    """What outlives the start."""

    def test_folder(self) -> None:
        """Names in flags and variables are relative to the folder that is told, wherever the process is."""
        self.write_pair()
        pair = {"cert": "chain.pem", "key": "./key.pem"}
        self.write("docxy.toml", '[[upstream]]\nname = "ghcr.io"\nca = "key.pem"\n')
        folder = os.path.dirname(self.path("x"))
        found = load({**pair, "config": "docxy.toml"}, {}, self.places, folder)
        self.assertEqual((found.tls.cert, found.tls.key), (self.path("chain.pem"), self.path("key.pem")))
        self.assertEqual(
            (found.upstreams[0].ca, found.given.file), (self.path("key.pem"), self.path("docxy.toml"))
        )
        error = self.assertRaises(SettingsError, load, pair | {"cert": "x"}, {}, self.places, folder)
        self.assertIn(self.path("x"), error.problem)

    def test_who_gave(self) -> None:
        """Who gave what is kept for errors that are found later."""
        self.write("docxy.toml", '[server]\nlisten = "tcp:1"\n[[upstream]]\nname = "ghcr.io"\n')
        given = self.load({"redirect": ["none"]}, UPSTREAM="ghcr.io quay.io").given
        in_file = f"server.listen in {self.path('docxy.toml')}"
        self.assertEqual(
            (given.name("server.listen"), given.name("server.redirect")), (in_file, "--redirect")
        )
        self.assertEqual(given.name("upstream[quay.io].ca"), "DOCXY_UPSTREAM")
