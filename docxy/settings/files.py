"""
The files that settings name: whether they can be read, at once and later, and by whom.

Owns which of them are read again while docxy runs.  Knows nothing of what
they hold.  The path of a password file is in no error: who mistakes the
setting for the password itself has it there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from docxy.settings.given import Given
from docxy.settings.values import Settings, SettingsError

MAX_PASSWORD = 4096  # bytes

_REMEDY = "name a file that docxy may read"


def check_files(settings: Settings) -> None:
    """
    See that every file that the settings name is there and can be read, now.

    :raises SettingsError: for the first that cannot.
    """
    named = [("tls.cert", settings.tls.cert), ("tls.key", settings.tls.key), *_authorities(settings)]
    if settings.acme is not None:
        named.append(("acme.ca", settings.acme.ca))
    for key, path in named:
        problem = unreadable(path)
        if problem is not None:
            raise SettingsError(key, problem, _REMEDY)
    for key, path in _password_files(settings):
        _check_password_file(key, path, _REMEDY)


def check_password_files(settings: Settings) -> None:
    """
    See that this process, as the user that it runs as by now, can read the password files.

    :raises SettingsError: for the first that it cannot: they are read for each token.
    """
    for key, path in _password_files(settings):
        _check_password_file(key, path, f"make it readable for {_user()}")


def _check_password_file(key: str, path: str, remedy: str) -> None:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise SettingsError(key, f"the password file cannot be read ({error.strerror})", remedy) from None
    if size > MAX_PASSWORD:
        raise SettingsError(
            key, f"the password file is over {MAX_PASSWORD} bytes", "write the password alone into it"
        )


def password_warnings(settings: Settings, given: Given) -> Iterator[str]:
    """A warning for each password file that every user of this machine may read or change."""
    for key, path in _password_files(settings):
        if os.stat(path).st_mode & 0o007:
            yield f"{given.name(key)}: {path} is open to every user of this machine: chmod 640 {path}"


def reload_warnings(settings: Settings, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """
    One warning, where files that a reload reads cannot be read by the user that this process runs as.

    ``pairs`` are the files of certificates and keys, each after its setting.
    """
    named = [("config", settings.given.file), *pairs, *_authorities(settings)]
    problems = [
        f"{settings.given.name(key)}: {problem}" for key, path in named if (problem := unreadable(path))
    ]
    if problems:
        yield (
            f"{', '.join(dict.fromkeys(problems))}, by {_user()}: "
            "what changes there is not taken over before a restart; make it readable"
        )


def unreadable(path: str | None) -> str | None:
    """Why the file cannot be read; None where it can, or where there is none to read."""
    if path is None:
        return None
    try:
        with open(path, "rb", opener=_open_at_once):
            return None
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a named pipe would wait for its writer


def _authorities(settings: Settings) -> Iterator[tuple[str, str | None]]:
    return ((f"upstream[{each.name}].ca", each.ca) for each in settings.upstreams)


def _password_files(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.acme is not None and settings.acme.eab_hmac_file is not None:
        yield "acme.eab_hmac_file", settings.acme.eab_hmac_file
    for each in settings.upstreams:
        if each.account is not None:
            yield f"upstream[{each.name}].password_file", each.account.password_file


def _user() -> str:
    return f"the user that docxy runs as (uid {os.geteuid()})"
