"""
What can be looked at where docxy obtains its certificate: what it keeps, who issues, how names are proved.

Orders nothing and makes nothing.  Whether the authority reaches this machine
the authority alone can tell: what it said of that is in docxy's log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from docxy.acme.binding import read_hmac
from docxy.acme.challenges import HTTP, KINDS, TLS, Challenges
from docxy.acme.outcome import Offer, Refused
from docxy.acme.renewal import life_of
from docxy.acme.state import State, Trouble
from docxy.cli.files import User
from docxy.cli.findings import Finding, failed, fine, refused, warning
from docxy.policy.renewals import renew_at
from docxy.settings.values import AcmeSettings, ServerSettings, SettingsError
from docxy.tls.certificates import CertificatePair, covers, load_files
from docxy.tls.endpoints import is_tls, port_of

PORTS = {HTTP: 80, TLS: 443}
"""Where authorities look for each proof (RFC 8555 section 8.3, RFC 8737 section 3)."""

_LOG = "its log says why: acme: no new certificate for ..."
_SHOWN_PROFILES = 8


# What is kept


def kept_findings(acme: AcmeSettings, now: datetime, user: User) -> Iterator[Finding]:
    """The folder, the account and the certificate; ``user`` is whom docxy runs as."""
    state = State(acme)
    folder = Path(state.pair.cert).parent
    there = next(str(one) for one in (folder, *folder.parents) if os.path.exists(one))
    if not os.access(there, os.R_OK | os.X_OK):
        yield warning("acme", "state", f"{there} cannot be looked at by this user", "run docxy check as root")
        return
    yield _folder(acme, there, sorted(map(str, folder.glob("[!.]*"))), user)
    account = state.account()
    text = "none yet: it is made with the first order" if account is None else account.url
    yield fine("acme", "account", text)
    if acme.eab_hmac_file is not None:
        try:
            read_hmac(acme.eab_hmac_file)
        except SettingsError as error:
            yield refused("acme", error)
    yield _certificate(acme, state, now)


def _folder(acme: AcmeSettings, there: str, files: list[str], user: User) -> Finding:
    """Whether docxy can keep things: ``there`` is as much of the folder as is there, ``files`` are in it."""
    closed = [path for path in files if not user.may("-r", path)]
    closed += [] if user.may("-w", there) and user.may("-x", there) else [there]
    if not closed:
        return fine("acme", "state", f"{user.name} can keep account and certificate in {acme.state}")
    text = f"{closed[0]} is closed to {user.name}"
    if user.account is None:
        return warning("acme", "state", text, "right if docxy runs as another: run docxy check as root")
    if os.path.isdir(acme.state):
        remedy = f"give it to whom docxy runs as: chown -R {user.name} {acme.state}"
    else:
        remedy = f"make it for docxy's user: install -d -m 700 -o {user.name} {acme.state}"
    return failed("acme", "state", text, remedy)


def _certificate(acme: AcmeSettings, state: State, now: datetime) -> Finding:
    trouble = state.trouble(acme.domains)
    try:
        pair = load_files(state.pair, now=now)
    except SettingsError as error:
        why = f" ({error.problem})" if os.path.exists(state.pair.cert) else ""
        text = f"awaited: what docxy shows until it is there clients refuse{why}"
        if trouble is None:
            remedy = f"start docxy; if it stays so for some minutes, {_LOG}"
            return warning("acme", "certificate", text, remedy)
        return failed("acme", "certificate", f"{text}; {_tries(trouble)}", _AGAIN)
    return _obtained(acme, pair, trouble)


def _obtained(acme: AcmeSettings, pair: CertificatePair, trouble: Trouble | None) -> Finding:
    missing = [name for name in acme.domains if not covers(pair.names, name)]
    if trouble is not None:
        return warning("acme", "certificate", f"no new one is to be had; {_tries(trouble)}", _AGAIN)
    if missing:
        text = f"a new one is awaited, for {', '.join(missing)}"
        return warning("acme", "certificate", text, f"restart docxy; if it stays so, {_LOG}")
    due = datetime.fromtimestamp(renew_at(life_of(pair), None, 0), UTC)
    return fine("acme", "certificate", f"obtained; the next about {due:%Y-%m-%d}, or when the authority says")


_AGAIN = f"{_LOG}; mend that, and send docxy SIGHUP: it tries at once then"


def _tries(trouble: Trouble) -> str:
    tries = "1 try has" if trouble.failures == 1 else f"{trouble.failures} tries have"
    return f"{tries} failed, the next is at {datetime.fromtimestamp(trouble.due, UTC):%Y-%m-%d %H:%M} UTC"


# How names are proved


def proof_finding(server: ServerSettings) -> Finding:
    """Whether docxy listens where the authority looks, as far as the ports of its listeners tell."""
    by_kind = {HTTP: server.redirect, TLS: [text for text in server.listen if is_tls(text)]}
    found = [
        f"{kind} by {text}"
        for kind, texts in by_kind.items()
        for text in texts
        if port_of(text) in (PORTS[kind], None)  # None: whoever opened it knows
    ]
    if found:
        return fine("acme", "proofs", ", ".join(found))
    ports = [str(PORTS[kind]) for kind, texts in by_kind.items() if texts]
    text = f"the authority asks port {' or '.join(ports)}, and no listener is there"
    here = ", ".join((*by_kind[HTTP], *by_kind[TLS]))
    return warning("acme", "proofs", text, f"forward one of them to its listener ({here}), or listen there")


# Who issues


def offer_of(acme: AcmeSettings) -> Offer:
    """
    What the authority says of itself; blocks.

    :raises Refused: it cannot be asked.
    """
    from docxy.acme.authority import Authority  # its library need not be installed

    return Authority(acme, State(acme), Challenges(lambda: datetime.now(UTC)), KINDS).offer()


def authority_findings(acme: AcmeSettings, ask: Callable[[AcmeSettings], Offer]) -> list[Finding]:
    """Whether the authority can be met, and would serve these settings; blocks."""
    try:
        offer = ask(acme)
    except Refused as error:
        return [failed("acme", acme.directory, str(error), _remedy(str(error), acme))]
    found = [fine("acme", acme.directory, "answers, TLS is right")]
    if offer.is_bound and acme.eab_kid is None:
        remedy = "set acme.eab_kid and acme.eab_hmac_file"
        found.append(failed("acme", "acme.eab_kid", "the authority wants to know your account there", remedy))
    if acme.profile is not None and acme.profile not in offer.profiles:
        listed = ", ".join(offer.profiles[:_SHOWN_PROFILES]) or "none"
        remedy = f"choose one that it lists ({listed}), or remove the key"
        found.append(failed("acme", "acme.profile", f"the authority lists no {acme.profile}", remedy))
    return found


def _remedy(problem: str, acme: AcmeSettings) -> str:
    if "certificate verify failed" in problem:
        return (
            'for an authority of your own set ca = "FILE" in [acme]; else see the clock and ca-certificates'
        )
    return f"see that this machine reaches it: curl -v {acme.directory}"
