"""How events are written."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    globalLogPublisher,
)
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.scripts._twistd_unix import ServerOptions, UnixAppLogger
from twisted.trial.unittest import SynchronousTestCase

from docxy.log import ACCESS_KEYS, formatter, install, json_line
from docxy.settings.values import LogSettings

ACCESS: dict[str, Any] = {
    "client": "192.0.2.1",
    "method": "GET",
    "upstream": "docker.io",
    "repository": "library/alpine",
    "reference": "latest",
    "status": 200,
    "bytes": 12,
    "duration": 0.123456,
    "source": "relay",
    "resumes": 0,
    "error": "-",
}


def event(text: str = "hello", level: Any = LogLevel.info, **more: Any) -> LogEvent:
    """An event as `Logger` makes it."""
    return {"log_time": 0.5, "log_level": level, "log_namespace": "a.b", "log_format": text, **more}


class JsonTests(SynchronousTestCase):
    """One object a line."""

    def test_access(self) -> None:
        """A request's event has time and its eleven keys, in this order, and no other."""
        line = json_line(event("{client}", access=True, **ACCESS))
        found = json.loads(line)
        self.assertEqual(tuple(found), ("time", *ACCESS_KEYS))
        self.assertEqual(found["time"], "1970-01-01T00:00:00.500+00:00")
        self.assertEqual(found["duration"], 0.123)
        self.assertEqual({**found, "duration": 0.123456, "time": ""}, {**ACCESS, "time": ""})

    def test_other(self) -> None:
        """Any other event has level, logger and message."""
        found = json.loads(json_line(event("{what} happened", LogLevel.warn, what="it")))
        wanted = {"level": "warn", "logger": "a.b", "message": "it happened"}
        self.assertEqual({key: found[key] for key in found if key != "time"}, wanted)
        bare = json.loads(json_line({"log_time": 0.0, "log_format": "x"}))
        self.assertEqual((bare["level"], bare["logger"], bare["message"]), ("info", "", "x"))

    def test_one_line(self) -> None:
        """Whatever an event holds, it is one line of JSON."""
        for text in ("two\nlines", "\r\n\x1b[0m\0", "\ud800", '"quotes"', "\u2028"):
            line = json_line(event("{what}", what=text))
            self.assertEqual((line.count("\n"), line[-1]), (1, "\n"))
            self.assertEqual(json.loads(line)["message"], text)
        strange: dict[str, Any] = {**ACCESS, "error": object()}
        self.assertIn("object", json.loads(json_line(event(access=True, **strange)))["error"])

    def test_failure(self) -> None:
        """A failure's traceback is a field."""
        try:
            raise ValueError("a bug")
        except ValueError:
            line = json_line(event("failed", LogLevel.critical, log_failure=Failure()))
        self.assertIn("ValueError: a bug", json.loads(line)["traceback"])
        self.assertEqual(line.count("\n"), 1)


class FormatterTests(SynchronousTestCase):
    """Format and level."""

    def test_level(self) -> None:
        """Events below the level are not written; those without one are."""
        for level, written in (("debug", 5), ("info", 4), ("warn", 3), ("error", 2)):
            write = formatter(LogSettings(level=cast("Any", level)))
            found = [write(event(level=one)) for one in LogLevel.iterconstants()]
            self.assertEqual(sum(text is not None for text in found), written)
            self.assertIsNotNone(write({"log_time": 0.0, "log_format": "x"}))

    def test_format(self) -> None:
        """Text is as twistd writes it, JSON is JSON."""
        text = formatter(LogSettings())(event()) or ""
        self.assertRegex(text, r"\[a\.b#info\] hello\n$")
        line = formatter(LogSettings(format="json"))(event()) or ""
        self.assertEqual(json.loads(line)["message"], "hello")


class InstallTests(SynchronousTestCase):
    """The observer that twistd is given."""

    JSON = LogSettings(format="json", level="warn")

    def installed(self, *argv: str, settings: LogSettings = JSON) -> Any:
        """The observer after ``twistd`` was started with ``argv``, None where it is twistd's own."""
        application = Componentized()
        install(application, settings, ["twistd", *argv])
        return application.getComponent(ILogObserver, None)

    def test_stdout(self) -> None:
        """Under ``-n`` it writes to stdout, in our format and from our level on."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        observer = self.installed("-n")
        self.assertIsInstance(observer, FileLogObserver)
        observer(event("quiet"))
        observer(event("loud", LogLevel.error))
        self.assertEqual([json.loads(line)["message"] for line in out.getvalue().splitlines()], ["loud"])

    def test_file(self) -> None:
        """With ``--logfile`` it writes there."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "docxy.log")
        observer = self.installed("--logfile", str(path))
        self.addCleanup(observer._outFile.close)
        observer(event("loud", LogLevel.error))
        self.assertEqual(json.loads(path.read_text())["message"], "loud")

    def test_shared_file(self) -> None:
        """Two processes may write to one file: each line goes to its end, after a rotation as well."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "docxy.log")
        old = self.installed("--logfile", str(path))
        for _ in range(2):
            new = self.installed("--logfile", str(path))
            for observer in (old, new, old):
                observer(event("loud", LogLevel.error))
            self.assertEqual(len(path.read_text().splitlines()), 3)
            new._outFile.close()
            old._outFile.rotate()
        old._outFile.close()

    def test_no_rotation(self) -> None:
        """The file is never moved away, however large; and emptied, it is written from its beginning."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "docxy.log")
        observer = self.installed("--logfile", str(path))
        observer(event("x" * 3_000_000, LogLevel.error))
        observer(event("last", LogLevel.error))
        self.assertEqual(list(path.parent.iterdir()), [path])
        os.truncate(path, 0)
        observer(event("first", LogLevel.error))
        self.assertEqual(json.loads(path.read_text())["message"], "first")
        observer._outFile.close()

    def test_default(self) -> None:
        """Debug events are left out where nothing is said."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        observer = self.installed("-n", settings=LogSettings())
        observer(event("quiet", LogLevel.debug))
        observer(event("loud"))
        self.assertRegex(out.getvalue(), r"^[^\n]*loud\n$")

    def test_syslog(self) -> None:
        """Syslog keeps its form, from our level on."""
        observer = self.installed("--syslog")
        self.assertIsInstance(observer, FilteringLogObserver)
        emitted: list[Any] = []
        self.patch(observer._observer, "legacyObserver", emitted.append)
        for level in (LogLevel.info, LogLevel.error):
            observer({**event("loud", level), "log_logger": Logger(), "log_source": None})
        self.assertEqual(len(emitted), 1)

    def test_syslog_level(self) -> None:
        """Its level changes while it is written, too."""
        application = Componentized()
        follow = install(application, self.JSON, ["twistd", "--syslog"])
        observer: Any = application.getComponent(ILogObserver)
        emitted: list[Any] = []
        self.patch(observer._observer, "legacyObserver", emitted.append)
        for level in ("error", "debug"):
            follow(LogSettings(level=cast("Any", level)))
            observer({**event("loud", LogLevel.warn), "log_logger": Logger(), "log_source": None})
        self.assertEqual(len(emitted), 1)

    def test_logger_of_the_operator(self) -> None:
        """A ``--logger`` stands."""
        argv = ("--logger", "twisted.logger.globalLogPublisher")
        self.assertIsNone(self.installed(*argv))
        install(Componentized(), self.JSON, ["twistd", *argv])(LogSettings())
        self.assertIsNotNone(globalLogPublisher)

    def test_reactor(self) -> None:
        """With a reactor chosen the format is ours all the same."""
        for reactor in ("epoll", "select"):
            self.assertIsInstance(self.installed("-n", f"--reactor={reactor}"), FileLogObserver)

    def test_elsewhere(self) -> None:
        """What is no twistd decides itself."""
        self.assertIsNone(self.installed("--no-such-option"))
        self.assertIsNone(self.installed("--help"))

    def test_private_names(self) -> None:
        """What this code takes from inside twistd is still there."""
        self.assertTrue(callable(UnixAppLogger._getLogObserver))
        self.assertIn("logger", ServerOptions())
        observer = UnixAppLogger(ServerOptions() | {"nodaemon": True})._getLogObserver()
        self.assertTrue(callable(observer.formatEvent))
