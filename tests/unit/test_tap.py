"""The flags of ``twistd docxy``, and the service that they ask for."""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.application.service import IService, Service
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from docxy import __version__
from docxy.settings.sources import CONFIG, LATER_WAYS, UPSTREAM, WAYS, Places, load
from docxy.settings.values import Settings, SettingsError
from docxy.tap import Options, makeService

ROOT = Path(__file__).resolve().parents[2]


def parsed(*arguments: str) -> Options:
    """The options of a command line."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    """A command line becomes a mapping, and no more."""

    def test_none(self) -> None:
        """Without flags nothing is said."""
        options = parsed()
        self.assertEqual([options.get(name) for name in ("listen", "config", "cert")], [None] * 3)
        self.assertEqual(set(options.values()), {None, 0})  # 0: a flag that has no value

    def test_all(self) -> None:
        """Repeatable flags are lists in their order, the others are strings."""
        lists = ("listen", "redirect", "public-url", "behind-proxy", "upstream")
        words = ("config", "cert", "key", "log-format", "log-level", "cache", "cache-size", "admin", "acme")
        arguments = [f"--{name}={value}" for name in lists for value in "ab"] + [
            f"--{name}=c" for name in words
        ]
        expected: dict[str, Any] = {name: ["a", "b"] for name in lists} | dict.fromkeys(words, "c")
        arguments.append("--acme-agree-tos")
        expected["acme-agree-tos"] = 1
        self.assertEqual(dict(parsed(*arguments)), expected)

    def test_every_way_has_its_flag(self) -> None:
        """All that the merge looks for can be given, and each flag but help and version is looked for."""
        known = {f"--{way.flag}" for way in (CONFIG, *WAYS, UPSTREAM, *LATER_WAYS)}
        text = Options().getUsage(width=1000)
        flags = {word.rstrip("=,") for word in text.split() if word.startswith("--")}
        self.assertEqual(flags, known | {"--help", "--version"})

    def test_short(self) -> None:
        """The settings file has a short flag."""
        self.assertEqual(parsed("-c", "a.toml")["config"], "a.toml")

    def test_state(self) -> None:
        """Two command lines have nothing in common."""
        parsed("--listen=a")
        self.assertNotIn("listen", parsed())

    def test_unknown(self) -> None:
        """Unknown flags and loose words are the command line's own errors."""
        self.assertRaises(usage.UsageError, parsed, "--lisen=a")
        self.assertRaises(usage.UsageError, parsed, "word")

    def test_version(self) -> None:
        """The version is docxy's, not Twisted's."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.assertEqual(self.assertRaises(SystemExit, parsed, "--version").code, 0)
        self.assertEqual(out.getvalue(), f"docxy {__version__}\n")

    def test_light(self) -> None:
        """Reading the flags' help installs no reactor and loads no TLS and no HTTP."""
        heavy = "{'twisted.internet.reactor', 'twisted.internet.ssl', 'OpenSSL', 'twisted.web', 'treq'}"
        code = f"import sys, docxy.tap; sys.exit(bool({heavy} & set(sys.modules)))"
        found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        self.assertEqual(found.returncode, 0)


class MakeServiceTests(SynchronousTestCase):
    """From options to a service, or to one line."""

    def setUp(self) -> None:
        self.calls: list[tuple[object, Settings]] = []
        self.service = Service()
        self.patch(os, "environ", {"DOCXY_LOG_LEVEL": "debug"})
        wiring = ModuleType("docxy.service")
        wiring.build_service = self.build_service  # type: ignore[attr-defined]
        self.replace_module("docxy.service", wiring)

    def replace_module(self, name: str, module: ModuleType) -> None:
        """Put a module in the place of another until the test ends."""
        before = sys.modules.get(name)
        sys.modules[name] = module
        restore = partial(sys.modules.__setitem__, name, before) if before else partial(sys.modules.pop, name)
        self.addCleanup(restore)

    def build_service(self, reactor: object, settings: Settings, again: Callable[[], Settings]) -> IService:
        """In the place of the real wiring: note what it is given."""
        self.calls.append((reactor, settings))
        self.again = again
        if "tcp:1" in settings.server.listen:
            raise SettingsError("server.listen", "is taken", "choose another port")
        return self.service

    def test_settings(self) -> None:
        """Flags and environment reach the wiring, together with the reactor."""
        from twisted.internet import reactor

        options = parsed("--listen=tcp:5001")
        self.assertIs(makeService(options), self.service)
        self.assertEqual(self.calls, [(reactor, load(options, os.environ, Places()))])
        self.assertEqual(self.calls[0][1].log.level, "debug")

    def test_reload(self) -> None:
        """The wiring can read the settings anew: the same flags, the environment as it is then."""
        makeService(parsed("--listen=tcp:5001"))
        os.environ["DOCXY_LOG_LEVEL"] = "warn"
        anew = self.again()
        self.assertEqual((anew.server.listen, anew.log.level), (("tcp:5001",), "warn"))

    def test_errors(self) -> None:
        """A wrong setting ends the start with its one line, whether reader or wiring finds it."""
        error = self.assertRaises(SystemExit, makeService, parsed("--log-level=loud"))
        self.assertEqual(error.code, "docxy: --log-level: is 'loud'; write debug or info or warn or error")
        error = self.assertRaises(SystemExit, makeService, parsed("--listen=tcp:1"))
        self.assertEqual(error.code, "docxy: --listen: is taken; choose another port")
        os.environ["DOCXY_LISTEN"] = "tcp:1"
        error = self.assertRaises(SystemExit, makeService, parsed())
        self.assertEqual(error.code, "docxy: DOCXY_LISTEN: is taken; choose another port")

    def test_folder(self) -> None:
        """A daemon that has left its folder reads the same settings file again."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.addCleanup(os.chdir, os.getcwd())
        Path(folder, "a.toml").write_text("[log]\nlevel = 'warn'\n")
        os.chdir(folder)
        del os.environ["DOCXY_LOG_LEVEL"]
        makeService(parsed("--config=a.toml"))
        os.chdir("/")
        self.assertEqual(self.again().log.level, "warn")

    def test_gone_folder(self) -> None:
        """A start in a folder that is gone needs it for nothing, or says for what in one line."""
        self.addCleanup(os.chdir, os.getcwd())
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)
        self.assertIs(makeService(parsed("--listen=tcp:5001")), self.service)
        error = self.assertRaises(SystemExit, makeService, parsed("--config=a.toml"))
        self.assertIn("docxy: --config: a.toml is in no folder", str(error.code))


class TwistdTests(SynchronousTestCase):
    """The plugin and docxy.tac, as twistd finds them."""

    def twistd(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run twistd from a folder of its own until it ends."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return subprocess.run(
            [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def test_one_line(self) -> None:
        """In the foreground, as a daemon and by -y, a wrong setting is one line and exit status 1."""
        expected = (1, "docxy: DOCXY_LOG_LEVEL: is 'loud'; write debug or info or warn or error\n", "")
        for arguments in (("-n", "docxy"), ("docxy",), ("-y", str(ROOT / "docxy.tac"))):
            found = self.twistd(*arguments, DOCXY_LOG_LEVEL="loud")
            self.assertEqual((found.returncode, found.stderr, found.stdout), expected)

    def test_plugin(self) -> None:
        """twistd lists docxy, and shows its flags."""
        found = self.twistd("docxy", "--help")
        self.assertEqual((found.returncode, found.stderr), (0, ""))
        self.assertIn("--upstream=", found.stdout)
