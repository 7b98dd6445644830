"""Passwords that were put where none belongs, or where others can read them."""

from __future__ import annotations

import os

from docxy.settings.files import MAX_PASSWORD
from docxy.settings.values import SettingsError
from tests.unit.settings.test_sources import SourcesTestCase

ACCOUNT = '[[upstream]]\nname = "ghcr.io"\nauth = "own"\nusername = "u"\nrepositories = "*"\n'


class NotRepeatedTests(SourcesTestCase):
    """No error tells a password."""

    def refused(self, options: dict[str, object] | None = None, **environ: str) -> str:
        """The line that the operator sees."""
        error = str(self.assertRaises(SettingsError, self.load, options or {}, **environ))
        self.assertNotIn("hunter2", error)
        return error

    def test_flag_and_variable(self) -> None:
        """Upstreams with an account in their URL are refused, wherever the = stands."""
        for word in (
            "https://u:hunter2@r.example",
            "r.example=https://u:hunter2@r.example",
            "https://u:hunter2=x@r.example",
            "u:hunter2=x@r.example",
            "docker.io=hunter2@r.example",
        ):
            end = "bears a user name; take out what stands before the @"
            self.assertEqual(self.refused({"upstream": [word]}), f"--upstream: {end}")
            self.assertEqual(self.refused(UPSTREAM=word), f"DOCXY_UPSTREAM: {end}")

    def test_file(self) -> None:
        """So are those of the file, under their keys."""
        for line, key in (
            ('name = "https://u:hunter2@r.example"', "upstream[1].name"),
            ('name = "r.example"\nurl = "https://u:hunter2@r.example"', "upstream[r.example].url"),
            ('name = "ghcr.io"\nrealm = "https://u:hunter2@r.example"', "upstream[ghcr.io].realm"),
            ('name = "ghcr.io"\nhosts = "u:hunter2@r.example"', "upstream[ghcr.io].hosts"),
            ('name = "ghcr.io"\nredirects = "u:hunter2@r.example"', "upstream[ghcr.io].redirects"),
        ):
            self.write("docxy.toml", f"[[upstream]]\n{line}\n")
            self.assertIn(f"{key} in {self.path('docxy.toml')}: bears a user name", self.refused())

    def test_instead_of_its_file(self) -> None:
        """A password in the place of its file's name is not told either."""
        self.write("docxy.toml", f'{ACCOUNT}password_file = "hunter2"\n')
        self.assertIn("password_file in", self.refused())
        self.write("docxy.toml", f'{ACCOUNT}password = "hunter2"\n')
        self.assertIn("write password_file", self.refused())

    def test_secret_path(self) -> None:
        """The secret path is not told by its own errors."""
        for secret in ("HUNTER2hunter2", "hunter2", "-hunter2-hunter2", "hunter2@hunter2"):
            self.write("docxy.toml", f'[server]\nsecret_path = "{secret}"\n')
            self.assertIn("server.secret_path in", self.refused())


class PasswordFileTests(SourcesTestCase):
    """The file of an account's password."""

    def setUp(self) -> None:
        """Settings with an account."""
        super().setUp()
        self.write("password", "pw")
        self.write("docxy.toml", f'{ACCOUNT}password_file = "password"\n')

    def test_open_to_all(self) -> None:
        """One that every user may read or change is warned of, as a TLS key is."""
        path = self.path("password")
        key = f"upstream[ghcr.io].password_file in {self.path('docxy.toml')}"
        warning = f"{key}: {path} is open to every user of this machine: chmod 640 {path}"
        for mode, warned in ((0o600, False), (0o640, False), (0o644, True), (0o606, True)):
            os.chmod(path, mode)
            self.assertEqual(warning in self.load().warnings, warned)

    def test_large(self) -> None:
        """One of more than 4 KiB holds no password."""
        self.write("password", "p" * MAX_PASSWORD)
        self.load()
        self.write("password", "p" * (MAX_PASSWORD + 1))
        error = self.assertRaises(SettingsError, self.load)
        self.assertEqual(error.problem, "the password file is over 4096 bytes")
