"""
Whom the authority's own TLS is believed by.

Knows nothing of the library, which need not be installed.
"""

from __future__ import annotations

import ssl

from docxy.settings.values import SettingsError


def trust(ca: str | None) -> ssl.SSLContext:
    """
    What an authority's TLS is judged by: the system's roots, and those in the file ``ca``.

    :raises SettingsError: it cannot be read, or holds none.
    """
    context = ssl.create_default_context()
    # Python 3.13 began to refuse chains without key identifiers, which private authorities are known to
    # make; an upgrade of Python must not end renewals, and upstreams are judged without it as well.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except OSError as error:  # ssl.SSLError is one
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        problem = f"{ca!r} cannot be used ({reason})"
        raise SettingsError("acme.ca", problem, "name a PEM file that docxy's user can read") from None
    return context
