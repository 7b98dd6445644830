"""
The container image: built from the Dockerfile on a fresh Debian, run as its documentation says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from .rig.hub import Hub
from .rig.image import Container, Image
from .rig.mirror import Plan, both, settings
from .rig.namespace import Namespace
from .rig.paced import LAYER, PacedRegistry
from .rig.processes import Process, environment, wait_until
from .rig.scratch import scratch_folder
from .rig.waiting import serving
from .rig.writer import sha256

pytestmark = pytest.mark.slow

IN_IMAGE = 5000  # the port of the settings that the image comes with
BLOBS = f"http://127.0.0.1:{IN_IMAGE}/v2/some/image/blobs/"


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A folder for the image's store."""
    with scratch_folder("oci") as made:
        made.chmod(0o755)
        yield made


@pytest.fixture(scope="module")
def image(state: Path) -> Image:
    """The image, built."""
    return Image(state / "store")


@contextmanager
def running(
    image: Image, namespace: Namespace, name: str, variables: dict[str, str], volumes: Sequence[str] = ()
) -> Iterator[Container]:
    """A container that is healthy at first."""
    container = Container(image, namespace, name, variables, volumes)
    try:
        wait_until(lambda: container.healthy().code == 0, f"{name} to be healthy")
        yield container
    finally:
        container.close()


def skopeo(namespace: Namespace, name: str, target: Path) -> Process:
    """skopeo, pulling through the mirror that the name begins with, over plain HTTP."""
    argv = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        f"docker://{name}",
        f"dir:{target}",
    ]
    log = target.with_suffix(".log")
    return namespace.start("skopeo", argv, log, environment(HOME="/nonexistent"))


def test_pull(hub: Hub, image: Image, state: Path) -> None:
    """With a settings file mounted, an image of Docker Hub comes through it; it is not root."""
    plan = Plan("container", "http://127.0.0.1:5000", ["tcp:5000:interface=127.0.0.1"], both(hub), tls=False)
    config = state / "docxy.toml"
    config.write_text(settings(hub, plan))
    ca = hub.authority.cert
    mounts = [f"{config}:/etc/docxy/docxy.toml:ro", f"{ca}:{ca}:ro"]
    with running(image, hub.namespace, "hub", {}, mounts) as container:
        pull = skopeo(hub.namespace, "127.0.0.1:5000/library/hello:latest", state / "hello")
        assert pull.wait(120) == 0, pull.said() + container.said()
        assert sha256((state / "hello/manifest.json").read_bytes()) == hub.images.hello.digest
        assert container.inspect(".Config.User") == "10001:10001"
        assert container.inspect(".State.Health.Status") == "healthy"
        assert '"repository": "library/hello"' in container.said()
        assert "Traceback" not in container.said()


def test_stop(image: Image, state: Path) -> None:
    """`podman stop` lets a running transfer end, lets nobody new in, and the container ends with 0."""
    namespace = Namespace("container", state / "namespace", {})
    with closing(namespace), serving(namespace.inside(PacedRegistry)) as registry:
        variables = {"DOCXY_UPSTREAM": f"rig.test={registry.url}"}
        with running(image, namespace, "stopped", variables) as container:
            # skopeo would open another connection for the config after the layer.
            argv = ["curl", "-sSf", "-o", str(state / "layer"), f"{BLOBS}{LAYER}"]
            pull = namespace.start("curl", argv, state / "curl.log")
            assert registry.drips.wait(60), pull.said() + container.said()
            stopping = threading.Thread(target=container.stop)
            stopping.start()
            wait_until(lambda: not namespace.answers("127.0.0.1", IN_IMAGE), "docxy to refuse connections")
            assert container.healthy().code != 0
            assert pull.ended() is None
            registry.go.set()
            assert pull.wait(60) == 0, pull.said()
            stopping.join()
            assert container.inspect(".State.ExitCode") == "0"
            assert "drained" in container.said()
        assert sha256((state / "layer").read_bytes()) == LAYER
