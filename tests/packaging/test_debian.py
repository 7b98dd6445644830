"""
The Debian package's parts agree with docxy and with one another.

Nothing is built: that is for the end-to-end tests.
"""

import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import docxy
from docxy.settings.reader import read
from docxy.settings.values import LimitSettings
from docxy.web.closing import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
DEBIAN = ROOT / "debian"

SCRIPTS = (
    *("debian/docxy.init", "debian/docxy.postinst", "debian/docxy.prerm", "debian/docxy.postrm"),
    *("debian/tests/pull", "packaging/apt-repository", "packaging/build-deb", "packaging/hand-over"),
)


def unit(key: str) -> str:
    """What the unit says of a key."""
    (found,) = re.findall(rf"^{key}=(.*)$", (DEBIAN / "docxy.service").read_text(), re.MULTILINE)
    return str(found)


class DebianTests(SynchronousTestCase):
    """debian/ and packaging/"""

    def test_version(self) -> None:
        """The changelog's first version is docxy's."""
        first = (DEBIAN / "changelog").read_text().splitlines()[0]
        version = re.sub(r"\.?(dev|rc|a|b)", r"~\1", docxy.__version__)
        self.assertIn(f" ({version}) ", first)

    def test_stop_time(self) -> None:
        """Both ways of starting it give it the time to drain and to end what is left."""
        least = read({}).server.drain + PATIENCE
        script = (DEBIAN / "docxy.init").read_text()
        (by_script,) = re.findall(r"^STOP_TIME=(\d+)$", script, re.MULTILINE)
        self.assertLess(
            script.index("\nSTOP_TIME="), script.index(". /etc/default/docxy")
        )  # which may say another
        self.assertGreater(int(unit("TimeoutStopSec")), least)
        self.assertGreater(int(by_script), least)

    def test_open_files(self) -> None:
        """Both ways of starting it allow the sockets that the default limits may need."""
        limits = LimitSettings()
        self.assertGreater(int(unit("LimitNOFILE")), limits.connections + limits.relays + 256)
        self.assertIn(f"    ulimit -n {unit('LimitNOFILE')} ", (DEBIAN / "docxy.init").read_text())

    def test_conffile(self) -> None:
        """What the package makes of the example is a settings file that sets the admin listener alone."""
        (command,) = re.findall(
            r"^\tsed '(.*)' docs/docxy.toml.example", (DEBIAN / "rules").read_text(), re.MULTILINE
        )
        example = ROOT / "docs/docxy.toml.example"
        argv = ["sed", command.replace("$$", "$"), str(example)]
        made = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
        admin = {"admin": {"listen": "unix:/run/docxy/admin.sock:mode=660"}}
        self.assertEqual(read(tomllib.loads(made)), read(admin))
        changed = set(made.splitlines()) ^ set(example.read_text(encoding="utf-8").splitlines())
        self.assertEqual(len(changed), 2)

    def test_paths(self) -> None:
        """Unit, init script and settings mean the same program and socket folder."""
        script = (DEBIAN / "docxy.init").read_text()
        self.assertTrue(unit("ExecStart").startswith("/usr/lib/docxy/bin/twistd "))
        self.assertIn("TWISTD=/usr/lib/docxy/bin/twistd\n", script)
        self.assertEqual(unit("RuntimeDirectory"), "docxy")

    def test_scripts(self) -> None:
        """Each is a program that a POSIX shell can read."""
        for script in SCRIPTS:
            done = subprocess.run(["sh", "-n", str(ROOT / script)], stderr=subprocess.PIPE, text=True)
            self.assertEqual((script, done.returncode, done.stderr), (script, 0, ""))

    def test_checkout(self) -> None:
        """root builds from another user's checkout, too, and only from what git knows of there."""
        text = (ROOT / "packaging/build-deb").read_text()
        (function,) = re.findall(r"(?ms)^list_checkout\(\) \{$.*?^\}$", text)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "init", "--quiet", folder], check=True)
            for name, content in ((".gitignore", "stale\n"), ("stale", ""), ("fresh", "")):
                Path(folder, name).write_text(content)
            env = {"PATH": os.environ["PATH"], "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": folder}
            argv = ["sh", "-ec", f"{function}\nlist_checkout"]
            done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
        self.assertEqual(sorted(done.stdout.split("\0")), ["", ".gitignore", "fresh"], done.stderr)

    def hand_over(self, pidfile: str) -> tuple[int, str]:
        """Run hand-over where no systemd is, with that pidfile; its exit status, and whom it told what."""
        text = (ROOT / "packaging/hand-over").read_text()
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            text = text.replace("/run/systemd/system", f"{here}/none").replace("/run/docxy", folder)
            (here / "docxy.pid").write_text(pidfile)
            # A successor that is there as soon as it is wanted.
            stop = f'case $1 in --stop) echo "$@" >{here}/told; echo 4000001 >{here}/docxy.pid ;; esac\n'
            for name, content in (("start-stop-daemon", stop), ("sleep", "")):
                (here / name).write_text(f"#!/bin/sh\n{content}")
                (here / name).chmod(0o755)
            env = {"PATH": f"{here}:{os.environ['PATH']}"}
            done = subprocess.run(["sh", "-s"], input=text, env=env, capture_output=True, text=True)
            told = here / "told"
            return done.returncode, told.read_text().replace(folder, "") if told.exists() else ""

    def test_hand_over(self) -> None:
        """Whose process the pidfile names is looked at with the signal; only a number will do."""
        told = "--stop --quiet --signal USR2 --pidfile /docxy.pid --user docxy\n"
        self.assertEqual(self.hand_over("4000000\n"), (0, told))
        for wrong in ("-1", "0", "1 2", "", "x"):
            self.assertEqual(self.hand_over(wrong), (2, ""), wrong)

    def test_confinement(self) -> None:
        """The unit has no rule that kills pyOpenSSL's callbacks, and writes to its own folders alone."""
        text = (DEBIAN / "docxy.service").read_text()
        self.assertNotRegex(text, r"(?m)^MemoryDenyWriteExecute")
        self.assertEqual(unit("ProtectSystem"), "strict")
        self.assertEqual(unit("StateDirectory"), "docxy")
