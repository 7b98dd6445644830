"""What the user that the service runs as may do with files."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.files import User, readable_findings, service_user
from docxy.cli.findings import Mark
from docxy.settings.reader import read
from docxy.settings.values import SettingsError

ME = pwd.getpwuid(os.geteuid())
NOBODY = pwd.getpwnam("nobody")


class FolderCase(SynchronousTestCase):
    """A folder that all may enter."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)

    def file(self, name: str, mode: int) -> str:
        """The path of a file with this mode."""
        path = self.folder / name
        path.write_text("")
        path.chmod(mode)
        return str(path)


class UserTests(FolderCase):
    """Whose rights are asked about, and what they are."""

    def test_this_process(self) -> None:
        """By default it is this process; its own name is the same."""
        for user in (User(), User(ME)):
            self.assertTrue(user.may("-r", self.file("a", 0o600)))
            self.assertTrue(user.may("-w", str(self.folder)))
            self.assertFalse(user.may("-x", str(self.folder / "none")))
        self.assertEqual([User().name, User(ME).name], ["this user", ME.pw_name])

    def test_named(self) -> None:
        """One that there is not is refused with the flag; one's own may always be named."""
        error = self.assertRaises(SettingsError, service_user, "no-such-user")
        self.assertEqual((error.key, error.problem), ("--user", "there is no user no-such-user"))
        self.assertEqual(service_user(ME.pw_name), User(ME))

    def test_root_alone(self) -> None:
        """Only root can ask in another's name; where nobody is named, all others ask in their own."""
        self.patch(os, "geteuid", lambda: 12345)
        error = self.assertRaises(SettingsError, service_user, "nobody")
        self.assertEqual((error.key, error.remedy), ("--user", "run docxy check as root"))
        self.assertEqual(service_user(None), User())
        self.patch(os, "geteuid", lambda: 0)
        self.assertEqual(service_user("nobody"), User(NOBODY))

    def test_package(self) -> None:
        """Where nobody is named, root asks for the package's user, where there is one."""
        self.patch(os, "geteuid", lambda: 0)
        known = {"docxy": NOBODY}
        self.patch(pwd, "getpwnam", known.__getitem__)
        self.assertEqual(service_user(None), User(NOBODY))
        known.clear()
        self.assertEqual(service_user(None), User())

    def test_another(self) -> None:
        """The kernel is asked as that user, of its groups too, by a program that opens nothing."""
        asked: list[object] = []

        def run(command: list[str], **whom: object) -> object:
            asked.append((command, whom))
            return type("Done", (), {"returncode": len(asked) - 1})

        self.patch(os, "geteuid", lambda: -1)
        self.patch(os, "getgrouplist", lambda name, group: [group, 7])
        self.patch(subprocess, "run", run)
        user = User(NOBODY)
        self.assertEqual([user.may("-w", "/a b"), user.may("-w", "/a b")], [True, False])
        whom = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": [NOBODY.pw_gid, 7]}
        self.assertEqual(asked[0], (["/usr/bin/test", "-w", "/a b"], whom))


class ReadableTests(FolderCase):
    """What must be readable."""

    def test_all(self) -> None:
        """What can be read is told together; without a user there is nothing to tell."""
        paths = [self.file("cert", 0o644), self.file("key", 0o600)]
        (found,) = readable_findings(read({}), [*paths, *paths], User(ME))
        self.assertEqual((found.mark, found.text), (Mark.OK, f"{ME.pw_name} can read all 2"))
        self.assertEqual(list(readable_findings(read({}), [], User(ME))), [])
        self.assertEqual(list(readable_findings(read({}), paths, User())), [])

    def test_closed(self) -> None:
        """What cannot be read is told one by one, with what opens it: every file that the settings name."""
        there = str(self.folder)
        account = {"auth": "own", "username": "a", "password_file": f"{there}/password"}
        wanted = {"domains": ["a.example"], "agree_tos": True, "ca": f"{there}/root"}
        wanted |= {"eab_kid": "k", "eab_hmac_file": f"{there}/hmac"}
        upstream = {"name": "docker.io", "ca": f"{there}/ca", **account}
        settings = read(
            {
                "acme": wanted,
                "server": {"secret_path": "a-secret-path-7d1c"},
                "upstream": [{"name": "ghcr.io"}, upstream],
            }
        )
        found = list(readable_findings(settings, [f"{there}/key"], User(ME)))
        names = ["root", "hmac", "ca", "password", "key"]
        self.assertEqual(
            [(one.mark, one.subject) for one in found], [(Mark.FAILED, f"{there}/{name}") for name in names]
        )
        self.assertIn("chmod 640", found[0].remedy)
