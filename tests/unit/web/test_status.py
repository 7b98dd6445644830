"""The words of a status line."""

from twisted.trial.unittest import SynchronousTestCase

from docxy.web.status import phrase


class PhraseTests(SynchronousTestCase):
    """Every status has words, of one sort in every Python."""

    def test_known(self) -> None:
        """Statuses that Twisted has no words for have theirs."""
        for status, words in (
            (200, b"OK"),
            (308, b"Permanent Redirect"),
            (413, b"Content Too Large"),
            (416, b"Range Not Satisfiable"),
            (429, b"Too Many Requests"),
            (431, b"Request Header Fields Too Large"),
            (451, b"Unavailable For Legal Reasons"),
            (599, b"Unknown"),
        ):
            self.assertEqual(phrase(status), words)
