"""
`contrib/docxy-deploy-hook`, called as each ACME client calls it, with a made-up renewal.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

HOOK = Path(__file__).resolve().parent.parent.parent / "contrib/docxy-deploy-hook"
NAMES = ("fullchain.pem", "privkey.pem")


class HookTests(SynchronousTestCase):
    """A renewed pair, and the folder where docxy looks."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="docxy-hook-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.tls = self.folder / "tls"
        self.tls.mkdir()
        self.lineage = self.folder / "a lineage"
        self.lineage.mkdir()
        for name in NAMES:
            (self.lineage / name).write_text(f"new {name}")
            (self.lineage / name).chmod(0o600)
        self.pair = [str(self.lineage / name) for name in NAMES]
        self.group = str(os.getgid())

    def run_hook(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Call it, with nothing in its environment but this."""
        given = {"PATH": os.environ["PATH"], "DOCXY_TLS_DIR": str(self.tls), "DOCXY_GROUP": self.group}
        command = [str(HOOK), *arguments]
        return subprocess.run(command, env=given | environ, capture_output=True, text=True, check=False)

    def installed(self) -> dict[str, str]:
        """What is in the folder."""
        return {path.name: path.read_text() for path in self.tls.iterdir()}

    def assert_refused(self, said: str, *arguments: str, **environ: str) -> None:
        """It says why in one line, and the folder is as it was."""
        before = self.installed()
        ended = self.run_hook(*arguments, **environ)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn(f"docxy-deploy-hook: {said}", ended.stderr.splitlines()[-1])
        self.assertEqual(self.installed(), before)

    def test_clients(self) -> None:
        """However a client names the pair it is installed, over the old one, for docxy's group to read."""
        chain, key = self.pair
        for number, (arguments, environ) in enumerate(
            (
                ((), {"RENEWED_LINEAGE": str(self.lineage), "RENEWED_DOMAINS": "a.example"}),
                ((), {"LEGO_CERT_PATH": chain, "LEGO_CERT_KEY_PATH": key}),
                ((), {"LEGO_HOOK_CERT_PATH": chain, "LEGO_HOOK_CERT_KEY_PATH": key}),
                ((), {"CERT_FULLCHAIN_PATH": chain, "CERT_KEY_PATH": key}),
                (self.pair, {}),
                (self.pair, {"RENEWED_LINEAGE": "/nowhere"}),
            )
        ):
            for name in NAMES:
                (self.lineage / name).write_text(f"{number} {name}")
            ended = self.run_hook(*arguments, **environ)
            self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "", ""))
            self.assertEqual(self.installed(), {name: f"{number} {name}" for name in NAMES})
            for path in self.tls.iterdir():
                found = path.stat()
                self.assertEqual((found.st_mode & 0o777, found.st_gid), (0o640, os.getgid()))

    def test_refused(self) -> None:
        """What is missing is told, and nothing changes."""
        self.run_hook(*self.pair)
        self.assert_refused("no ACME client has named a certificate")
        self.assert_refused("give the chain and the key", self.pair[0])
        self.assert_refused("'/nowhere/fullchain.pem' is missing", RENEWED_LINEAGE="/nowhere")
        self.assert_refused("'' is missing or empty", LEGO_CERT_PATH=self.pair[0])
        (self.lineage / "privkey.pem").write_text("")
        self.assert_refused(f"'{self.pair[1]}' is missing or empty", RENEWED_LINEAGE=str(self.lineage))

    def test_surroundings(self) -> None:
        """A folder that is not there and a group that is none are told with the remedy."""
        nowhere = str(self.folder / "nowhere")
        self.assert_refused(f"{nowhere} does not exist; mkdir -p", *self.pair, DOCXY_TLS_DIR=nowhere)
        self.assert_refused("the files cannot be given to the group", *self.pair, DOCXY_GROUP="no-such-group")
