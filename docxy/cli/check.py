"""
``docxy check``: everything that a pull needs, looked at once.

Owns the order, and the bound on the whole.  How each thing is looked at is
its neighbours' affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from docxy.acme.thread import in_thread
from docxy.cli import acme, machine
from docxy.cli.files import User, readable_findings, service_user
from docxy.cli.findings import Finding, failed, refused
from docxy.cli.libraries import library_findings
from docxy.cli.listeners import listener_findings
from docxy.cli.probe import Probe
from docxy.cli.samples import Sample, samples
from docxy.interfaces import Clocks, UpstreamTimedOut
from docxy.settings.values import Settings, SettingsError, UpstreamSettings
from docxy.tls.client import ClientTrust
from docxy.upstream.agent import make_agent
from docxy.upstream.authority import AuthoritySource
from docxy.upstream.fetch import Upstream, within
from docxy.upstream.ledger import TokenLedger
from docxy.upstream.tokens import TokenSource

LIMIT = 45.0  # seconds for one upstream; all are tried at one time


async def check(
    reactor: Any, read: Callable[[], Settings], images: Sequence[str] = (), user: str | None = None
) -> list[Finding]:
    """
    All findings for the settings that ``read`` gives, or why there are none.

    ``images`` take the place of those that upstreams are tried with; ``user``
    is whom the service runs as.

    :raises SettingsError: one of ``images`` is none, or ``user`` is nobody to ask for.
    """
    whose = service_user(user)
    try:
        settings = read()
    except SettingsError as error:
        return [refused("settings", error)]
    chosen = samples(settings.upstreams, images)
    asked = [Deferred.fromCoroutine(_upstream(reactor, settings, one, chosen)) for one in settings.upstreams]
    here = await _here(reactor, settings, whose)
    there = await gatherResults(asked, consumeErrors=True)
    return [*here, *(finding for findings in there for finding in findings)]


async def _here(reactor: Any, settings: Settings, user: User) -> list[Finding]:
    now = datetime.now(UTC)
    found = list(machine.settings_findings(settings))
    certificates = None
    try:
        certificates = machine.certificates_of(settings, now)
    except SettingsError as error:
        found.append(refused("certificate", error.as_given(settings.given)))
    pairs: list[str] = []
    names: tuple[str, ...] = ()
    if certificates is not None:
        listeners = await listener_findings(reactor, settings, certificates)
        found += [*machine.certificate_findings(certificates, settings, now), *listeners]
        found += await _obtaining(reactor, settings, now, user)
        pairs += [path for key, path in certificates.files() if key != "acme.state"]
        names = certificates.names()
    found += readable_findings(settings, pairs, user)
    found += await machine.name_findings(reactor, settings, names)
    return [*found, *library_findings(now)]


async def _obtaining(reactor: Any, settings: Settings, now: datetime, user: User) -> list[Finding]:
    """Where docxy obtains its certificate by itself: what belongs to that."""
    wanted = settings.acme
    if wanted is None:
        return []
    found = [*acme.kept_findings(wanted, now, user), acme.proof_finding(settings.server)]

    async def asked() -> list[Finding]:
        # A thread of its own: the process's end does not wait for it.
        return await in_thread(reactor, partial(acme.authority_findings, wanted, acme.offer_of))

    try:
        return found + await within(LIMIT, reactor, asked())
    except UpstreamTimedOut as error:
        remedy = f"see how fast it is from here: curl -v {wanted.directory}"
        return [*found, failed("acme", wanted.directory, str(error), remedy)]


async def _upstream(
    reactor: Any, settings: Settings, one: UpstreamSettings, chosen: Mapping[str, Sample]
) -> list[Finding]:
    try:
        probe = make_probe(reactor, settings, one, chosen.get(one.name))
    except SettingsError as error:
        return [refused("upstream", error.as_given(settings.given))]
    try:
        return await within(LIMIT, reactor, probe.run())
    except UpstreamTimedOut as error:
        text, remedy = str(error), f"see how fast it is from here: curl -v {one.urls[-1]}/v2/"
        return [*probe.found, failed("upstream", one.name, text, remedy)]


def make_probe(reactor: Any, settings: Settings, one: UpstreamSettings, sample: Sample | None) -> Probe:
    """
    The trial of one upstream, by the parts that a mirror has for it.

    :raises SettingsError: its trust root cannot be read.
    """
    clocks = Clocks(reactor, time)
    trust = ClientTrust(one.ca, setting=f"upstream[{one.name}].ca")
    agent = make_agent(reactor, one, trust)
    limits = settings.limits

    def way(urls: tuple[str, ...]) -> Upstream:
        return Upstream(replace(one, urls=urls), limits, agent, reactor)

    upstream = way(one.urls)
    tokens = TokenSource(
        one,
        limits,
        agent,
        AuthoritySource(one, upstream, reactor),
        TokenLedger(),
        clocks,
    )
    return Probe(one, {url: way((url,)) for url in one.urls}, upstream, tokens, sample, time)
