"""
The Debian package, on fresh machines of each release, by its init script and under systemd.

It is installed, pulled through, upgraded while a pull runs, and purged.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .rig.machines import Init, Machine, machine
from .rig.mirror import CHECKOUT
from .rig.paced import DIGEST, NAME, PacedRegistry
from .rig.package import built, needs, newer
from .rig.processes import Process, environment, run, wait_until
from .rig.scratch import scratch_folder
from .rig.waiting import serving
from .rig.writer import sha256

pytestmark = pytest.mark.slow

SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
NEWER = "9.0.0"  # a version that never will be
# What Debian keeps of every package that was there once.
BOOKS = (
    "etc/passwd-",
    "etc/shadow-",
    "etc/group-",
    "etc/gshadow-",
    "var/lib/dpkg/",
    "var/log/apt/",
    "var/log/dpkg.log",
)
STATE = ("/etc/docxy", "/var/lib/docxy", "/var/log/docxy", "/run/docxy", "/usr/lib/docxy")
# The admin listener's metrics, as any program of root's or of the group docxy gets them.
METRICS = """
import socket
admin = socket.socket(socket.AF_UNIX)
admin.connect("/run/docxy/admin.sock")
admin.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: docxy\\r\\nConnection: close\\r\\n\\r\\n")
print(admin.makefile().read())
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for packages and machines."""
    with scratch_folder("deb") as made:
        yield made


@pytest.fixture(scope="module", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """Each release."""
    return str(request.param)


@pytest.fixture(scope="module")
def package(suite: str, folder: Path) -> Path:
    """The package, built for it."""
    return built(suite, folder / f"{suite}-packages")


@pytest.fixture(scope="module")
def following(package: Path) -> Path:
    """A newer version of it."""
    return newer(package, NEWER)


@pytest.fixture(params=["init", "systemd"])
def debian(request: pytest.FixtureRequest, suite: str, package: Path, folder: Path) -> Iterator[Machine]:
    """A fresh machine that has what the package depends on."""
    init: Init = request.param
    with machine(suite, init, needs(package), folder) as made:
        yield made


@pytest.fixture
def registry(debian: Machine) -> Iterator[PacedRegistry]:
    """A registry on the machine's loopback."""
    with serving(debian.namespace.inside(PacedRegistry)) as server:
        yield server


def health(debian: Machine) -> dict[str, Any]:
    """What docxy says at the address that it has without any settings."""
    connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=20)
    connection.sock = debian.namespace.connect("127.0.0.1", 5000, 20)
    try:
        connection.request("GET", "/health")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


def install(debian: Machine, package: Path) -> str:
    """Install or upgrade it by apt; returns what apt said."""
    there = Path(shutil.copy(package, debian.root / "srv"))
    done = debian.run("apt-get", "install", "-y", "-o", "Dpkg::Use-Pty=0", f"/srv/{package.name}").check()
    there.unlink()
    return done.out + done.err


class Pull:
    """skopeo, pulling the registry's image through docxy."""

    def __init__(self, debian: Machine, name: str) -> None:
        self._folder = debian.namespace.state / name
        source = ["--src-tls-verify=false", f"docker://127.0.0.1:5000/{NAME}", f"dir:{self._folder}"]
        argv = ["skopeo", "--insecure-policy", "copy", *source]
        log = debian.namespace.state / f"{name}.log"
        self._process: Process = debian.namespace.start("skopeo", argv, log, environment(HOME="/nonexistent"))

    def finish(self) -> None:
        """It ends well, with the image."""
        code = self._process.wait(120)
        assert code == 0, self._process.said()
        assert sha256((self._folder / "manifest.json").read_bytes()) == DIGEST

    def said(self) -> str:
        """What it has written."""
        return self._process.said()

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.ended() is None


def use(debian: Machine, registry: PacedRegistry) -> None:
    """Have the service mirror that registry."""
    default = debian.root / "etc/default/docxy"
    default.write_text(f"{default.read_text()}DOCXY_UPSTREAM=rig.test={registry.url}\n")
    debian.run("service", "docxy", "restart").check()


def test_lintian(suite: str, package: Path, folder: Path) -> None:
    """The release's own lintian finds no error, and no warning either."""
    with machine(suite, "init", ["lintian"], folder / "lintian") as there:
        shutil.copy(package, there.root / "srv")
        said = there.run("lintian", "--allow-root", "--fail-on", "error,warning", f"/srv/{package.name}")
    assert (said.code, said.out) == (0, "")


def test_life(debian: Machine, registry: PacedRegistry, package: Path, following: Path) -> None:
    """Installed it serves; an upgrade breaks no pull; its verbs work; purged it leaves nothing."""
    before = debian.files()
    install(debian, package)
    for manual in ("man1/docxy.1.gz", "man5/docxy.toml.5.gz"):
        assert (debian.root / "usr/share/man" / manual).exists()
    check_plugins(debian)
    assert health(debian)["status"] == "ok"
    old = health(debian)["version"]
    use(debian, registry)
    pull = Pull(debian, "across")
    assert registry.drips.wait(60), pull.said()
    said = install(debian, following)
    assert "restarting it instead" not in said, said
    assert health(debian)["version"] == NEWER != old
    assert pull.runs(), pull.said()
    registry.go.set()
    pull.finish()
    check_verbs(debian)
    Pull(debian, "after").finish()
    assert "docxy_build_info" in debian.run("/usr/lib/docxy/bin/python3", "-c", METRICS).check().out
    (debian.root / "usr/lib/docxy/stray").touch()
    debian.run("apt-get", "purge", "-y", "docxy").check()
    assert not debian.namespace.answers("127.0.0.1", 5000)
    assert [path for path in STATE if (debian.root / path[1:]).exists()] == []
    assert [path for path in sorted(debian.files() - before) if not path.startswith(BOOKS)] == []


def check_plugins(debian: Machine) -> None:
    """twistd's list of plugins is there, goes for an upgrade, and comes back where that is given up."""

    def kept() -> list[Path]:
        return list(debian.root.glob("usr/lib/docxy/lib/python3*/site-packages/twisted/plugins/dropin.cache"))

    assert len(kept()) == 1
    for script, found in (("prerm upgrade", 0), ("postinst abort-upgrade", 1)):
        command = f"/var/lib/dpkg/info/docxy.{script}"
        debian.run("env", "DPKG_MAINTSCRIPT_PACKAGE=docxy", *command.split(), NEWER).check()
        assert len(kept()) == found, script


def check_verbs(debian: Machine) -> None:
    """What an operator says to a service."""
    for verb, code in (
        ("status", 0),
        ("reload", 0),
        ("force-reload", 0),
        ("restart", 0),
        ("start", 0),
        ("stop", 0),
        ("stop", 0),
        ("status", 3),
        ("try-restart", 0),
        ("status", 3),
        ("start", 0),
        ("status", 0),
    ):
        done = debian.run("service", "docxy", verb)
        assert done.code == code, (verb, done)
    wait_until(lambda: debian.namespace.answers("127.0.0.1", 5000), "docxy to listen")


def test_without_handover(debian: Machine, package: Path, following: Path) -> None:
    """Where the running process cannot hand over, an upgrade says so, and restarts it."""
    install(debian, package)
    if debian.init == "systemd":
        unit = debian.root / "etc/systemd/system/docxy.service.d/deaf.conf"
        unit.parent.mkdir()
        unit.write_text("[Service]\nType=exec\nNotifyAccess=none\nWatchdogSec=0\n")
        debian.run("systemctl", "daemon-reload").check()
        debian.run("systemctl", "restart", "docxy").check()
    else:
        debian.run("chown", "root", "/run/docxy").check()  # the pidfile cannot be put aside
    wait_until(lambda: debian.namespace.answers("127.0.0.1", 5000), "docxy to listen")
    assert "docxy: restarting it instead" in install(debian, following)
    wait_until(lambda: debian.namespace.answers("127.0.0.1", 5000), "docxy to listen again")
    assert health(debian)["version"] == NEWER


def test_never_root(suite: str, package: Path, folder: Path) -> None:
    """The init script's docxy opens ports below 1024, has no other right of root's, and no link gets more."""
    with machine(suite, "init", needs(package), folder / "never-root") as debian:
        install(debian, package)
        default = debian.root / "etc/default/docxy"
        default.write_text("DOCXY_LISTEN=tcp:80:interface=127.0.0.1\n")
        debian.run("service", "docxy", "restart").check()
        assert debian.namespace.answers("127.0.0.1", 80)
        main = debian.run("cat", "/run/docxy/docxy.pid").check().out
        said = debian.run("cat", f"/proc/{main}/status", f"/proc/{main}/limits").check().out
        user = debian.run("id", "-u", "docxy").check().out.strip()
        assert re.findall(r"Uid:\s+(.*)", said) == ["\t".join([user] * 4)]
        assert {int(rights, 16) for rights in re.findall(r"Cap...:\t(.*)", said)} == {1 << 10}
        assert "NoNewPrivs:\t1" in said
        log, target = debian.root / "var/log/docxy/docxy.log", debian.root / "etc/planted"
        assert (oct(log.stat().st_mode), log.stat().st_uid) == ("0o100640", int(user))
        log.unlink()
        log.symlink_to("/etc/planted")
        assert debian.run("service", "docxy", "restart").code != 0
        assert not target.exists()


def test_rotated(suite: str, package: Path, folder: Path) -> None:
    """logrotate puts the log aside by the package's rules, and docxy goes on at the beginning of the file."""
    with machine(suite, "init", needs(package), folder / "rotated") as debian:
        install(debian, package)
        log = debian.root / "var/log/docxy/docxy.log"
        before = log.read_text()
        assert " mirrors docker.io " in before
        for kept in ("docxy.log.1", "docxy.log.2.gz"):
            debian.run("logrotate", "--force", "/etc/logrotate.d/docxy").check()
            assert log.with_name(kept).exists()
            assert log.stat().st_size == 0
            health(debian)
            wait_until(lambda: " GET " in log.read_text(), "the request to be logged")
            assert re.match(r"\d{4}-\d\d-\d\dT", log.read_text())
        assert gzip.decompress(log.with_name("docxy.log.2.gz").read_bytes()).decode() == before


def test_confined(suite: str, folder: Path) -> None:
    """The release's systemd calls the unit's confinement what the documentation says, and 2.0 or better."""
    with machine(suite, "init", ["systemd"], folder / "confined") as there:
        shutil.copy(CHECKOUT / "debian/docxy.service", there.root / "srv")
        argv = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "/srv/docxy.service"]
        said = there.run(*argv).check().out
    (figure,) = re.findall(r"Overall exposure level for docxy.service: (\S+)", said)
    page = (CHECKOUT / "docs/packaging.rst").read_text(encoding="utf-8")
    (told,) = re.findall(rf"``systemd-analyze security docxy`` says .*?(\d+\.\d) on {SUITES[suite]}\b", page)
    assert figure == told


def test_autopkgtest(suite: str, package: Path, folder: Path) -> None:
    """What autopkgtest runs passes: an image goes into a docker-registry and comes out through docxy."""
    tools = ["curl", "docker-registry", "skopeo"]
    with machine(suite, "init", [*needs(package), *tools], folder / "autopkgtest") as debian:
        install(debian, package)
        shutil.copy(CHECKOUT / "debian/tests/pull", debian.root / "srv")
        debian.run("/srv/pull").check()


def test_repository(suite: str, package: Path, folder: Path) -> None:
    """apt installs the package from a repository that is signed, and would not if another had signed it."""
    home, made = folder / f"{suite}-keys", folder / f"{suite}-repository"
    home.mkdir(mode=0o700)
    keys = environment(GNUPGHOME=str(home))
    for name in ("right", "wrong"):
        make = ["--quick-gen-key", f"{name}@docxy.test", "ed25519", "sign", "never"]
        run(["gpg", "--batch", "--passphrase", "", *make], keys).check()
    with machine(suite, "init", needs(package), folder / "repository") as debian:
        there = debian.root / "srv/apt"
        only = ["-o", "Dir::Etc::sourcelist=/etc/apt/docxy.list", "-o", "Dir::Etc::sourceparts=-"]
        for name, outcome in (("wrong", 100), ("right", 0)):
            command = [str(CHECKOUT / "packaging/apt-repository"), str(made), f"{name}@docxy.test"]
            run([*command, str(package)], keys).check()
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(made, there)
            run(
                [
                    "gpg",
                    "--batch",
                    "--yes",
                    "--export",
                    "--output",
                    f"{there}/trusted.gpg",
                    "right@docxy.test",
                ],
                keys,
            )
            source = f"deb [signed-by=/srv/apt/trusted.gpg] file:/srv/apt {suite} main\n"
            (debian.root / "etc/apt/docxy.list").write_text(source)
            assert debian.run("apt-get", *only, "update").code == outcome
        debian.run("apt-get", *only, "install", "-y", "docxy").check()
        assert health(debian)["status"] == "ok"
