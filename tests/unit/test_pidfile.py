"""Who may read twistd's pidfile, and whose it is."""

from __future__ import annotations

import os

from twisted.scripts._twistd_unix import UnixApplicationRunner

from docxy.pidfile import Pidfile
from tests.unit.handover_rig import HandoverCase


class PidfileTests(HandoverCase):
    """Whose the pidfile is."""

    def test_back(self) -> None:
        """It makes room, and takes its place again from who failed."""
        pidfile = Pidfile(str(self.pidfile))
        pidfile.step_aside()
        self.assertEqual(self.files(), ["docxy.pid.old"])
        self.pidfile.write_text("1")
        pidfile.come_back()
        self.assertEqual((self.files(), self.pidfile.read_text()), (["docxy.pid"], str(os.getpid())))
        pidfile.come_back()
        self.assertEqual(self.files(), ["docxy.pid"])

    def test_shown(self) -> None:
        """Everybody may read it, and so the user that root started us for; another's is left as it is."""
        for text, mode in ((str(os.getpid()), 0o644), ("1", 0o600)):
            self.pidfile.write_text(text)
            self.pidfile.chmod(0o600)
            Pidfile(str(self.pidfile)).show()
            self.assertEqual(self.pidfile.stat().st_mode & 0o777, mode)
        for path in ("", str(self.folder / "none"), str(self.folder)):
            Pidfile(path).show()

    def test_link_is_not_shown(self) -> None:
        """A link in its place leads to another's file, which we must not open to everybody as root."""
        secret, link = self.folder / "secret", self.folder / "link"
        secret.write_text(str(os.getpid()))
        secret.chmod(0o600)
        link.symlink_to(secret)
        Pidfile(str(link)).show()
        self.assertEqual(secret.stat().st_mode & 0o777, 0o600)

    def test_given_up(self) -> None:
        """It is gone, and twistd does not remove the other's at the end."""
        pidfile = Pidfile(str(self.pidfile))
        pidfile.step_aside()
        self.pidfile.write_text("1")
        pidfile.give_up()
        self.assertEqual(self.files(), ["docxy.pid"])
        self.assertIsNot(UnixApplicationRunner.removePID, self.remove_pid)

    def test_not_ours(self) -> None:
        """Another's pidfile stays, and so does none."""
        self.pidfile.write_text("1")
        for path in (str(self.pidfile), str(self.folder / "none"), ""):
            pidfile = Pidfile(path)
            pidfile.step_aside()
            pidfile.come_back()
            pidfile.give_up()
        self.assertEqual(self.files(), ["docxy.pid"])
