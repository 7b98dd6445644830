"""
`install.sh` on a fresh Debian 12: each way to install, each mode, by flags, by variables and by answers.

It is installed, once on Debian 13 too, pulled through, set up anew, upgraded and removed; what fails
leaves all as it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .rig.mirror import CHECKOUT
from .rig.package import built, newer, sdist
from .rig.pebble import Pebble
from .rig.pki import Authority
from .rig.place import HOST, PAIR, Place, furnished
from .rig.processes import Finished, wait_until
from .rig.scratch import scratch_folder
from .rig.writer import sha256
from .test_debian import BOOKS, NEWER, STATE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder for packages and machines."""
    with scratch_folder("install") as made:
        yield made


@pytest.fixture(scope="module")
def package(scratch: Path) -> Path:
    """docxy's package."""
    return built("bookworm", scratch / "packages")


@pytest.fixture(scope="module")
def archive(scratch: Path) -> Path:
    """docxy's sdist."""
    return sdist(scratch)


@pytest.fixture(scope="module")
def place(scratch: Path, package: Path, authority: Authority) -> Iterator[Place]:
    """A machine without systemd, for one test after the other."""
    with furnished("init", scratch, package, authority) as made:
        yield made


@pytest.fixture
def booted(scratch: Path, package: Path, authority: Authority) -> Iterator[Place]:
    """A machine with systemd."""
    with furnished("systemd", scratch, package, authority) as made:
        yield made


def assert_serves(place: Place, done: Finished, trusted: Path | None = None) -> None:
    """It serves, nothing is wrong, clients are told what to do, and an image comes through."""
    done.check()
    assert "docxy serves" in done.out
    assert f" name {HOST}: leads to 127.0.0.1" in done.out
    assert "✗" not in done.out
    assert f'location = "{HOST}"' in done.out
    place.pull(trusted)


def left(place: Place, before: set[str]) -> list[str]:
    """What there is now and was not, but for what Debian keeps."""
    return [path for path in sorted(place.machine.files() - before) if not path.startswith((*BOOKS, "srv/"))]


def test_refused(place: Place) -> None:
    """What is wrong or missing is told in a line, and nothing changes."""
    (place.machine.root / "srv/fake/requirements").mkdir(parents=True)
    (place.machine.root / "srv/fake/requirements/acme.txt").touch()
    command = place.machine.root / "usr/local/bin/docxy"
    command.write_text("another program's")
    before = place.machine.files()
    some = ["--public-name", HOST, *PAIR, *place.deb]
    for wrong, said in (
        (["--mode", "afar"], "--mode: is alone, nginx or cdn"),
        (["--loud"], "no such option: --loud"),
        (["--cert"], "--cert: its value is missing"),
        ([], "missing, and nobody is here to ask: --package --public-name --cert --key;"),
        (["--acme", "yes", *place.deb], "nobody is here to ask: --public-name --acme-agree-tos;"),
        (["--mode", "cdn", *some], "nobody is here to ask: --trusted;"),
        (["--acme", "yes", "--acme-agree-tos", "no", *some[:2]], "without your yes"),
        ([*some, "--public-name", f"https://{HOST}"], "--public-name: is a host name"),
        ([*some, "--allow", '10.0.0.0/8"]'], "--allow: has a character"),
        ([*some, "--key", "/srv/none"], "--key: /srv/none is no file"),
        ([*some, "--sha256", "0" * 64], "its SHA-256 is not 0000"),
        ([*some, "--package", "https://mirror.test/docxy.deb"], "nobody is here to ask: --sha256;"),
        ([*some, "--package", "http://mirror.test/docxy.deb"], "begins with https://"),
        ([*some, "--package", "/srv/key.pem"], "is no package of docxy"),
        (["--public-name", HOST, *PAIR, "--source", "/srv"], "is no checkout and no sdist of docxy"),
        (["--public-name", HOST, *PAIR, "--source", "/srv/key.pem"], "is neither a folder nor a .tar.gz"),
        ([*some, "--source", "/srv"], "leave one of them out"),
        (["--public-name", HOST, *PAIR, "--source", "/srv/fake", "--sha256", "0"], "/srv/fake is a folder"),
        (
            ["--public-name", HOST, *PAIR, "--source", "/srv/fake"],
            "/usr/local/bin/docxy is there, and not from",
        ),
        (["--upgrade", *place.deb], "docxy is not installed here"),
        (["--purge"], "goes with --uninstall"),
    ):
        done = place.install(*wrong)
        assert (done.code, done.out) == (1, ""), (wrong, done)
        assert len(done.err.splitlines()) == 1, done.err
        assert said in done.err, done.err
    assert left(place, before) == []
    command.unlink()


def test_undone(place: Place) -> None:
    """Where the service cannot start, its reason is told, nothing is left, and root's own state stays."""
    account = "/var/lib/docxy/acme/authority/account.pem"
    (place.machine.root / account[1:]).parent.mkdir(mode=0o700, parents=True)
    (place.machine.root / account[1:]).write_text("a key")
    other = place.machine.root / "etc/nginx/conf.d/other.conf"
    other.write_text("server { listen 127.0.0.1:5001; }\n")
    place.machine.run("/etc/init.d/nginx", "start").check()
    before, shown = place.machine.files(), ["stat", "--format=%a %U %G", "/var/lib/docxy", account]
    rights = place.machine.run(*shown).check().out
    done = place.install("--mode", "nginx", "--public-name", HOST, *PAIR, *place.deb, *place.upstream)
    place.machine.run("/etc/init.d/nginx", "stop").check()
    assert done.code == 1
    assert "'tcp:5001:interface=127.0.0.1' is taken by another process" in done.err, done.err
    assert "stopped while starting the service; undoing" in done.err
    assert (left(place, before), before - place.machine.files()) == ([], set())
    assert place.machine.run(*shown).check().out == rights
    assert place.processes() == []
    other.unlink()


def test_flags(place: Place) -> None:
    """Alone, by flags: twice, upgraded, removed but for its settings, which serve once more."""
    options = ["--public-name", HOST, *PAIR, *place.deb, *place.upstream]
    assert_serves(place, place.install(*options))
    running, settings = place.processes(), place.settings
    assert_serves(place, place.install(*options))
    assert (place.processes(), place.settings) == (running, settings)
    following = newer(place.package, NEWER)
    shutil.copy(following, place.machine.root / "srv")
    done = place.install("--upgrade", "--package", f"/srv/{following.name}").check()
    assert f"docxy {NEWER} is installed and serves" in done.out
    assert set(place.processes()) - set(running)
    place.pull()
    assert place.install("--uninstall").code == 0
    assert (place.processes(), place.settings) == ([], settings)


def test_answers(place: Place) -> None:
    """A certificate from an authority, by answers at the terminal; the settings before are kept."""
    pebble = Pebble(place.scratch / "pebble", namespace=place.machine.namespace, httpPort=80, tlsPort=443)
    try:
        shutil.copy(pebble.ca, place.machine.root / "srv/acme-ca.pem")
        before = place.settings
        # As a docxy leaves it that root ran by hand.
        place.machine.run("install", "-d", "-m", "700", "/var/lib/docxy/acme").check()
        place.machine.run("chown", "-R", "root:root", "/var/lib/docxy/acme").check()
        said = f"\n{HOST}\n\nyes\n\nrig.test={place.registry.url}\n\n"
        authority = ["--acme-directory", pebble.directory, "--acme-ca", "/srv/acme-ca.pem"]
        done = place.answer(said, *place.deb, *authority)
        root = place.scratch / "acme-root.pem"
        root.write_text(pebble.root())
        assert_serves(place, done, root)
    finally:
        pebble.close()
    (kept,) = (place.machine.root / "etc/docxy").glob("docxy.toml.*")
    assert kept.read_text() == before
    kept.unlink()


def test_nginx(place: Place) -> None:
    """Behind nginx, whose site is written and tried; a pair that nginx refuses changes nothing."""
    options = ["--mode", "nginx", "--public-name", HOST, *place.deb, *place.upstream]
    folder = place.machine.root / "srv/a pair"
    folder.mkdir()
    shutil.copy(place.leaf.cert, folder / "chain.pem")
    assert_serves(place, place.install(*options, "--cert", "/srv/a pair/chain.pem", "--key", "/srv/key.pem"))
    place.machine.run("nginx", "-t").check()
    site = place.machine.root / "etc/nginx/conf.d/docxy.conf"
    before = site.read_text(), place.processes()
    done = place.install(*options, "--cert", "/srv/chain.pem", "--key", "/srv/chain.pem")
    assert done.code == 1
    assert "nginx refuses" in done.err, done.err
    assert (site.read_text(), place.processes()) == before
    place.pull()


def test_not_alone(place: Place) -> None:
    """From nginx to alone: only once nothing else has the port 80, and nothing changes before."""
    site = place.machine.root / "etc/nginx/conf.d/docxy.conf"
    before = site.read_text(), place.processes(), place.settings
    options = ["--public-name", HOST, *PAIR, *place.deb, *place.upstream]
    done = place.install(*options)
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1), done
    assert "another program listens on port 80; stop it" in done.err, done.err
    assert (site.read_text(), place.processes(), place.settings) == before
    place.pull()
    (place.machine.root / "etc/nginx/sites-enabled/default").unlink()
    place.machine.run("nginx", "-s", "reload").check()
    wait_until(lambda: not place.machine.namespace.answers("127.0.0.1", 80), "nginx to leave the port")
    assert_serves(place, place.install(*options))
    others = place.machine.root / "usr/local/bin/docxy"
    others.symlink_to("/srv/another-docxy")
    assert place.install("--uninstall", "--purge").code == 0
    assert others.is_symlink()
    others.unlink()
    assert [path for path in STATE if (place.machine.root / path[1:]).exists()] == []
    assert not site.exists()


def test_piped(place: Place, archive: Path) -> None:
    """Fetched and piped into a shell, by variables alone: a virtual environment, as a CDN's origin."""
    before = place.machine.files()
    variables = {
        "MODE": "cdn",
        "PUBLIC_NAME": HOST,
        "CERT": "/srv/chain.pem",
        "KEY": "/srv/key.pem",
        "TRUSTED": "127.0.0.0/8",
        "ALLOW": "192.0.2.0/24",
        "UPSTREAMS": f"rig.test={place.registry.url}",
        "SHA256": sha256(archive.read_bytes()).removeprefix("sha256:"),
    }
    shutil.copy(CHECKOUT / "install.sh", place.scratch)
    with place.web() as url:
        variables["SOURCE"] = f"{url}/{archive.name}"
        given = [f"DOCXY_INSTALL_{name}={value}" for name, value in variables.items()]
        command = ["env", *given, *place.offline(), "CURL_CA_BUNDLE=/srv/ca.pem", "sh", "-c"]
        piped = f"curl --fail --silent {url}/install.sh | sh -s --"
        done = place.machine.run(*command, piped).check()
        assert "✗" not in done.out
        assert [place.ask(), place.ask(X_Forwarded_For="192.0.2.7")] == [403, 200]
        (running,) = place.processes()
        done = place.machine.run(*command, f"{piped} --upgrade").check()
    assert "is installed and serves" in done.out
    assert set(place.processes()) - {running}  # the old one may take a moment to end
    assert place.ask(X_Forwarded_For="192.0.2.7") == 200
    assert place.install("--uninstall", "--purge").code == 0
    assert [path for path in left(place, before) if "docxy" in path] == []
    assert place.processes() == []


def test_trixie(scratch: Path, archive: Path, package: Path, authority: Authority) -> None:
    """Alone on Debian 13: a virtual environment of its Python 3.13, by its init script."""
    with furnished("init", scratch, package, authority, "trixie") as place:
        shutil.copy(archive, place.machine.root / "srv")
        command = ["env", *place.offline("3.13"), "/srv/install.sh", "--source", f"/srv/{archive.name}"]
        options = ["--public-name", HOST, *PAIR, *place.upstream]
        assert_serves(place, place.machine.run(*command, *options))
        running = place.processes()
        assert "is installed and serves" in place.machine.run(*command, "--upgrade").check().out
        assert set(place.processes()) - set(running)
        place.pull()
        assert place.install("--uninstall", "--purge").code == 0
        assert place.processes() == []


def test_systemd(booted: Place, archive: Path) -> None:
    """Under systemd: a virtual environment of an sdist; settings that will not do leave it as it serves."""
    booted.machine.run("systemctl", "disable", "--now", "nginx").check()  # it has port 80
    before = booted.machine.files()
    shutil.copy(archive, booted.machine.root / "srv")
    source = ["--source", f"/srv/{archive.name}"]
    command = ["env", *booted.offline(), "/srv/install.sh", *source]
    options = ["--public-name", HOST, *PAIR, *booted.upstream]
    assert_serves(booted, booted.machine.run(*command, *options))
    assert booted.machine.run("systemctl", "is-enabled", "docxy").out == "enabled\n"
    settings = booted.settings
    done = booted.machine.run(*command, *options, "--key", "/srv/other.pem")
    assert done.code == 1
    assert "does not belong to the certificate" in done.err, done.err
    assert "all is as it was" in done.err
    assert booted.settings == settings
    booted.pull()
    running = booted.processes()
    assert "is installed and serves" in booted.machine.run(*command, "--upgrade").check().out
    assert set(booted.processes()) - set(running)
    assert booted.machine.run("systemctl", "is-active", "docxy").out == "active\n"
    booted.pull()
    assert booted.install("--uninstall", "--purge").code == 0
    assert [path for path in left(booted, before) if "docxy" in path] == []
    assert booted.processes() == []
