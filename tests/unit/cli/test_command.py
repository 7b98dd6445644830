"""The words of ``docxy``, their flags, and their exit status."""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy import __version__
from docxy.cli import main


class CommandTests(SynchronousTestCase):
    """The command line, from its words to the exit status."""

    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def status(self, *arguments: str) -> object:
        """The exit status of this command line."""
        return self.assertRaises(SystemExit, main, arguments).code

    def config(self, text: str) -> str:
        """The path of a settings file with this text."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        path = folder / "docxy.toml"
        path.write_text(text)
        return str(path)

    def test_nothing(self) -> None:
        """Without a word the help goes to stderr, and the status is 2."""
        self.assertEqual(self.status(), 2)
        self.assertIn("client-config", self.err.getvalue())

    def test_unknown(self) -> None:
        """An unknown word, flag or client is told in one line, and the status is 2."""
        for arguments in (["sing"], ["--loud"], ["client-config", "--loud"], ["client-config", "telnet"]):
            self.assertEqual(self.status(*arguments), 2)
        self.assertEqual(len(self.err.getvalue().splitlines()), 4)

    def test_help(self) -> None:
        """Help is no error, and each word has its own."""
        for arguments in (["--help"], ["client-config", "--help"]):
            self.assertIn(self.status(*arguments), (0, None))
        self.assertIn("Usage: docxy client-config [options] [docker|", self.out.getvalue())

    def test_version(self) -> None:
        """The version is docxy's."""
        self.assertEqual(self.status("--version"), 0)
        self.assertEqual(self.out.getvalue(), f"docxy {__version__}\n")

    def test_settings_error(self) -> None:
        """Wrong settings are one line that names the key and the file, and the status is 1."""
        path = self.config("[server]\nsecret = 1\n")
        self.assertEqual(self.status("client-config", "--config", path), 1)
        self.assertRegex(self.err.getvalue(), rf"\Adocxy: server\.secret in {path}: is unknown; .*\n\Z")

    def test_client_config(self) -> None:
        """One client, or all of them, by the settings file and by flags, which beat it."""
        path = self.config('[server]\npublic_url = ["https://file.example"]\n')
        self.assertEqual(self.status("client-config", "--config", path, "k3s"), 0)
        self.assertIn('- "https://file.example"', self.out.getvalue())
        self.assertNotIn("docker\n======", self.out.getvalue())
        self.assertEqual(
            self.status("client-config", "--config", path, "--public-url", "https://flag.example"), 0
        )
        self.assertIn('"registry-mirrors": ["https://flag.example"]', self.out.getvalue())

    def test_broken_certificate(self) -> None:
        """A certificate that cannot serve gives no name, and is not complained of here."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("no certificate")
            file.flush()
            pair = ["--cert", file.name, "--key", file.name]
            self.assertEqual(self.status("client-config", "--config", self.config(""), *pair, "k3s"), 1)
        self.assertIn("public_url", self.err.getvalue())

    def test_health(self) -> None:
        """Where nobody answers, health says one line and ends with 1."""
        path = self.config('[server]\nlisten = ["tcp:1:interface=127.0.0.1"]\n')
        self.assertEqual(self.status("health", "--config", path), 1)
        self.assertRegex(self.err.getvalue(), r"\Adocxy: tcp:1:interface=127\.0\.0\.1: .*\n\Z")

    def test_installs_no_reactor(self) -> None:
        """Reading the module leaves the choice of the reactor open."""
        code = "import sys, docxy.cli; sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code]).returncode, 0)
