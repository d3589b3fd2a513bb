# SPDX-License-Identifier: GPL-2.0-or-later
"""A small HTTP server on the loopback, which serves a directory and misbehaves on request."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Site:
    """What is served. Paths are as in the request, unquoted, without the leading slash."""

    root: Path
    url: str = ""
    #: Path → (status, headers, body), or several, one for each request, of which the last one stays.
    answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    #: Method, path and Range header of each request.
    requests: list[tuple[str, str]] = field(default_factory=list)
    #: Path → bytes after which the connection is closed, once.
    cut: dict[str, int] = field(default_factory=dict)
    #: What a path ends with whose answer stops half way until `release` is set.
    held: str | None = None
    #: Whether an answer has stopped.
    stopped: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def hold(self, end: str | None) -> None:
        """Let answers for paths that end with this stop half way; None lets all go."""
        self.release.set()
        self.held, self.stopped, self.release = end, threading.Event(), threading.Event()


@contextmanager
def serve(root: Path) -> Iterator[Site]:
    """Serve `root` while the body runs."""
    site = Site(root)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each small answer waits 40 ms for the client's acknowledgement

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path.lstrip("/"))  # to a proxy it is a whole URL
            wanted = self.headers.get("Range", "")
            site.requests.append((path, wanted))
            if path in site.answers:
                queue = site.answers[path]
                self._answer(*(queue.pop(0) if len(queue) > 1 else queue[0]))
                return
            file = root / path
            if not file.is_file():
                self._answer(404, {}, b"no")
                return
            data = file.read_bytes()
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            is_held = site.held is not None and path.endswith(site.held)
            self._answer(206 if wanted else 200, {}, data[begin:], site.cut.pop(path, None), is_held=is_held)

        def _answer(
            self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None, *, is_held: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if is_held:
                release, half = site.release, len(body) // 2
                self.wfile.write(body[:half])
                site.stopped.set()
                release.wait()
                with suppress(OSError):  # whoever asked may have left
                    self.wfile.write(body[half:])
                return
            self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        site.hold(None)
        server.shutdown()
        server.server_close()
        thread.join()
