"""
What each client, each key and all of them use, live.

Owns the moments: when counts are looked at, warned of and kept in their file.
Decisions are those of `docxy.policy.rates` and `docxy.policy.budget`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from docxy.interfaces import Clocks
from docxy.policy.budget import MonthlyCounts, budgets
from docxy.policy.rates import Pace, Rates
from docxy.settings.values import AccessSettings
from docxy.usage import state

LOOK = 10.0  # seconds between looks at what running transfers have sent
KEEP = 60.0  # seconds, at least, between two writings of the file

_log = Logger()


class Usage:
    """
    Counts against ``access``, and keeps the month's bytes in its ``state`` file where there is a budget.

    A reload brings other settings, and changes no count.
    """

    def __init__(self, access: AccessSettings, clocks: Clocks) -> None:
        self._access = access
        self._clocks = clocks
        self._clock = clocks.steady
        self._rates = Rates(access, self._clock.seconds())
        self._counts = MonthlyCounts()
        self._settle: Callable[[], None] = _nothing
        self._kept_at = 0.0
        self._unkept = ""  # why the file could not be written the last time
        self._looks = LoopingCall(self._look)
        self._looks.clock = self._clock

    def renew(self, access: AccessSettings) -> None:
        """Count by these settings from now on."""
        if access.state != self._access.state:
            self._counts.move()
        self._access = access
        self._rates.renew(access, self._clock.seconds())
        if self._looks.running:
            self._keep()

    # Of one client

    def admit(self, client: str, key: str, *, is_stranger: bool = False) -> None:
        """
        Count a request of a client's `docxy.policy.addresses.bucket`, or raise a 429 `RegistryError`.

        A stranger shows no secret where there is one.
        """
        self._rates.admit(client, key, self._clock.seconds(), is_stranger=is_stranger)

    def check_budget(self, key: str) -> None:
        """Raise a 503 `RegistryError` where no more may be sent this month."""
        self._counts.check(key, self._access, self._clocks.wall())

    def pace(self, client: str, key: str) -> Pace | None:
        """What a transfer's bytes are drawn from; None: it may go as fast as it can."""
        return self._rates.pace(client, key, self._clock.seconds())

    def sent(self, key: str, size: int) -> None:
        """``size`` bytes of bodies went to a client with this key, "" for none."""
        self._counts.spend(key, size, self._clocks.wall())

    # Of all

    def spent(self) -> dict[tuple[str, ...], float]:
        """Bytes of this month by key, "" for all, of those who have a budget."""
        return {(name,): self._counts.spent(name, self._clocks.wall()) for name in budgets(self._access)}

    def budgets(self) -> dict[tuple[str, ...], float]:
        """The budgets that there are, as `spent` has them."""
        return {(name,): size for name, size in budgets(self._access).items()}

    def begin(self, settle: Callable[[], None]) -> None:
        """
        Take over the month's counts; look at them from now on.

        ``settle`` has `sent` told of what running transfers have sent.
        """
        self._settle = settle
        self._keep()
        self._looks.start(LOOK, now=False)

    def end(self) -> None:
        """Keep what there is, for the last time."""
        if self._looks.running:
            self._looks.stop()
        self._settle()
        self._keep(wait=True)

    def _look(self) -> None:
        self._settle()
        for warning in self._counts.warnings(self._access, self._clocks.wall()):
            _log.warn("{warning}", warning=warning)
        if self._counts.is_dirty and self._clock.seconds() - self._kept_at >= KEEP:
            self._keep()

    def _keep(self, *, wait: bool = False) -> None:
        """Bring counts and file together; say once why that cannot be.  To ``wait`` is for the end."""
        if not budgets(self._access):
            return
        self._kept_at = self._clock.seconds()
        try:
            now = self._clocks.wall()
            state.change(self._access.state, lambda old: self._counts.merged(old, now), wait=wait)
        except BlockingIOError:
            return  # another process is at it: a moment later is as good
        except OSError as error:
            problem = error.strerror or str(error)
            if problem != self._unkept:
                _log.warn(
                    "access.state: {path} cannot be written ({problem}): the month's traffic is forgotten at "
                    "the next start; let docxy's user write there, or name another file",
                    path=self._access.state,
                    problem=problem,
                )
            self._unkept = problem
            return
        self._counts.kept()
        self._unkept = ""


def _nothing() -> None:
    pass
