"""The table of known registries."""

from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from docxy.registries import DEFAULT_REDIRECTS, KNOWN, canonical


class KnownTests(SynchronousTestCase):
    """What stands in the table can be used as it stands."""

    def test_names(self) -> None:
        """These nine need nothing but their name."""
        self.assertEqual(
            list(KNOWN),
            [
                "docker.io",
                "ghcr.io",
                "quay.io",
                "gcr.io",
                "registry.k8s.io",
                "mcr.microsoft.com",
                "public.ecr.aws",
                "registry.gitlab.com",
                "nvcr.io",
            ],
        )

    def test_closed(self) -> None:
        """Nobody can add to the table at run time."""
        with self.assertRaises(TypeError):
            KNOWN["evil.example"] = KNOWN["docker.io"]  # type: ignore[index]

    def test_urls(self) -> None:
        """Every URL is https, has no credentials, and a registry's has no path."""
        for registry in KNOWN.values():
            for url in (registry.url, registry.realm, registry.search_url):
                if url is not None:
                    parts = urlsplit(url)
                    self.assertEqual((parts.scheme, parts.username, parts.port), ("https", None, None), url)
            self.assertEqual(urlsplit(registry.url).path, "", registry.name)

    def test_realm_says_that_a_token_is_needed(self) -> None:
        """A registry has a token server just where it needs tokens."""
        for registry in KNOWN.values():
            self.assertEqual(registry.needs_token, registry.realm is not None, registry.name)

    def test_redirects(self) -> None:
        """Each place for blobs is a whole host name, or a suffix of two labels or more."""
        everywhere = [*DEFAULT_REDIRECTS, *(one for registry in KNOWN.values() for one in registry.redirects)]
        for pattern in everywhere:
            suffix = pattern.removeprefix("*.")
            self.assertRegex(suffix, r"\A[a-z0-9-]+(\.[a-z0-9-]+)+\Z")

    def test_docker_hub(self) -> None:
        """Docker Hub alone has library/ and a search."""
        others = [registry for name, registry in KNOWN.items() if name != "docker.io"]
        self.assertTrue(KNOWN["docker.io"].library)
        self.assertEqual(KNOWN["docker.io"].search_url, "https://index.docker.io")
        self.assertFalse(any(registry.library or registry.search_url for registry in others))

    def test_kubernetes_manifests(self) -> None:
        """registry.k8s.io sends manifests to pkg.dev, and must be allowed to."""
        self.assertIn("*.pkg.dev", KNOWN["registry.k8s.io"].redirects)


class CanonicalTests(SynchronousTestCase):
    """One registry under several names."""

    def test_canonical(self) -> None:
        """Aliases lead to the table's name, all else stays as it is."""
        table = {
            "index.docker.io": "docker.io",
            "registry-1.docker.io": "docker.io",
            "docker.io": "docker.io",
            "ghcr.io": "ghcr.io",
            "registry.example.com": "registry.example.com",
        }
        self.assertEqual({name: canonical(name) for name in table}, table)
