"""
How events are written: text as twistd writes it, or one JSON object a line.

twistd makes its observer from its own options (``--logfile``, ``--syslog``,
stdout under ``-n``); the same observer is made here, with our format and
level, and handed to twistd as the application's.  Never sees a secret: events
hold none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from fcntl import F_GETFL, F_SETFL, fcntl
from functools import partial
from typing import Any

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    formatEventAsClassicLogText,
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.scripts._twistd_unix import UnixAppLogger

from docxy.process import twistd_options
from docxy.settings.values import LogSettings

ACCESS_KEYS = (
    "client",
    "method",
    "upstream",
    "repository",
    "reference",
    "status",
    "bytes",
    "duration",
    "source",
    "resumes",
    "error",
)

ACCESS = " ".join(f"{{{key}}}" for key in ACCESS_KEYS).replace("{duration}", "{duration:.3f}")
"""A request's event as text."""

Format = Callable[[LogEvent], str | None]

Follow = Callable[[LogSettings], None]
"""Has the log written as other settings say, from the next event on."""


def json_line(event: LogEvent) -> str:
    """``event`` as one line of JSON: the access log's keys, or level, logger and message."""
    time = datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {"time": time}
    if event.get("access"):
        line |= {key: event.get(key) for key in ACCESS_KEYS}
        line["duration"] = round(line["duration"], 3)
    else:
        line["level"] = event["log_level"].name if event.get("log_level") else "info"
        line["logger"] = event.get("log_namespace", "")
        line["message"] = formatEvent(event)
        if "log_failure" in event:
            line["traceback"] = event["log_failure"].getTraceback()
    return json.dumps(line, default=str) + "\n"


def formatter(settings: LogSettings) -> Format:
    """The function that writes an event, or None for one below the level that is wanted."""
    least = LogLevel.levelWithName(settings.level)
    write: Format = json_line if settings.format == "json" else formatEventAsClassicLogText

    def format_event(event: LogEvent) -> str | None:
        level = event.get("log_level")
        return None if level is not None and level < least else write(event)

    return format_event


def install(application: Componentized, settings: LogSettings, argv: list[str]) -> Follow:
    """
    Have twistd, started with ``argv``, write the application's log as ``settings`` say.

    Syslog keeps its own form but for the level, and a ``--logger`` of the operator's stands.
    """
    options = twistd_options(argv)
    if options is None or options.get("logger") is not None:
        return _stand  # not under twistd: who embeds us decides on the log
    # twistd has no public way to say "your observer, but with this format".
    observer = UnixAppLogger(options)._getLogObserver()
    if isinstance(observer, FileLogObserver):
        follow = partial(_reformat, observer)
        if isinstance(observer._outFile, LogFile):
            share(observer._outFile)
    else:  # syslog's
        enough = LogLevelFilterPredicate()
        follow = partial(_refilter, enough)
        observer = FilteringLogObserver(LegacyLogObserverWrapper(observer), [enough])
    follow(settings)
    application.setComponent(ILogObserver, observer)
    return follow


def _stand(_: LogSettings) -> None:
    """Another one's log stays as it is."""


def _reformat(observer: FileLogObserver, settings: LogSettings) -> None:
    observer.formatEvent = formatter(settings)


def _refilter(enough: LogLevelFilterPredicate, settings: LogSettings) -> None:
    enough.setLogLevelForNamespace("", LogLevel.levelWithName(settings.level))


def share(file: Any) -> None:
    """
    Have each line go to the end of ``file``, wherever that is by then.

    Twisted writes on from where it was: while one process hands over to
    another, the one would overwrite what the other writes.  It also begins a
    new file at each megabyte and keeps all: that is logrotate's task.
    """

    def open_at_end() -> None:
        type(file)._openFile(file)
        append()

    def append() -> None:
        fcntl(file._file, F_SETFL, fcntl(file._file, F_GETFL) | os.O_APPEND)

    append()
    file.rotateLength = None
    file._openFile = open_at_end  # called again after each rotation
