# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose serve`: what it answers, what it refuses, and what it costs."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from compose.serve import THREADS, serving
from rpmtree.command import run
from rpmtree.errors import ToolError, UsageError
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.repo import Repository, create
from tests.support.sysroots import commit_tree

COMPOSE = Path(sys.executable).with_name("compose")
TEXT = bytes(range(256)) * 4


@pytest.fixture
def site(tmp_path: Path) -> Path:
    top = tmp_path / "site"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_bytes(TEXT)
    (top / "empty").touch()
    (top / "a b%c").write_bytes(b"odd name")
    (top / "sub" / "alias").symlink_to("../file")
    (tmp_path / "secret").write_bytes(b"secret")
    return top


@pytest.fixture
def client(site: Path) -> Iterator[http.client.HTTPConnection]:
    with serving(site) as url:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=20)
        yield connection
        connection.close()


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def ask(
    client: http.client.HTTPConnection, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes, http.client.HTTPMessage]:
    client.request(method, path, headers=dict(headers or {}))
    answer = client.getresponse()
    return answer.status, answer.read(), answer.headers


def raw(port: int, request: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def command(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the first line it writes to stdout."""
    process = subprocess.Popen(
        [COMPOSE, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def test_a_file_comes_whole_and_the_connection_stays(client: http.client.HTTPConnection) -> None:
    for path in ("/file", "/file?query", "/sub/alias", "//file", "/./file", "/%66ile"):
        status, body, headers = ask(client, path)
        assert (status, body) == (200, TEXT), path
        assert headers["Content-Length"] == "1024"
        assert headers["Accept-Ranges"] == "bytes"
        mine = client.sock.getsockname()
    assert ask(client, "/empty")[:2] == (200, b"")
    assert ask(client, "/a%20b%25c")[:2] == (200, b"odd name")
    status, body, headers = ask(client, "/file", method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "1024")
    assert ask(client, "/none")[0] == 404
    assert ask(client, "/none", method="HEAD")[:2] == (404, b"")
    assert client.sock.getsockname() == mine


@pytest.mark.parametrize(
    ("wanted", "status", "begin", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=1000-", 206, 1000, 1024),
        ("bytes=1000-9999", 206, 1000, 1024),
        ("bytes=-24", 206, 1000, 1024),
        ("bytes=-9999", 206, 0, 1024),
        ("bytes=1024-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=20-10", 200, 0, 1024),
        ("bytes=-", 200, 0, 1024),
        ("bytes=0-1,5-6", 200, 0, 1024),
        ("lines=1-2", 200, 0, 1024),
    ],
)
def test_ranges(client: http.client.HTTPConnection, wanted: str, status: int, begin: int, end: int) -> None:
    found, body, headers = ask(client, "/file", {"Range": wanted})
    assert found == status
    if status == 416:
        assert headers["Content-Range"] == "bytes */1024"
    else:
        assert body == TEXT[begin:end]
        assert headers["Content-Range"] == (f"bytes {begin}-{end - 1}/1024" if status == 206 else None)


def test_conditions(client: http.client.HTTPConnection, site: Path) -> None:
    os.utime(site / "file", (1_700_000_000, 1_700_000_000))
    headers = ask(client, "/file")[2]
    tag, date = headers["ETag"], headers["Last-Modified"]
    later, earlier = "Wed, 15 Nov 2023 00:00:00 GMT", "Mon, 13 Nov 2023 00:00:00 GMT"
    for condition, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": later}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": later}, 304),
        ({"If-Modified-Since": earlier}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"Range": "bytes=0-1", "If-Range": tag}, 206),
        ({"Range": "bytes=0-1", "If-Range": '"x"'}, 200),
    ):
        found, body, _ = ask(client, "/file", condition)
        assert found == status, condition
        assert len(body) == {200: 1024, 206: 2, 304: 0}[status]
    (site / "file").write_bytes(b"new")
    assert ask(client, "/file", {"If-None-Match": tag})[:2] == (200, b"new")


def test_nothing_outside_is_reached(site: Path, client: http.client.HTTPConnection, tmp_path: Path) -> None:
    for name, target in {
        "absolute": str(tmp_path / "secret"),
        "relative": "../secret",
        "directory": "..",
        "root": "/",
        "process": "/proc/self/root",
        "loop": "loop",
    }.items():
        (site / name).symlink_to(target)
    inside = str(tmp_path / "secret").lstrip("/")
    for path in (
        *("/absolute", "/relative", "/directory/secret", f"/root/{inside}", f"/process/{inside}", "/loop"),
        *("/", "/sub", "/sub/", "/file/", "/file/x", "/" + "x" * 300),
    ):
        assert ask(client, path)[0] == 404, path
    for path in ("/../secret", "/sub/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/sub/..", "/file%00"):
        assert ask(client, path)[0] == 400, path
    os.mkfifo(site / "pipe")
    assert ask(client, "/pipe")[0] == 404
    assert ask(client, "/file")[0] == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET /file HTTP/1.0\r\n\r\n", 200),
        (b"\r\nGET http://x/file HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /file HTTP/1.1\r\n\r\n", 400),
        (b"GET /file\r\n\r\n", 400),
        (b"GET /file HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET file HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /file HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /file HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % n for n in range(101)) + b"\r\n", 431),
        (b"POST /file HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"\xff\xfe\r\n\r\n", 400),
    ],
)
def test_requests_as_bytes(site: Path, request_: bytes, status: int) -> None:
    with serving(site) as url:
        assert raw(port_of(url), request_).startswith(f"HTTP/1.1 {status} ".encode())


def test_requests_may_come_in_a_row(site: Path) -> None:
    with serving(site) as url:
        answers = raw(port_of(url), b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(TEXT) == 5


def test_silent_connections_keep_nobody_out(site: Path) -> None:
    with serving(site) as url, ExitStack() as stack:
        for _ in range(THREADS + 10):
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=20))
        assert raw(port_of(url), b"GET /file HTTP/1.0\r\n\r\n").endswith(TEXT)


def test_a_large_file_is_not_held_in_memory(site: Path) -> None:
    size = 400 * 1024 * 1024
    with open(site / "large", "wb") as file:
        file.truncate(size)
        file.seek(size - 3)
        file.write(b"end")
    with command(site) as (process, line):
        url = line.split(" at ")[1].strip()
        client = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=60)
        client.request("GET", "/large")
        answer = client.getresponse()
        got, last = 0, b""
        while part := answer.read(1 << 20):
            got, last = got + len(part), part
        assert got == size
        assert last.endswith(b"end")
        client.close()
        status = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s*(\d+) kB", status).group(1))  # type: ignore[union-attr]
    assert peak < 100_000


def test_what_cant_be_served_is_said(site: Path, tmp_path: Path) -> None:
    for directory in (tmp_path / "none", site / "file"):
        with pytest.raises(UsageError), serving(directory):
            pass
    with serving(site) as url:
        with pytest.raises(ToolError) as caught, serving(site, port=port_of(url)):
            pass
        assert str(port_of(url)) in caught.value.message
    for port in (70000, -1):
        with pytest.raises(UsageError), serving(site, port=port):
            pass
    for bind in ("192.0.2.1", "no host"):
        with pytest.raises(ToolError), serving(site, bind):
            pass
    with serving(site, port=port_of(url)) as again:  # what ended has given the port back
        assert again == url


def test_the_command(site: Path, tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    with command(site, "--port-file", port_file, "--debug") as (process, line):
        url = line.removeprefix(f"Serving {site} at ").strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        assert port_file.read_text() == f"{port_of(url)}\n"
        assert raw(port_of(url), b"GET /file HTTP/1.0\r\n\r\n").endswith(TEXT)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 128 + signal.SIGTERM
        assert "127.0.0.1 GET /file 200 1024" in errors
    with command(site, "--json") as (process, line):
        answer = json.loads(line)
        assert answer["directory"] == str(site)
        assert raw(port_of(answer["url"]), b"GET /file HTTP/1.0\r\n\r\n").endswith(TEXT)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGINT


def test_thousands_of_objects_are_pulled_in_seconds(tmp_path: Path) -> None:
    create(tmp_path / "build", "bare")
    create(tmp_path / "archive", "archive")
    files = {f"usr/lib/{n % 300}/{n}": f"{n}" * 20 for n in range(3000)}
    checksum = commit_tree(tmp_path / "build", files=files)
    Repository(tmp_path / "archive").pull_commit(tmp_path / "build", bytes.fromhex(checksum))
    write_refs(tmp_path / "archive", {"granite/12": bytes.fromhex(checksum)})
    client = tmp_path / "client"
    create(client, "bare-user")
    with command(tmp_path / "archive") as (_, line):
        url = line.split(" at ")[1].strip()
        run(["ostree", f"--repo={client}", "remote", "add", "--no-gpg-verify", "site", url])
        run(["ostree", f"--repo={client}", "pull", "site", "granite/12"], timeout=15)  # about 1 s
    run(["ostree", f"--repo={client}", "fsck", "--quiet"])
