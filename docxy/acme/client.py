"""
The library's client, with what it lacks: orders that say what they replace, and patience within bounds.

Owns the words of a new order.  Blocks, in the thread of an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

import requests
from acme import errors, messages
from acme.client import ClientV2
from josepy.json_util import field

from docxy.acme.network import Network, origin_of
from docxy.acme.outcome import Refused
from docxy.policy.retry import told_wait

_LONGEST_PAUSE = 30.0  # seconds between two looks at an order
_NOT_REPLACED = ("alreadyReplaced", "malformed", "unauthorized", "notFound")
"""How an authority refuses an order for what it replaces: it is not known, or another account's."""


class _Order(messages.NewOrder):
    """
    A new order.

    ``replaces`` is the certificate that it renews (RFC 9773 section 5): limits for new ones do not hold.
    """

    replaces: str | None = field("replaces", omitempty=True)


class Client(ClientV2):
    """The library's client, on our network."""

    net: Network

    @classmethod
    def retry_after(cls, response: requests.Response, default: int) -> datetime:
        """
        When to look at an order again.

        Not the inherited one: it takes dates for local time, and an authority may have it ask without a
        pause.
        """
        told = told_wait(response.headers.get("Retry-After"), response.headers.get("Date"))
        pause = min(max(told or 0.0, float(default)), _LONGEST_PAUSE)
        return datetime.now() + timedelta(seconds=pause)  # noqa: DTZ005 - the library compares it with such a time

    def made_account(self, wanted: messages.NewRegistration) -> str:
        """
        Make the account, unless the authority knows one of this key: its URL.

        :raises Refused: it gives none.
        """
        try:
            url = self.new_account(wanted).uri
        except errors.ConflictError as known:
            url = known.location
        if not isinstance(url, str) or origin_of(url) != self.net.origin:
            raise Refused("the authority does not say where our account is")
        return url

    def order(
        self, request: bytes, names: Sequence[str], profile: str | None, replaces: str | None
    ) -> messages.OrderResource:
        """
        Order what ``request`` (PKCS#10, PEM) asks for, for these names.

        An authority that does not take ``replaces`` is asked for an order like any other.
        """
        wanted = _Order(identifiers=tuple(map(_identifier, names)), profile=profile, replaces=replaces)
        try:
            answer = self._post(self.directory["newOrder"], wanted)
        except (errors.ConflictError, messages.Error) as error:
            if replaces is None or not _is_for_what_it_replaces(error):
                raise
            return self.order(request, names, profile, None)
        body = messages.Order.from_json(answer.json())
        if len(body.authorizations) > len(names):
            raise ValueError("more authorizations than names")
        return messages.OrderResource(
            body=body,
            uri=answer.headers.get("Location"),
            authorizations=[
                self._authzr_from_response(self._post_as_get(url), uri=url) for url in body.authorizations
            ],
            csr_pem=request,
        )


def _identifier(name: str) -> messages.Identifier:
    try:
        return messages.Identifier(typ=messages.IDENTIFIER_IP, value=str(ip_address(name)))
    except ValueError:
        return messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name)


def _is_for_what_it_replaces(error: errors.ConflictError | messages.Error) -> bool:
    # The library tells of a 409, which is what RFC 9773 section 5 asks for, without its problem.
    return isinstance(error, errors.ConflictError) or str(error.typ).rpartition(":")[2] in _NOT_REPLACED
