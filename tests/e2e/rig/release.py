"""
The programs of another Debian release, in a folder that clients can be run from.

Owns that folder, made by mmdebstrap from where this machine's own apt gets its
packages. DOCXY_E2E_CACHE names a folder to keep it in between runs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .namespace import Namespace
from .processes import environment, run

_SOURCES = "$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(CODENAME)"
_SHARED = ("/proc", "/sys", "/dev")


def debian_source() -> list[str]:
    """The URL that this machine gets Debian from; empty where it is no Debian, for mmdebstrap's own."""
    done = run(["apt-get", "indextargets", "--format", _SOURCES])
    for line in done.out.splitlines() if done.code == 0 else []:
        origin, component, url, suite = line.split("|")
        if origin == "Debian" and component == "main" and "-" not in suite:
            return [url]
    return []


def root_folder(suite: str, packages: Sequence[str], scratch: Path, kind: str = "root") -> Path:
    """A root folder of that release and kind with these packages; made once where DOCXY_E2E_CACHE is set."""
    kept = os.environ.get("DOCXY_E2E_CACHE")
    root = Path(kept or scratch) / f"{suite}-{kind}"
    ready = root.with_suffix(".packages")
    wanted = " ".join(packages)
    if ready.exists() and ready.read_text() == wanted:
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    made = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
    run([*made, suite, str(root), *debian_source()], environment(HOME="/root"), seconds=900).check()
    ready.write_text(wanted)
    return root


@contextmanager
def joined(namespace: Namespace, root: Path, state: Path) -> Iterator[None]:
    """Mount what the release's programs need below its root, seen by this namespace alone."""
    inside = root / state.relative_to("/")
    inside.mkdir(parents=True, exist_ok=True)
    shutil.copy(namespace.state / "hosts", root / "etc/hosts")
    (root / "etc/resolv.conf").write_text("")
    mounts = [
        ["mount", "--bind", str(root), str(root)],  # a root that can be remounted, as docker does
        ["mount", "--make-private", str(root)],
        ["mount", "--bind", str(state), str(inside)],
        *(["mount", "--rbind", folder, f"{root}{folder}"] for folder in _SHARED),
    ]
    for mount in mounts:
        namespace.run(mount).check()
    try:
        yield
    finally:
        inside.rmdir()  # Out here nothing is mounted there; the namespace lets go of it.
