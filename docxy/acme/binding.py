"""
The secret that binds our account to one that the operator has with the authority (RFC 8555 section 7.3.4).

Never shows what the file holds.
"""

from __future__ import annotations

import re

from docxy.settings.files import MAX_PASSWORD
from docxy.settings.values import SettingsError

_BASE64URL = re.compile(r"[A-Za-z0-9_-]{16,1024}={0,2}")


def read_hmac(path: str) -> str:
    """
    The key in the file, as authorities show it: base64url, here without its ``=``.

    :raises SettingsError: it cannot be read, or holds something else.
    """
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(MAX_PASSWORD).strip()
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})"
        raise SettingsError("acme.eab_hmac_file", problem, "let docxy's user read it") from None
    except UnicodeDecodeError:
        text = ""
    if not _BASE64URL.fullmatch(text):
        raise SettingsError(
            "acme.eab_hmac_file",
            "the file does not hold a key in base64url",
            "write the HMAC key into it as the authority shows it, and nothing else",
        )
    return text.rstrip("=")
