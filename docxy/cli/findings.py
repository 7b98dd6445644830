"""
What `docxy check` has found: its form as lines, and as JSON.

Owns the three marks and the exit status.  Knows nothing of how things are found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from docxy.settings.values import SettingsError

Check = Literal[
    "settings",
    "certificate",
    "acme",
    "files",
    "listener",
    "name",
    "library",
    "trust roots",
    "upstream",
    "clock",
    "realm",
    "token",
    "quota",
    "manifest",
    "blob",
    "image",
]
"""What is looked at; scripts that read the JSON rely on these words."""


class Mark(Enum):
    """Fine, to be looked at, or wrong; the value is its word in JSON."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


SIGNS: Mapping[Mark, str] = {Mark.OK: "✓", Mark.WARNING: "!", Mark.FAILED: "✗"}
PLAIN: Mapping[Mark, str] = {Mark.OK: "ok", Mark.WARNING: "!!", Mark.FAILED: "XX"}
"""The same for terminals that have no such characters."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that was looked at: ``check`` says what, ``subject`` which one of several.

    ``remedy`` is there wherever something is wrong.
    """

    mark: Mark
    check: Check
    subject: str
    text: str
    remedy: str = ""


def fine(check: Check, subject: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(Mark.OK, check, subject, text)


def warning(check: Check, subject: str, text: str, remedy: str) -> Finding:
    """It works, and should be looked at."""
    return Finding(Mark.WARNING, check, subject, text, remedy)


def failed(check: Check, subject: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Mark.FAILED, check, subject, text, remedy)


def refused(check: Check, error: SettingsError) -> Finding:
    """A setting is wrong."""
    return failed(check, error.key, error.problem, error.remedy)


def warned(check: Check, line: str) -> Finding:
    """A warning of docxy's own, which is ``setting: what; remedy``."""
    subject, _, text = line.partition(": ")
    problem, _, remedy = text.partition("; ")
    return warning(check, subject, problem or line, remedy)


def status(findings: Iterable[Finding]) -> int:
    """The exit status: 1 where something is wrong."""
    return int(any(one.mark is Mark.FAILED for one in findings))


def lines(findings: Sequence[Finding], encoding: str = "utf-8") -> str:
    """A line each, under it the remedy where there is one, in what ``encoding`` can say."""
    signs = SIGNS if _can_say(encoding) else PLAIN
    texts = []
    for one in findings:
        texts.append(f"{signs[one.mark]} {one.check} {one.subject}".rstrip() + f": {one.text}")
        if one.remedy:
            texts.append(f"    remedy: {one.remedy}")
    return "".join(f"{printable(text)}\n" for text in texts)


def document(findings: Sequence[Finding], version: str) -> str:
    """The same as one JSON document."""
    marks = {one.mark for one in findings}
    worst = next((mark for mark in (Mark.FAILED, Mark.WARNING) if mark in marks), Mark.OK)
    checks = [
        {
            "check": one.check,
            "subject": one.subject,
            "result": one.mark.value,
            "text": one.text,
            "remedy": one.remedy or None,
        }
        for one in findings
    ]
    return json.dumps({"docxy": version, "result": worst.value, "checks": checks}, indent=2) + "\n"


def _can_say(encoding: str) -> bool:
    try:
        "".join(SIGNS.values()).encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """Without control characters: what a peer sent must not speak to the terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)
