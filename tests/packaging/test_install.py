"""
`install.sh` agrees with what the documentation says of it and of nginx.

Nothing is installed: that is for the end-to-end tests.
"""

import os
import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.values import LimitSettings

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "install.sh"


def found(pattern: str, text: str) -> list[str]:
    """What the pattern's group finds in the text."""
    return re.findall(pattern, text, re.DOTALL)


class InstallTests(SynchronousTestCase):
    """install.sh"""

    def setUp(self) -> None:
        self.text = SCRIPT.read_text(encoding="utf-8")

    def run_script(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it with these options, of a kind that change nothing."""
        given = {"PATH": os.environ["PATH"]}
        return subprocess.run([str(SCRIPT), *options], env=given, capture_output=True, text=True)

    def test_help(self) -> None:
        """The help names each option that there is, and no other."""
        done = self.run_script("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        options = {f"--{name}" for name in found("\nOPTIONS='(.*?)'", self.text)[0].split()}
        words = {"--upgrade", "--uninstall", "--purge", "--yes", "--help"}
        self.assertEqual(set(re.findall(r"--[a-z][a-z0-9-]+", done.stdout)), options | words)

    def test_documented(self) -> None:
        """The documentation speaks of no option that there is not."""
        page = (ROOT / "docs/install.rst").read_text(encoding="utf-8")
        known = set(re.findall(r"--[a-z][a-z0-9-]+", self.run_script("--help").stdout))
        self.assertEqual(set(re.findall(r"(?<!\w)--[a-z][a-z0-9-]+", page)) - known, set())

    def test_nginx(self) -> None:
        """The site that it writes has the lines that the documentation explains."""
        page = (ROOT / "docs/running.rst").read_text(encoding="utf-8")
        (explained,) = found(
            r"\n +(access_log off;\n.*?proxy_pass http://127\.0\.0\.1:5001;.*?\n +\}\n)", page
        )
        (written,) = found(r"\n +(access_log off;\n.*?\n    \}\n)", self.text)
        self.assertEqual(
            [line.strip() for line in written.splitlines()], [line.strip() for line in explained.splitlines()]
        )

    def test_patience(self) -> None:
        """nginx keeps a client that pauses as long as docxy does, in all that is said of it."""
        page = (ROOT / "docs/running.rst").read_text(encoding="utf-8")
        seconds = f"{LimitSettings().client_stall:.0f}"
        self.assertEqual(found(r"\n +send_timeout (\d+)s;\n", page + self.text), [seconds] * 3)

    def test_undone_handover(self) -> None:
        """A process that runs from the folder that undoing takes away is started anew from the old one."""
        without = self.text[: self.text.rindex("main ")]
        given = """
            scratch=$(mktemp -d) step=testing stays='' touched='' had='' had_etc=yes had_site=no
            was=venv kind=venv VENV=$scratch/venv HAND_OVER=true served=yes replaced=no
            under_systemd() { false; }
            docxy() { true; }
            service_does() { echo "service: $*" >&2; }
            mkdir "$VENV" "$VENV.old"
            hand_over
            undo
            rm -r "$scratch"
        """
        done = subprocess.run(["sh", "-s"], input=without + given, capture_output=True, text=True)
        self.assertIn("service: restart docxy\n", done.stderr)

    def test_cut_short(self) -> None:
        """A script of which the end is missing, as a broken download is, does nothing."""
        without = self.text[: self.text.rindex("main ")]
        done = subprocess.run(["sh", "-s", "--", "--help"], input=without, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
