"""The live page's server: this machine alone, reading alone.

It binds to 127.0.0.1, answers GET of four paths, and refuses every request whose Host is another
name (a page elsewhere that had its name resolve to this machine) or whose Origin is another page.
"""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from entroloop.errors import InputError
from entroloop.live.state import Follower, State

LOOPBACK = "127.0.0.1"
HEARTBEAT = 10.0  # seconds between signs of life on a stream, which notice a reader that left
FAREWELL = 2.0  # seconds for streams to end
MOST_STREAMS = 16
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {  # path: what is sent as one, and its type
    "/": (["live/page.html"], "text/html"),
    "/page.js": (["report/assets/numbers.js", "live/page.js"], "text/javascript"),
}


class LivePage:
    """A page on a study folder that grows while records come; use it as a context.

    port: 0 takes a free one. Raises InputError for a port that cannot be used.
    """

    def __init__(self, folder: Path, port: int = 0, seconds: float = 1.0) -> None:
        self.folder = folder
        self.streams = threading.Semaphore(MOST_STREAMS)
        self._news = threading.Condition()
        self._state: State | None = None
        self._version, self._ended = 0, False
        self._follower = Follower(folder, self._take, seconds)
        try:
            self._server = _Server((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"port {port} of this machine cannot be used: {error}") from None
        self._server.page = self
        self.port: int = self._server.server_address[1]
        serve = self._server.serve_forever
        # Closing waits until it is noticed: a twentieth of a second at most, not half of one.
        self._thread = threading.Thread(target=serve, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.port}/"

    @property
    def names(self) -> set[str]:
        """What this server may be called in a Host header."""
        return {f"{name}:{self.port}" for name in (LOOPBACK, "localhost")}

    def __enter__(self) -> LivePage:
        self._follower.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._follower.__exit__()  # the last records
        with self._news:
            self._ended = True
            self._news.notify_all()
        until = time.monotonic() + FAREWELL
        for _ in range(MOST_STREAMS):  # wait for the streams to send the last state
            self.streams.acquire(timeout=max(0.0, until - time.monotonic()))
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, state: State) -> None:
        with self._news:
            self._state = state
            self._version += 1
            self._news.notify_all()

    def news(self, since: int) -> tuple[int, State | None, bool]:
        """Wait for a state newer than a version, a heartbeat at most; return the version, the
        state or None where there is no newer one, and whether this was the last.
        """
        with self._news:
            self._news.wait_for(lambda: self._version > since or self._ended, HEARTBEAT)
            newer = self._version > since
            return self._version, self._state if newer else None, self._ended


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a reader that says nothing keeps nobody waiting
    page: LivePage


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "entroloop", ""
    timeout = 30  # seconds for a request to be sent

    def do_GET(self) -> None:  # named by the standard library
        """Answer one of the paths."""
        if not self._from_here():
            self._refuse(HTTPStatus.FORBIDDEN, "only pages of this server may ask")
        elif self.path in FILES:
            names, kind = FILES[self.path]
            content = b"".join((resources.files("entroloop") / name).read_bytes() for name in names)
            self._send(content, kind, {"Content-Security-Policy": POLICY})
        elif self.path == "/report":
            self._report()
        elif self.path == "/events":
            self._stream()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def _refuse_method(self) -> None:
        self.close_connection = True
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this server only reads")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _refuse_method  # noqa: N815

    def _from_here(self) -> bool:
        """Whether Host is this server's name, and Origin, where sent, this server."""
        names = self.server.page.names
        hosts = self.headers.get_all("Host") or []
        origin = self.headers.get("Origin")
        ours = origin is None or origin in {f"http://{name}" for name in names}
        return len(hosts) == 1 and hosts[0].lower() in names and ours

    def _report(self) -> None:
        """Send the study's report; it brings a policy of its own."""
        try:
            content = (self.server.page.folder / "report.html").read_bytes()
        except OSError:
            self._refuse(HTTPStatus.NOT_FOUND, "the report is written when the study ends")
            return
        self._send(content, "text/html", {})

    def _stream(self) -> None:
        """Send each state as it comes."""
        page = self.server.page
        if not page.streams.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open")
            return
        try:
            self._head(HTTPStatus.OK, "text/event-stream", {})
            version, ended = 0, False
            while not ended:
                version, state, ended = page.news(version)
                text = f"data: {state.to_json()}\n\n" if state is not None else ": alive\n\n"
                self.wfile.write(text.encode())
                self.wfile.flush()
            self.wfile.write(b"event: end\ndata: {}\n\n")
        except OSError:
            pass  # the reader left
        finally:
            page.streams.release()
            self.close_connection = True

    def _send(self, content: bytes, kind: str, headers: dict[str, str]) -> None:
        self._head(HTTPStatus.OK, kind, headers | {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        content = f"{reason}\n".encode()
        self._head(status, "text/plain", {"Content-Length": str(len(content))})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        always = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in (always | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
