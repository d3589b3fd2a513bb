# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose serve`: a directory over HTTP, for labs and tests.

HTTP/1.1 (RFC 9110, RFC 9112) as far as pulls and downloads use it: GET and HEAD, connections that are kept, one range
of bytes, conditions. A connection has a thread, of which there are so many at most; where they are all taken, the
connection that has been silent longest is closed for a new one. Links are resolved as a chroot would, so nothing
outside the directory can be reached, and nothing lists a directory.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from rpmtree.app import App
from rpmtree.errors import ToolError, UsageError
from rpmtree.files import open_in_root, write_atomically

log = logging.getLogger(__name__)

THREADS = 64
#: Seconds that a connection may be silent, or a client not read what it asked for.
_PATIENCE = 30.0
#: So many bytes are taken, and so many seconds waited for more, after a request that was refused.
_DRAINED = (1024 * 1024, 1.0)
#: Up to this size a file goes out in one write with its header; above it, the kernel copies it.
_SMALL = 64 * 1024
_LONGEST_LINE, _MOST_HEADERS = 16 * 1024, 100
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_MISSING = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO))


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    version: str
    headers: dict[str, str]

    @property
    def keeps(self) -> bool:
        """Whether the connection stays open afterwards."""
        wish = self.headers.get("connection", "").lower()
        return "keep-alive" in wish if self.version == "HTTP/1.0" else "close" not in wish


class _Refused(Exception):
    """A request that gets no more than a status; `closes`: where the next one would begin is not known."""

    def __init__(self, status: HTTPStatus, *, closes: bool = False, headers: str = "") -> None:
        super().__init__(status.phrase)
        self.status = status
        self.closes = closes
        self.headers = headers


@contextmanager
def serving(directory: Path, bind: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `directory` while the body runs; gives the address, with a slash at its end. Port 0: any that is free.

    Raises UsageError if there is no such directory, ToolError if the address can't be listened at.
    """
    try:
        root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{directory} can't be served: {error.strerror}") from error
    try:
        with _listening(bind, port) as listener:
            host, number = listener.getsockname()[:2]
            server = _Server(root, listener)
            thread = threading.Thread(target=server.run, name="serve")
            thread.start()
            try:
                yield f"http://[{host}]:{number}/" if ":" in host else f"http://{host}:{number}/"
            finally:
                server.stop()
                thread.join()
    finally:
        os.close(root)


def serve(directory: Path, bind: str, port: int, port_file: Path | None, app: App) -> NoReturn:
    """Serve until a signal comes, and say where. Raises what `serving` does, and ToolError about `port_file`."""
    with serving(directory, bind, port) as url:
        if port_file is not None:
            try:
                write_atomically(port_file, f"{urlsplit(url).port}\n")
            except OSError as error:
                raise ToolError(f"can't write {port_file}: {error.strerror}") from error
        app.print(
            json.dumps({"directory": str(directory), "url": url}) if app.json else f"Serving {directory} at {url}"
        )
        while True:
            time.sleep(1)  # not for ever: a signal that comes between two instructions has to be seen too


@contextmanager
def _listening(bind: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port < 1 << 16:  # getaddrinfo takes it modulo that
        raise UsageError(f"there is no port {port}", hint="--port 0 takes any that is free")
    try:
        family, _, _, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        what = f"can't listen at {bind}, port {port}: {error.strerror or error}"
        raise ToolError(what, hint="--port 0 takes any that is free") from error
    with listener:
        yield listener


class _Server:
    def __init__(self, root: int, listener: socket.socket) -> None:
        self._root = root
        self._listener = listener
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(THREADS)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        #: Connections that wait for a request, the one that has waited longest first.
        self._silent: dict[socket.socket, None] = {}

    def run(self) -> None:
        while not self._stopped.is_set():
            if not self._slots.acquire(timeout=0.05):
                self._make_room()
                continue
            try:
                connection, peer = self._listener.accept()
            except OSError:  # stopped, or out of descriptors, or the client has left already
                self._slots.release()
                self._stopped.wait(0.02)
                continue
            thread = threading.Thread(target=self._converse, args=(connection, str(peer[0])), name="serve-connection")
            with self._lock:
                self._open[connection] = thread
            thread.start()

    def stop(self) -> None:
        """End all connections; returns when no thread is left but that of `run`, which ends too."""
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        with self._lock:
            threads = list(self._open.values())
            for connection in self._open:
                _hang_up(connection)
        for thread in threads:
            thread.join()

    def _make_room(self) -> None:
        with self._lock:
            if self._silent:
                oldest = next(iter(self._silent))
                del self._silent[oldest]
                _hang_up(oldest)

    def _converse(self, connection: socket.socket, peer: str) -> None:
        try:
            # A client that leaves, or is silent for too long, is no event.
            with connection, suppress(OSError, TimeoutError):
                connection.settimeout(_PATIENCE)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection.makefile("rb") as stream:
                    while self._waits(connection, stream) and self._answer(connection, stream, peer):
                        pass
        finally:
            with self._lock:
                self._silent.pop(connection, None)
                self._open.pop(connection, None)
            self._slots.release()

    def _waits(self, connection: socket.socket, stream: BufferedReader) -> bool:
        """Wait for a request to begin; False if there is to be none."""
        with self._lock:
            if self._stopped.is_set():
                return False
            self._silent[connection] = None
        begun = bool(stream.peek(1))
        with self._lock:
            self._silent.pop(connection, None)
        return begun

    def _answer(self, connection: socket.socket, stream: BufferedReader, peer: str) -> bool:
        """Answer one request; False if the connection is to be closed."""
        request = None
        try:
            request = _read_request(stream)
            if request is None:
                return False
            status, length = _send_file(self._root, connection, request)
            keeps = request.keeps and length >= 0
        except _Refused as refused:
            status, keeps = refused.status, request is not None and request.keeps and not refused.closes
            body = f"{status.value} {status.phrase}\n".encode()
            head = _head(status, len(body), refused.headers, keeps)
            length = len(body)
            connection.sendall(head if request is not None and request.method == "HEAD" else head + body)
            if not keeps:
                _drain(connection, stream)
        asked = f"{request.method} {request.target}" if request is not None else "-"
        log.debug("%s %s %d %d", peer, asked, status, length)
        return keeps


def _drain(connection: socket.socket, stream: BufferedReader) -> None:
    """Take what else is coming, up to a limit: closed before that, a connection is reset, and the answer lost."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_DRAINED[1])
    left = _DRAINED[0]
    while left > 0 and (data := stream.read1(_SMALL)):
        left -= len(data)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _read_request(stream: BufferedReader) -> _Request | None:
    """The next request; None at the end of the connection."""
    line = _read_line(stream) or _read_line(stream)  # RFC 9112, 2.2: one empty line may come before
    if not line:
        return None
    words = line.split(" ")
    if len(words) != 3 or not re.fullmatch(r"HTTP/1\.[0-9]", words[2]):
        raise _Refused(HTTPStatus.BAD_REQUEST, closes=True)
    headers: dict[str, str] = {}
    while line := _read_line(stream):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _Refused(HTTPStatus.BAD_REQUEST, closes=True)
        if len(headers) == _MOST_HEADERS:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, closes=True)
        headers[name.lower()] = value.strip()
    request = _Request(words[0], words[1], words[2], headers)
    if request.version != "HTTP/1.0" and "host" not in headers:
        raise _Refused(HTTPStatus.BAD_REQUEST, closes=True)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise _Refused(HTTPStatus.BAD_REQUEST, closes=True)  # a body, which nothing here takes
    return request


def _read_line(stream: BufferedReader) -> str:
    line = stream.readline(_LONGEST_LINE)
    if line and not line.endswith(b"\n"):
        raise _Refused(HTTPStatus.BAD_REQUEST, closes=True)
    return line.rstrip(b"\r\n").decode("latin-1")


def _send_file(root: int, connection: socket.socket, request: _Request) -> tuple[HTTPStatus, int]:
    """Answer with the file that is asked for; gives the status and how much was sent, -1 if that was not all."""
    if request.method not in ("GET", "HEAD"):
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, closes=True, headers="Allow: GET, HEAD\r\n")
    fd = _open(root, _path(request.target))
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _Refused(HTTPStatus.NOT_FOUND)
        tag = f'"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"'
        date = formatdate(found.st_mtime, usegmt=True)
        validators = f"ETag: {tag}\r\nLast-Modified: {date}\r\nAccept-Ranges: bytes\r\n"
        if _unchanged(request.headers, tag, found.st_mtime):
            connection.sendall(_head(HTTPStatus.NOT_MODIFIED, None, validators, request.keeps))
            return HTTPStatus.NOT_MODIFIED, 0
        status, begin, end = HTTPStatus.OK, 0, found.st_size
        if request.headers.get("if-range", tag) in (tag, date):
            wanted = _range(request.headers.get("range", ""), found.st_size)
            if wanted is not None:
                status, (begin, end) = HTTPStatus.PARTIAL_CONTENT, wanted
                validators += f"Content-Range: bytes {begin}-{end - 1}/{found.st_size}\r\n"
        head = _head(status, end - begin, validators, request.keeps)
        if request.method == "HEAD":
            connection.sendall(head)
            return status, 0
        return status, _copy(connection, head, fd, begin, end)
    finally:
        os.close(fd)


def _copy(connection: socket.socket, head: bytes, fd: int, begin: int, end: int) -> int:
    size = end - begin
    if size <= _SMALL:
        body = os.pread(fd, size, begin)
        connection.sendall(head + body)
        return size if len(body) == size else -1
    connection.sendall(head, socket.MSG_MORE)
    with open(fd, "rb", buffering=0, closefd=False) as file:
        sent = connection.sendfile(file, begin, size)
    return size if sent == size else -1  # it was cut short meanwhile: only an end of the connection says so


def _path(target: str) -> str:
    """The path that a request names, relative to the directory."""
    path = urlsplit(target).path if not target.startswith("/") else target.partition("?")[0]
    decoded = unquote_to_bytes(path.encode("latin-1"))
    if not decoded.startswith(b"/") or b"\0" in decoded or b".." in decoded.split(b"/"):
        raise _Refused(HTTPStatus.BAD_REQUEST)
    return os.fsdecode(decoded.lstrip(b"/"))


def _open(root: int, path: str) -> int:
    try:
        return open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _MISSING:
            raise _Refused(HTTPStatus.NOT_FOUND) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise _Refused(HTTPStatus.FORBIDDEN) from error
        raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE) from error


def _unchanged(headers: dict[str, str], tag: str, modified: float) -> bool:
    """Whether the client has it already (RFC 9110, 13.2.2: a tag counts more than a time)."""
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in tags.split(","))
    if (since := headers.get("if-modified-since")) is None:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Begin and end of the one range that is asked for; None for the whole, also where the wish is not understood."""
    match = _RANGE.fullmatch(text)
    if match is None or match.group(0) == "bytes=-" or len(text) > 60:
        return None
    first, last = match.groups()
    if not first:
        begin, end = max(size - int(last), 0), size
    else:
        begin, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=f"Content-Range: bytes */{size}\r\n")
    return begin, end


def _head(status: HTTPStatus, length: int | None, headers: str, keeps: bool) -> bytes:
    lines = f"HTTP/1.1 {status.value} {status.phrase}\r\nDate: {formatdate(time.time(), usegmt=True)}\r\n{headers}"
    if length is not None:
        lines += f"Content-Length: {length}\r\nContent-Type: application/octet-stream\r\n"
    return f"{lines}Connection: {'keep-alive' if keeps else 'close'}\r\n\r\n".encode("latin-1")
