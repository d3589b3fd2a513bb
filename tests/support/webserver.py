# SPDX-License-Identifier: GPL-2.0-or-later
"""A small HTTP server on the loopback, which serves a directory and misbehaves on request."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote


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


@contextmanager
def serve(root: Path) -> Iterator[Site]:
    """Serve `root` while the body runs."""
    site = Site(root)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each small answer waits 40 ms for the client's acknowledgement

        def do_GET(self) -> None:
            path = unquote(self.path.lstrip("/").partition("?")[0])
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
            self._answer(206 if wanted else 200, {}, data[begin:], site.cut.pop(path, None))

        def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
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
        server.shutdown()
        server.server_close()
        thread.join()
