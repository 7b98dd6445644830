"""
What the user that the service runs as may do with files: read what is read again, write what is kept.

Asks the kernel as that user, and opens nothing.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from docxy.cli.findings import Finding, failed, fine
from docxy.settings.values import Settings, SettingsError

SERVICE_USER = "docxy"
"""Whom the package's service runs as."""

_FLAGS = {"-r": os.R_OK, "-w": os.W_OK, "-x": os.X_OK}


@dataclass(frozen=True, slots=True)
class User:
    """Whose rights are asked about: those of ``account``; None: of this process."""

    account: pwd.struct_passwd | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return "this user" if self.account is None else self.account.pw_name

    def may(self, access: Literal["-r", "-w", "-x"], path: str) -> bool:
        """Whether it may read, write or enter ``path``."""
        account = self.account
        if account is None or account.pw_uid == os.geteuid():
            return os.access(path, _FLAGS[access], effective_ids=True)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        # test(1) asks the kernel as that user.
        asked = subprocess.run(  # noqa: S603 - no shell, and the path is one argument
            ["/usr/bin/test", access, path], user=account.pw_uid, group=account.pw_gid, extra_groups=groups
        )
        return asked.returncode == 0


def service_user(name: str | None) -> User:
    """
    The user of this name, else the package's where there is one, else whoever runs this.

    :raises SettingsError: there is no such user, or this process may not ask in its name.
    """
    try:
        account = pwd.getpwnam(name or SERVICE_USER)
    except KeyError:
        if name is None:
            return User()
        remedy = "name the one that docxy runs as"
        raise SettingsError("--user", f"there is no user {name}", remedy) from None
    if os.geteuid() in (0, account.pw_uid):
        return User(account)
    if name is None:
        return User()
    raise SettingsError("--user", f"only root can ask for {name}", "run docxy check as root")


def readable_findings(settings: Settings, pairs: Iterable[str], user: User) -> Iterator[Finding]:
    """Whether ``user`` can read what is read again while docxy runs; ``pairs`` are certificates and keys."""
    if user.account is None:
        return
    paths = list(dict.fromkeys((*_named(settings), *pairs)))
    closed = [path for path in paths if not user.may("-r", path)]
    for path in closed:
        remedy = f"chgrp {user.name} {path} && chmod 640 {path}, and let {user.name} enter its folder"
        yield failed("files", path, f"cannot be read by {user.name}, whom docxy runs as", remedy)
    if paths and not closed:
        yield fine("files", "", f"{user.name} can read all {len(paths)}")


def _named(settings: Settings) -> Iterator[str]:
    acme = settings.acme
    yield from filter(None, (settings.given.file, *((acme.ca, acme.eab_hmac_file) if acme else ())))
    for upstream in settings.upstreams:
        yield from filter(None, (upstream.ca,))
        if upstream.account is not None:
            yield upstream.account.password_file
