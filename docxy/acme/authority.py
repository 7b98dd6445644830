"""
One conversation with a certificate authority: its directory, our account, an order, a renewal's date.

Owns the order of the steps (RFC 8555 section 7).  Everything here blocks and
runs in a thread of its own; the reactor must not meet it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from acme import challenges, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.b64 import b64encode
from josepy.jwk import JWKEC

from docxy.acme.binding import read_hmac
from docxy.acme.challenges import Challenges
from docxy.acme.client import Client
from docxy.acme.keys import new_key, pem_of, renewal_id, signing_request
from docxy.acme.network import Network
from docxy.acme.outcome import Issued, Offer, Refused, Unproved
from docxy.acme.refusal import EXPECTED, kind_of, problem_of, words
from docxy.acme.state import Account, State
from docxy.policy.renewals import Suggestion
from docxy.policy.retry import told_wait
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import PrivateKey, covers, names_of

DECIDE = timedelta(seconds=180)  # for all that an authority has to look at and to sign

_ACCOUNT_KEY = "ec256"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,512}")  # RFC 8555 section 8.3: base64url, at least 128 bits


class Authority:
    """
    Speaks to the authority of ``settings``.

    ``kinds`` are the challenges that can be met, the first to be tried first.
    """

    def __init__(
        self, settings: AcmeSettings, state: State, pending: Challenges, kinds: Sequence[str]
    ) -> None:
        self.network: Callable[[JWKEC, str, str | None], Network] = Network
        self._settings = settings
        self._state = state
        self._pending = pending
        self._kinds = kinds

    def obtain(self, old: x509.Certificate | None) -> Issued:
        """
        A new certificate for all names, which replaces the ``old`` one if there is one.

        :raises Refused: there is none.
        """
        settings = self._settings
        key = new_key(settings.key_type)
        request = signing_request(key, settings.domains)
        account = self._state.account()
        pem = account.key if account else self._state.account_key() or pem_of(new_key(_ACCOUNT_KEY))
        failed: list[Unproved] = []
        with self._conversation(JWKEC(key=load_pem_private_key(pem, None))) as client:
            self._enter(client, account, pem)
            replaces = self._replaced(client, old)
            for kind in self._kinds:
                try:
                    with self._telling(client.net):
                        chain = self._issued(client, request, kind, replaces)
                except Unproved as error:
                    failed.append(error)
                else:
                    _check(chain, key, settings.domains)
                    return Issued(chain, pem_of(key))
        raise Refused("; ".join(map(str, failed)), failed[-1].retry_after)

    def suggestion(self, leaf: x509.Certificate) -> Suggestion | None:
        """
        When the authority wants this certificate renewed (RFC 9773); None where it does not say.

        :raises Refused: it cannot be asked.
        """
        name = renewal_id(leaf)
        who = JWKEC(key=new_key(_ACCOUNT_KEY))  # who asks need not sign
        with self._conversation(who) as client, self._telling(client.net):
            base = _renewal_info(client)
            if name is None or base is None:
                return None
            answer = client.net.get(f"{base.rstrip('/')}/{name}")
            said = answer.json()
            start, end = (_moment(said["suggestedWindow"][one]) for one in ("start", "end"))
            told = told_wait(answer.headers.get("Retry-After"), answer.headers.get("Date"))
            why = said.get("explanationURL")
            return Suggestion.of(start, end, told, words(why) if isinstance(why, str) else None)

    def offer(self) -> Offer:
        """
        What the directory says of the authority; asked without an account.

        :raises Refused: it cannot be asked, or is no authority's.
        """
        who = JWKEC(key=new_key(_ACCOUNT_KEY))
        with self._conversation(who) as client, self._telling(client.net):
            client.directory["newOrder"]  # what is no directory ends here
            profiles = client.directory.meta.profiles or {}
            return Offer(bool(client.external_account_required()), tuple(map(words, profiles)))

    @contextmanager
    def _telling(self, net: Network) -> Iterator[None]:
        """Whatever goes wrong in this block is raised as `Refused`."""
        try:
            yield
        except errors.ValidationError as error:
            raise Unproved(problem_of(error), net.adapter.told) from None
        except EXPECTED as error:
            if isinstance(error, messages.Error) and error.code == "accountDoesNotExist":
                self._state.forget_account()  # the next try makes a new one
            raise Refused(problem_of(error), net.adapter.told) from None

    @contextmanager
    def _conversation(self, key: JWKEC) -> Iterator[Client]:
        """One, which knows the authority's directory and signs with this key."""
        try:
            net = self.network(key, self._settings.directory, self._settings.ca)
        except SettingsError as error:
            raise Refused(str(error)) from None
        with net:
            with self._telling(net):
                client = Client(Client.get_directory(self._settings.directory, net), net)
            yield client

    # The account

    def _enter(self, client: Client, account: Account | None, key: bytes) -> None:
        """Let the client know our account, which is made where there is none."""
        if account is None:
            self._state.keep_account_key(key)
            with self._telling(client.net):
                account = Account(self._register(client), key)
            self._state.keep_account(account)
        client.net.account = messages.RegistrationResource(uri=account.url, body=messages.Registration())

    def _register(self, client: Client) -> str:
        """Make the account: its URL."""
        settings = self._settings
        if client.external_account_required() and settings.eab_kid is None:
            raise Refused(
                "the authority wants to know your account there: set acme.eab_kid and acme.eab_hmac_file"
            )
        wanted = messages.NewRegistration.from_data(
            email=settings.email,
            terms_of_service_agreed=True,  # acme.agree_tos: nothing starts without it
            external_account_binding=self._binding(client),
        )
        return client.made_account(wanted)

    def _binding(self, client: Client) -> dict[str, Any] | None:
        settings = self._settings
        if settings.eab_kid is None or settings.eab_hmac_file is None:
            return None
        try:
            secret = read_hmac(settings.eab_hmac_file)
        except SettingsError as error:
            raise Refused(str(error)) from None
        public = client.net.jwk.public_key()
        return messages.ExternalAccountBinding.from_data(public, settings.eab_kid, secret, client.directory)

    # The order

    def _replaced(self, client: Client, old: x509.Certificate | None) -> str | None:
        """What an authority with RFC 9773 calls the certificate that the next one replaces."""
        if old is None or _renewal_info(client) is None:
            return None
        names = names_of(old)
        return renewal_id(old) if any(covers(names, name) for name in self._settings.domains) else None

    def _issued(self, client: Client, request: bytes, kind: str, replaces: str | None) -> bytes:
        """The chain for ``request``, once all names are proved by challenges of this kind."""
        order = self._proved_order(client, request, kind, replaces)
        until = datetime.now() + DECIDE  # noqa: DTZ005 - the library compares it with such a time
        chain: str = client.finalize_order(order, until).fullchain_pem
        return chain.encode("ascii")

    def _proved_order(
        self, client: Client, request: bytes, kind: str, replaces: str | None
    ) -> messages.OrderResource:
        order = client.order(request, self._settings.domains, self._settings.profile, replaces)
        with ExitStack() as shown:
            for authorization in order.authorizations:
                if authorization.body.status == messages.STATUS_PENDING:
                    self._answer(client, authorization, kind, shown)
            until = datetime.now() + DECIDE  # noqa: DTZ005 - the library compares it with such a time
            return client.poll_authorizations(order, until)

    def _answer(
        self, client: Client, authorization: messages.AuthorizationResource, kind: str, shown: ExitStack
    ) -> None:
        name = authorization.body.identifier.value
        if not covers(self._settings.domains, name):
            raise Refused(f"the authority wants a proof for {words(name)}, which was not ordered")
        found = [one for one in authorization.body.challenges if kind_of(one) == kind]
        if not found:
            raise Unproved(f"{words(name)}: the authority does not offer {kind}")
        token = found[0].chall.to_partial_json()["token"]
        if not _TOKEN.fullmatch(token):
            raise Refused("the authority's token has not the form that it should have")
        thumbprint = b64encode(client.net.jwk.thumbprint()).decode("ascii")
        proof = f"{token}.{thumbprint}"
        shown.enter_context(self._pending.published(kind, name, proof))
        # Sent as an object without fields, which is what both kinds are answered by.
        client.answer_challenge(found[0], challenges.HTTP01Response(key_authorization=proof))


def _renewal_info(client: Client) -> str | None:
    """Where renewals are asked for; None where the authority has no RFC 9773."""
    found = client.directory.to_partial_json().get("renewalInfo")
    return found if isinstance(found, str) else None


def _moment(text: str) -> float:
    """A time of RFC 3339, in seconds since the epoch."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found.astimezone(UTC).timestamp()


def _check(chain: bytes, key: PrivateKey, names: Sequence[str]) -> None:
    """Refuse what could not serve, before it takes the place of what does."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        fits = leaf.public_key() == key.public_key()
    except ValueError:
        raise Refused("what the authority issued is no certificate") from None
    missing = [name for name in names if not covers(names_of(leaf), name)]
    if missing or not fits:
        what = f"for {', '.join(missing)}" if missing else "for our key"
        raise Refused(f"the authority issued a certificate that is not {what}")
