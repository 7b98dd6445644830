"""Which small image an upstream is tried with."""

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.samples import SAMPLES, samples
from docxy.registries import KNOWN
from docxy.settings.reader import read
from docxy.settings.values import SettingsError, UpstreamSettings

DIGEST = "sha256:" + "a" * 64


def upstreams(*names: str) -> tuple[UpstreamSettings, ...]:
    """Upstreams of these names."""
    return read(
        {
            "upstream": [
                {"name": name, "url": f"https://{name}.example"} if name == "corp" else {"name": name}
                for name in names
            ]
        }
    ).upstreams


class SampleTests(SynchronousTestCase):
    """From the table, or from the command line."""

    def test_table(self) -> None:
        """Every line of the table is an image of a known registry."""
        self.assertEqual(set(SAMPLES) - set(KNOWN), set())
        found = samples(upstreams(*SAMPLES), ())
        self.assertEqual({name: str(one) for name, one in found.items()}, dict(SAMPLES))
        self.assertFalse(any(one.is_chosen for one in found.values()))

    def test_unknown(self) -> None:
        """For an upstream without a line there is none."""
        self.assertEqual(samples(upstreams("corp"), ()), {})

    def test_chosen(self) -> None:
        """A named image takes the place of the table's; names are completed as clients do."""
        for image, name, shown in (
            ("docker.io/alpine", "docker.io", "library/alpine:latest"),
            ("index.docker.io/alpine:3", "docker.io", "library/alpine:3"),
            (f"docker.io/acme/app@{DIGEST}", "docker.io", f"acme/app@{DIGEST}"),
            ("ghcr.io/org/app:v1", "ghcr.io", "org/app:v1"),
            ("corp/app", "corp", "app:latest"),
        ):
            found = samples(upstreams("docker.io", "ghcr.io", "corp"), [image])[name]
            self.assertEqual((str(found), found.is_chosen), (shown, True))

    def test_refused(self) -> None:
        """What is no image, or of no upstream, is refused with the form to write."""
        for image in (
            "alpine",
            "quay.io/a/b",
            "docker.io/UPPER",
            "docker.io/a:b:c",
            "docker.io/a@sha256:1",
            "docker.io/",
        ):
            error = self.assertRaises(SettingsError, samples, upstreams("docker.io"), [image])
            self.assertIn("UPSTREAM/REPOSITORY:TAG", error.remedy)
