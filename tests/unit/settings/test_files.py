"""The files that settings name, at the start and later."""

import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.files import check_files, check_password_files, reload_warnings, unreadable
from docxy.settings.given import Given
from docxy.settings.values import (
    Account,
    ServerSettings,
    Settings,
    SettingsError,
    TLSSettings,
    UpstreamSettings,
)


class FilesTests(SynchronousTestCase):
    """Readable, or told."""

    def setUp(self) -> None:
        """A file that is there, and one that is not."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.there = str(Path(made.name, "there"))
        self.gone = str(Path(made.name, "gone"))
        Path(self.there).write_text("x")

    def settings(self, ca: str | None = None, password: str | None = None, **more: Any) -> Settings:
        """Settings with one upstream."""
        account = None if password is None else Account("me", password)
        upstream = UpstreamSettings("a", ("https://a.example",), ca=ca, account=account)
        return Settings(ServerSettings(("tcp:1",)), (upstream,), **more)

    def test_unreadable(self) -> None:
        """Why a file cannot be read is told; where there is none to read, nothing is."""
        self.assertEqual(unreadable(self.gone), f"{self.gone} cannot be read (No such file or directory)")
        self.assertEqual((unreadable(self.there), unreadable(None)), (None, None))

    def test_start(self) -> None:
        """At the start the first file that cannot be read is refused under its key."""
        check_files(self.settings(self.there, self.there, tls=TLSSettings(self.there, self.there)))
        for found, key in (
            (self.settings(tls=TLSSettings(self.gone, self.there)), "tls.cert"),
            (self.settings(tls=TLSSettings(self.there, self.gone)), "tls.key"),
            (self.settings(ca=self.gone), "upstream[a].ca"),
            (self.settings(password=self.gone), "upstream[a].password_file"),
        ):
            error = self.assertRaises(SettingsError, check_files, found)
            self.assertEqual((error.key, error.remedy), (key, "name a file that docxy may read"))

    def test_password_files(self) -> None:
        """As the service's user only password files are refused, and that user is named."""
        check_password_files(self.settings(self.gone, self.there, tls=TLSSettings(self.gone, self.gone)))
        error = self.assertRaises(SettingsError, check_password_files, self.settings(password=self.gone))
        self.assertEqual(error.key, "upstream[a].password_file")
        self.assertIn(f"(uid {os.geteuid()})", error.remedy)

    def test_reload(self) -> None:
        """All other files that a reload reads are told in one warning, under the names that were given."""
        found = self.settings(self.gone, given=Given({"tls.key": "--key"}, self.gone))
        pairs = [("tls.cert", self.there), ("tls.key", self.gone)]
        [warning] = reload_warnings(found, pairs)
        reason = f"{self.gone} cannot be read (No such file or directory)"
        start = ", ".join(f"{name}: {reason}" for name in ("config", "--key", "upstream[a].ca"))
        self.assertTrue(warning.startswith(f"{start}, by the user that docxy runs as"), warning)

    def test_reload_well(self) -> None:
        """Where all can be read there is no warning."""
        found = self.settings(self.there, given=Given({}, self.there))
        self.assertEqual(list(reload_warnings(found, [("tls.cert", self.there)])), [])
