"""``docxy health``: which listener is asked, and what its answer means."""

import http.server
import ssl
import tempfile
import threading
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.health import ailment
from tests.e2e.rig.pki import Authority


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers with the server's status, to who asks for /health."""

    def do_GET(self) -> None:
        """Answer."""
        known = self.path == "/health"
        self.send_response(getattr(self.server, "status", 200) if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class OnSocket(ThreadingMixIn, UnixStreamServer):
    """The same on a UNIX socket."""

    daemon_threads = True


class AilmentTests(SynchronousTestCase):
    """A real server, asked over real sockets."""

    def serve(self, context: ssl.SSLContext | None = None, status: int = 200) -> int:
        """Start one, and give its port."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        vars(server)["status"] = status
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.run_in_background(server)
        return server.server_port

    def run_in_background(self, server: http.server.ThreadingHTTPServer | OnSocket) -> None:
        """Until the test is over."""
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def test_serves(self) -> None:
        """A listener everywhere is asked on loopback, one with an interface there."""
        port = self.serve()
        for interface in ("", ":interface=127.0.0.1", ":interface=0.0.0.0", r":interface=\:\:"):
            self.assertIsNone(ailment([f"tcp:{port}{interface}"]))

    def test_tls(self) -> None:
        """Over TLS whatever certificate is shown."""
        with tempfile.TemporaryDirectory() as folder:
            leaf = Authority(Path(folder)).issue("leaf", ["mirror.example.com"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(leaf.cert, leaf.key)
        self.assertIsNone(ailment([f"ssl:{self.serve(context)}"]))

    def test_socket(self) -> None:
        """A UNIX socket by its path."""
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/docxy.sock"
            self.run_in_background(OnSocket(path, Answering))
            self.assertIsNone(ailment([f"unix:{path}:mode=660"]))
            self.assertIn("is docxy running", str(ailment([f"unix:{folder}/none"])))

    def test_first_that_can_be_asked(self) -> None:
        """Inherited sockets and what cannot be read are passed over."""
        port = self.serve()
        odd = ["systemd:domain=INET:index=0", "tls:443", "haproxy:tcp:80", "ssl:systemd:domain=INET:index=0"]
        self.assertIsNone(ailment([*odd, "\\", f"tcp:{port}", "tcp:1"]))
        self.assertIn("server.listen: names no listener", str(ailment(odd)))

    def test_ill(self) -> None:
        """Another answer than 200, no HTTP, and nobody there are told with what to do."""
        self.assertIn("answers 503", str(ailment([f"tcp:{self.serve(status=503)}"])))
        self.assertIn("is docxy running", str(ailment(["tcp:1:interface=127.0.0.1"])))
        self.assertIn("is docxy running", str(ailment([f"ssl:{self.serve()}"])))
