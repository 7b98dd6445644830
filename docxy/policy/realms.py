"""
May this token server be asked, with the client's credentials?

Owns the pinning of realms: upstream names one in its challenge, and whoever
could forge that would be handed passwords (CVE-2026-33540).  Infers nothing from
domain names.
"""

from __future__ import annotations

from docxy.policy.origins import Origin, UrlRefused, redact
from docxy.registries import KNOWN, canonical
from docxy.settings.values import UpstreamSettings


class RealmRefused(Exception):
    """The realm may not be asked; the text says why, and which setting would allow it."""


def check_realm(realm_url: str, upstream: UpstreamSettings) -> str:
    """
    The realm, as it was given, where it is on upstream's own host, in our table or in the settings.

    Raises `RealmRefused` for every other, for plain HTTP (but on the very
    origin that the settings name), user information and fragments.
    """
    try:
        origin = Origin.of(realm_url)
    except UrlRefused as refused:
        raise RealmRefused(_refusal(upstream, realm_url, str(refused))) from None
    own = [Origin.of(upstream.urls[-1])]  # the registry itself: what stands before it are mirrors of it
    if "#" in realm_url:
        raise RealmRefused(_refusal(upstream, realm_url, "a fragment"))
    if origin.scheme != "https" and origin not in own:
        raise RealmRefused(_refusal(upstream, realm_url, "not https"))
    if origin.host not in {allowed.host for allowed in (*own, *_pinned(upstream, own))}:
        raise RealmRefused(_refusal(upstream, realm_url, "another host than the registry's own"))
    return realm_url


def _pinned(upstream: UpstreamSettings, own: list[Origin]) -> list[Origin]:
    """The realms of the settings, and of the known registries that upstream's URLs lead to."""
    known = (KNOWN.get(canonical(origin.host)) for origin in own if origin.scheme == "https")
    realms = [upstream.realm, *(registry.realm for registry in known if registry)]
    return [Origin.of(realm) for realm in realms if realm]


def _refusal(upstream: UpstreamSettings, realm_url: str, problem: str) -> str:
    shown = redact(realm_url)
    return (
        f"token server {shown} of upstream {upstream.name} is refused: {problem}; "
        f'if it is the right one, set realm = "https://…" in that [[upstream]]'
    )
