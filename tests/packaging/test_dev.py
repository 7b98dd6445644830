"""
`./dev`, as a newcomer meets it: what it says, what it starts, and how it fails.

Runs a copy of the script beside a ready `.venv`, so that nothing is installed and no network is met.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent.parent

ROOTLESS = {"id": "echo 1000", "sudo": "exit 1"}
NOTHING_INSTALLED = {"dpkg-query": "exit 1", "apt-get": "echo called >&2; exit 9"}
TOX = """
[ "$1" = -m ] || exit 0
printf '%s; markers: %s\\n' "$*" "$DOCXY_MARKERS"
exit "${TOX_ENDS:-0}"
"""


class DevCase(SynchronousTestCase):
    """A copy of the script in a folder of its own, and a PATH in front of which commands can be put."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="docxy-dev-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.commands = self.folder / "commands"
        self.checkout = self.folder / "checkout"
        self.checkout.mkdir()
        for name in ("dev", "pyproject.toml", "bench/packages.txt"):
            (self.checkout / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        shutil.copytree(ROOT / "requirements", self.checkout / "requirements")

    def script(self, path: Path, text: str) -> None:
        """Write a command."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def stand_in(self, commands: dict[str, str]) -> None:
        """Put these commands before all others."""
        for name, text in commands.items():
            self.script(self.commands / name, text)

    def have_venv(self, python: str, twistd: str) -> None:
        """A `.venv` that holds all that is asked of it, with these programs."""
        venv = self.checkout / ".venv"
        self.script(venv / "bin/python", python)
        self.script(venv / "bin/twistd", twistd)
        (venv / "checkout").write_text(f"{self.checkout}\n")
        for file in (
            "pyproject.toml",
            *(f"requirements/{job}.txt" for job in ("run", "build", "tox", "bench")),
        ):
            content = (self.checkout / file).read_bytes()
            done = subprocess.run(["cksum"], input=content, stdout=subprocess.PIPE, check=True)
            (venv / f"once-{Path(file).name}").write_bytes(done.stdout)

    def dev(self, *words: str, path: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run it, from another folder and without what this process was told."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCXY_", "PYENV"))}
        there = f"{Path(sys.executable).parent}:{os.defpath}" if path is None else path
        return subprocess.run(
            [self.checkout / "dev", *words],
            cwd=self.folder,
            env=kept | {"PATH": f"{self.commands}:{there}", "HOME": str(self.folder)} | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def assert_one_line(self, done: subprocess.CompletedProcess[str], *parts: str) -> None:
        """Fail unless it failed and said nothing to stderr but one line with all of these parts."""
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertTrue(done.stderr.startswith("dev: "), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)


class ScriptTests(DevCase):
    """The script itself."""

    def test_posix(self) -> None:
        """A POSIX shell can parse this checkout's scripts."""
        for name in ("dev", ".ci/run"):
            subprocess.run(["sh", "-n", ROOT / name], check=True)

    def test_usage(self) -> None:
        """Without a word, or asked for help, it tells its words and ends well."""
        for words in ((), ("help",), ("-h",), ("--help",)):
            done = self.dev(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for word in ("run", "test [--all] [--no-root]", "bench [--quick] [...]", "docs"):
                self.assertIn(f"\n  {word} ", done.stdout)

    def test_unknown_word(self) -> None:
        """A word that it does not know is named behind the usage."""
        done = self.dev("rnu")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("usage: ./dev", done.stderr)
        self.assertTrue(done.stderr.endswith("dev: no such word: rnu\n"))

    def test_unknown_option(self) -> None:
        """So is an option of `test`."""
        self.assert_one_line(self.dev("test", "--fast"), "--all", "--no-root", "not: --fast")


class WithoutRightsTests(DevCase):
    """One who may install nothing."""

    def setUp(self) -> None:
        super().setUp()
        tools = ("sh", "cat", "head", "grep", "tail", "dirname", "basename", "env", "rm")
        self.bare = self.folder / "bare"
        self.bare.mkdir()
        for name in tools:
            found = shutil.which(name)
            assert found is not None, name
            (self.bare / name).symlink_to(found)

    def test_no_python(self) -> None:
        """Without a Python the one line names the packages and how to install them; apt-get is not called."""
        self.stand_in(ROOTLESS | NOTHING_INSTALLED)
        done = self.dev("run", path=str(self.bare))
        self.assert_one_line(done, "as root: apt-get install python3 python3-venv")

    def test_no_debian(self) -> None:
        """Nor is it called where there is none."""
        self.stand_in({"id": "echo 0", "dpkg-query": "exit 1"})
        done = self.dev("run", path=str(self.bare))
        self.assert_one_line(done, "no Debian", "python3 python3-venv")


class RunTests(DevCase):
    """`./dev run`"""

    def test_default(self) -> None:
        """Untold it listens on loopback port 5000, says so, and passes its options on."""
        self.have_venv("exit 0", 'echo "twistd $*"')
        done = self.dev("run", "--log-level", "debug")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        first, *_, last = done.stdout.splitlines()
        self.assertIn("http://127.0.0.1:5000", first)
        listen = "--listen tcp:5000:interface=127.0.0.1"
        self.assertEqual(last, f"twistd --nodaemon --pidfile= docxy {listen} --log-level debug")

    def test_told(self) -> None:
        """Told where to listen, in whichever way, it says nothing of port 5000."""
        self.have_venv("exit 0", 'echo "twistd $*"')
        for words in (("--listen", "tcp:1"), ("--listen=tcp:1",), ("-c", "a.toml"), ("--cert=a",)):
            done = self.dev("run", *words)
            self.assertEqual(done.stdout, f"twistd --nodaemon --pidfile= docxy {' '.join(words)}\n")
        done = self.dev("run", DOCXY_LISTEN="tcp:1")
        self.assertEqual(done.stdout, "twistd --nodaemon --pidfile= docxy\n")

    def test_own_folder(self) -> None:
        """The options' files are those of the folder that it is called from."""
        self.have_venv("exit 0", "pwd")
        self.assertEqual(self.dev("run", "-c", "a.toml").stdout, f"{self.folder.resolve()}\n")

    def test_taken_port(self) -> None:
        """Where the port is taken, the mirror's one line is all that it ends with."""
        twistd = Path(sys.executable).with_name("twistd")
        self.have_venv("exit 0", f'exec "{twistd}" "$@"')
        shutil.copytree(ROOT / "docxy", self.checkout / "docxy")
        shutil.copytree(ROOT / "twisted", self.checkout / "twisted")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            done = self.dev("run", "--listen", listen, PYTHONPATH=str(self.checkout))
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertTrue(done.stderr.startswith("docxy: "), done.stderr)
        self.assertIn(listen.partition(":i")[0], done.stderr)


class TestTests(DevCase):
    """`./dev test`"""

    def setUp(self) -> None:
        super().setUp()
        self.stand_in(ROOTLESS | NOTHING_INSTALLED)
        self.have_venv(TOX, "exit 9")

    def test_no_root(self) -> None:
        """The end-to-end tests can be left out on purpose; the rest runs on the Python at hand."""
        done = self.dev("test", "--no-root")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("lint", "types", "unit", "packaging"):
            self.assertRegex(done.stdout, rf"\b{name}-py3\.1[1-4]\b")
        self.assertNotIn("e2e-", done.stdout)
        self.assertIn("markers: not slow", done.stdout)

    def test_without_root(self) -> None:
        """Who is not root learns what could not run, and the exit status tells it."""
        done = self.dev("test", "--all")
        self.assertEqual(done.returncode, 1)
        self.assertIn("dev: not run: the end-to-end tests (tests/e2e), which need root", done.stdout)
        self.assertIn("markers: slow or not slow", done.stdout)

    def test_failure(self) -> None:
        """Its exit status is that of tox."""
        self.assertEqual(self.dev("test", "--no-root", TOX_ENDS="7").returncode, 7)


class BenchTests(DevCase):
    """`./dev bench`"""

    def test_without_root(self) -> None:
        """Who is not root is told so in one line, and nothing is installed."""
        self.stand_in(ROOTLESS | NOTHING_INSTALLED)
        self.assert_one_line(self.dev("bench", "--quick"), "run ./dev bench as root")

    def test_passed_on(self) -> None:
        """Its options are the bench's, which runs from the folder that it is called from."""
        self.stand_in({"id": "echo 0", "dpkg-query": "echo installed"})
        self.have_venv('[ "$1" = -c ] || echo "$PWD: $*"', "exit 9")
        done = self.dev("bench", "--quick", "--case", "blob")
        told = f"{self.folder.resolve()}: -m bench --quick --case blob\n"
        self.assertEqual((done.returncode, done.stdout), (0, told), done.stderr)
