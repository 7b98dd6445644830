"""twistd's options, read once more, and giving up."""

import io
import os
import pwd
import sys
from tempfile import TemporaryDirectory

from twisted.internet import defer
from twisted.logger import LogLevel
from twisted.python import failure
from twisted.trial.unittest import SynchronousTestCase

from docxy import __version__
from docxy.process import GivenUp, as_group, give_up, group_to_be, twistd_options, versions
from tests.unit.web.rig import Logged


class OptionsTests(SynchronousTestCase):
    """Reading without doing."""

    def test_read(self) -> None:
        """twistd's own options are there, also beside a reactor that runs already."""
        for flag in ("--reactor=epoll", "--reactor=select", "-repoll", "--reactor=nonesuch"):
            options = twistd_options(["twistd", "-n", flag, "--pidfile=x", "docxy", "--listen=tcp:1"])
            assert options is not None
            self.assertEqual((options["pidfile"], options["nodaemon"]), (os.path.abspath("x"), 1))

    def test_no_effect(self) -> None:
        """Reading them debugs, traces and installs nothing."""
        before = defer.getDebugging(), failure.DO_POST_MORTEM, failure.Failure.__init__
        reactor = sys.modules.get("twisted.internet.reactor")
        options = twistd_options(["twistd", "--debug", "--spew", "-b"])
        assert options is not None
        self.assertTrue(options["debug"])
        self.assertEqual(before, (defer.getDebugging(), failure.DO_POST_MORTEM, failure.Failure.__init__))
        self.assertIsNot(getattr(sys.gettrace(), "__name__", ""), "spewer")
        self.assertIs(sys.modules.get("twisted.internet.reactor"), reactor)

    def test_no_twistd(self) -> None:
        """What is no twistd's command line has no options."""
        self.assertIsNone(twistd_options(["pytest", "--no-such-option"]))
        self.assertIsNone(twistd_options(["twistd", "--help"]))


class GroupTests(SynchronousTestCase):
    """The group that the service will have."""

    def test_given(self) -> None:
        """It is the one of --gid, or the main one of --uid; without both, and for no user's number, none."""
        root = pwd.getpwuid(0)
        for flags, gid in (
            ((), None),
            (("--gid=7",), 7),
            (("--uid=0",), root.pw_gid),
            (("--uid=root", "--gid=7"), 7),
            (("--uid=2000000000",), None),
            (("--no-such-option",), None),
        ):
            self.assertEqual(group_to_be(["twistd", *flags, "docxy"]), gid, flags)

    def test_as_group(self) -> None:
        """Files are that group's meanwhile, and as before in the end, whatever went wrong."""
        before = os.getegid()

        def fail(gid: int | None) -> None:
            with as_group(gid), TemporaryDirectory() as folder:
                self.assertIn(os.stat(folder).st_gid, (before, gid))
                os.rmdir(folder)
                os.stat(folder)

        for gid in (None, before, max(os.getgroups(), default=before)):
            self.assertRaises(FileNotFoundError, fail, gid)
            self.assertEqual(os.getegid(), before)

    def test_not_root(self) -> None:
        """Who is not root keeps its group, and is not refused."""
        changed: list[int] = []
        self.patch(os, "geteuid", lambda: 1000)
        self.patch(os, "setegid", changed.append)
        with as_group(os.getegid() + 1):
            self.assertEqual(changed, [])


class GiveUpTests(SynchronousTestCase):
    """The end of a start that went too far to be refused."""

    def give_up(self) -> GivenUp:
        """Give up, and be told so in the log."""
        logged = Logged(self)
        error: GivenUp = self.assertRaises(GivenUp, give_up, "a.b: is wrong; mend it")
        [event] = [event for event in logged.events if event.get("log_namespace") == "docxy.process"]
        self.assertEqual((event["log_level"], event["line"]), (LogLevel.error, "a.b: is wrong; mend it"))
        return error

    def test_ends(self) -> None:
        """It is an exit with status 1 for Python, an error with a text for twistd, and a line on stderr."""
        err = io.StringIO()
        self.patch(sys, "__stderr__", err)
        error = self.give_up()
        self.assertIsInstance(error, SystemExit)
        self.assertIsInstance(error, Exception)
        self.assertEqual((error.code, str(error)), (1, "a.b: is wrong; mend it"))
        self.assertEqual(err.getvalue(), "docxy: a.b: is wrong; mend it\n")

    def test_without_stderr(self) -> None:
        """A process without stderr ends all the same."""
        self.patch(sys, "__stderr__", None)
        self.give_up()


class VersionTests(SynchronousTestCase):
    """What the process is made of."""

    def test_versions(self) -> None:
        """Each part's version begins with a number; the first is docxy's own."""
        found = versions()
        self.assertEqual(list(found), ["version", "python", "twisted", "cryptography", "openssl"])
        self.assertEqual(found["version"], __version__)
        self.assertEqual([one for one in found.values() if not one[0].isdigit()], [])
