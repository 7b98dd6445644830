"""The words of ``docxy``, their flags, and their exit status."""

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from docxy import __version__
from docxy.cli import command, main
from docxy.cli.command import INTERRUPTED, run_once


def answer(server: socket.socket, content: bytes) -> None:
    """Answer one client."""
    there, _ = server.accept()
    with there:
        there.recv(4096)
        there.sendall(content)


def flags_of(parser: type[usage.Options]) -> set[str]:
    """The long names of all flags that this parser knows, but for ``--help``."""
    return {name.rstrip("=") for name in parser().longOpt} - {"help"}


class CommandCase(SynchronousTestCase):
    """A command line and what it says."""

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


class CommandTests(CommandCase):
    """The command line, from its words to the exit status."""

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

    def test_access_key(self) -> None:
        """The text is for the key that is named; one that there is not is one line."""
        table = '[[access.key]]\nname = "{0}"\npath = "{0}-key-7d1c"\n'
        keys = "".join(table.format(name) for name in ("a1", "b2"))
        path = self.config(f'[server]\npublic_url = ["https://file.example"]\n{keys}')
        self.assertEqual(self.status("client-config", "--config", path, "--access-key", "b2", "podman"), 0)
        self.assertIn('"file.example/b2-key-7d1c"', self.out.getvalue())
        self.assertNotIn("a1-key", self.out.getvalue())
        self.assertEqual(self.status("client-config", "--config", path, "--access-key", "c"), 1)
        self.assertIn("docxy: --access-key: there is no key c; choose one: a1, b2", self.err.getvalue())

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

    def test_health_serves(self) -> None:
        """Where it serves, health says nothing and ends with 0."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            answering = Thread(target=answer, args=(server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            answering.start()
            path = self.config(f'[server]\nlisten = ["tcp:{server.getsockname()[1]}:interface=127.0.0.1"]\n')
            self.assertEqual(self.status("health", "--config", path), 0)
            answering.join()
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("", ""))

    def test_acme_names(self) -> None:
        """Names that a certificate is to be obtained for are what clients call the mirror."""
        path = self.config('[acme]\ndomains = ["a.example", "b.example"]\nagree_tos = true\n')
        self.assertEqual(self.status("client-config", "--config", path, "k3s"), 0)
        self.assertIn('- "https://a.example"', self.out.getvalue())

    def test_top(self) -> None:
        """Without an admin listener top says how to have one; without a terminal it is one view."""
        path = self.config("")
        self.assertEqual(self.status("top", "--config", path), 1)
        self.assertIn("admin.listen: is not set", self.err.getvalue())
        shown: list[str] = []
        self.patch(command, "once", shown.append)
        for arguments in (["--admin", "unix:/flag"], ["--once", "--admin", "unix:/flag"]):
            self.assertEqual(self.status("top", "--config", path, *arguments), 0)
        path = self.config('[admin]\nlisten = "unix:/file"\n')
        self.assertEqual(self.status("top", "--config", path), 0)
        self.assertEqual(shown, ["unix:/flag", "unix:/flag", "unix:/file"])

    def test_one_harmless_line(self) -> None:
        """What is wrong is one line without control characters, whatever was typed."""
        self.status("client-config", "--public-url", "https://a\x1b[2J\nb", "k3s")
        self.assertRegex(self.err.getvalue(), r"\Adocxy: --public-url: [^\x00-\x1f]*\n\Z")

    def test_poor_terminal(self) -> None:
        """What a terminal has no characters for is told in others."""
        raw = io.BytesIO()
        self.patch(sys, "stderr", io.TextIOWrapper(raw, "ascii"))
        self.assertEqual(self.status("\u00e9"), 2)
        sys.stderr.flush()
        self.assertEqual(raw.getvalue(), b"docxy: Unknown command: ?; see docxy --help\n")

    def test_documented(self) -> None:
        """Each word has its section in the documentation, and its line in the manual page."""
        docs = Path(__file__).resolve().parents[3] / "docs"
        console, manual = ((docs / f"{page}.rst").read_text() for page in ("console", "command"))
        for word in command.CommandOptions.subCommands:
            name = cast("list[Any]", word)[0]
            self.assertIn(f"docxy {name}\n-----", console)
            self.assertIn(f"``docxy {name}``", manual)

    def test_documented_flags(self) -> None:
        """The manual page names the flags that all have, those of each word beside it, and no other."""
        manual = (Path(__file__).resolve().parents[3] / "docs" / "command.rst").read_text()
        _, options, words, _ = re.split(r"\n(?:Options|Words|Signals)\n-+\n", manual)
        later = {"cache", "cache-size"}  # not in this version
        shared = flags_of(command.MirrorOptions) - later
        self.assertEqual(set(re.findall(r"``--([a-z-]+)", options)), shared | {"help"})
        told = dict(re.findall(r"^``docxy (\S+)``.*\n((?:    .*\n)+)", words, re.MULTILINE))
        for word in command.CommandOptions.subCommands:
            name, _, parser, _ = cast("list[Any]", word)
            own = flags_of(parser) - shared - later
            self.assertEqual(set(re.findall(r"``--([a-z-]+)", told[name])), own, name)

    def test_installs_no_reactor(self) -> None:
        """Reading the module leaves the choice of the reactor open."""
        code = "import sys, docxy.cli; sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code]).returncode, 0)


class CheckTests(CommandCase):
    """``docxy check``, on a reactor in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(command, "react", lambda work: react(work, _reactor=MemoryReactorClock()))

    def test_lines(self) -> None:
        """A line each, and the status tells what is wrong."""
        path = self.config("[server]\nsecret = 1\n")
        self.assertEqual(self.status("check", "--config", path), 1)
        self.assertRegex(
            self.out.getvalue(), r"\A\S+ settings server\.secret in .*: is unknown\n +remedy: .*\n\Z"
        )
        self.assertEqual(self.err.getvalue(), "")

    def test_json(self) -> None:
        """The same as one document."""
        path = self.config("[server]\nsecret = 1\n")
        self.assertEqual(self.status("check", "--json", "--config", path), 1)
        found = json.loads(self.out.getvalue())
        self.assertEqual((found["docxy"], found["result"], len(found["checks"])), (__version__, "failed", 1))

    def test_refused(self) -> None:
        """An image, and a user, that there is not are one line."""
        path = self.config("")
        for flag, value in (("--image", "telnet"), ("--user", "no-such-user")):
            self.assertEqual(self.status("check", "--config", path, flag, value), 1)
        first, second = self.err.getvalue().splitlines()
        self.assertTrue(first.startswith("docxy: --image: telnet is of no upstream"))
        self.assertTrue(second.startswith("docxy: --user: there is no user no-such-user"))
        self.assertEqual(self.out.getvalue(), "")

    def test_fault(self) -> None:
        """A fault of docxy's own is logged, and no finding."""

        async def work(_: object) -> None:
            raise ZeroDivisionError

        self.assertEqual(self.assertRaises(SystemExit, run_once, work).code, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_running(self) -> None:
        """The work begins when the reactor runs, which is when a signal stops it."""
        reactor = MemoryReactorClock()
        self.patch(command, "react", partial(react, _reactor=reactor))
        begun: list[bool] = []

        async def work(_: object) -> None:
            begun.append(reactor.hasRun)

        run_once(work)
        self.assertEqual(begun, [True])

    def test_stopped(self) -> None:
        """A reactor that ends before the work has is an interruption, not a success."""

        async def work(_: object) -> None:
            await Deferred()

        self.assertEqual(self.assertRaises(SystemExit, run_once, work).code, INTERRUPTED)


class InterruptTests(SynchronousTestCase):
    """Ctrl-C, for real."""

    def test_interrupted(self) -> None:
        """While an upstream is waited for it ends the check, with nothing said and a status that tells it."""
        with socket.create_server(("127.0.0.1", 0)) as server, tempfile.NamedTemporaryFile("w") as file:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            file.write(f'[[upstream]]\nname = "slow.example"\nurl = "{url}"\n')
            file.flush()
            words = [sys.executable, "-c", "from docxy.cli import main; main()", "check", "-c", file.name]
            # Who runs these tests in a shell's background has them, and all below them, ignore Ctrl-C.
            words = ["env", "--default-signal=INT", *words]
            running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            there, _ = server.accept()
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=60)
            there.close()
        self.assertEqual((running.returncode, *said), (INTERRUPTED, b"", b""))
