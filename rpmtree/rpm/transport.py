# SPDX-License-Identifier: GPL-2.0-or-later
"""urllib as `rpmtree.rpm.fetch` uses it, apart: loading it takes as long as reading a repository does."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from typing import IO
from urllib.parse import urlsplit

from rpmtree.errors import ConfigError
from rpmtree.rpm.repos import Repo

HTTPError = urllib.error.HTTPError
IncompleteRead = http.client.IncompleteRead
#: What a server or the way to it can do to a download.
ERRORS = (TimeoutError, ssl.SSLError, http.client.HTTPException, urllib.error.URLError)
PARTIAL_CONTENT = 206


def opener(repo: Repo, proxy: str | None) -> urllib.request.OpenerDirector:
    """What opens the URLs of a repository, all but those of https://, and no others."""
    made = urllib.request.OpenerDirector()
    # Given even when empty: otherwise urllib takes proxies from the environment. Handlers of file: are not given.
    made.add_handler(urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}))
    made.add_handler(urllib.request.HTTPHandler())
    made.add_handler(urllib.request.HTTPDefaultErrorHandler())
    made.add_handler(urllib.request.HTTPErrorProcessor())
    made.add_handler(urllib.request.UnknownHandler())
    made.add_handler(_Redirects())
    if repo.username:
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        for url in repo.baseurl:
            passwords.add_password(None, url, repo.username, repo.password, is_authenticated=True)
        made.add_handler(urllib.request.HTTPBasicAuthHandler(passwords))
    return made


def add_tls(made: urllib.request.OpenerDirector, repo: Repo) -> None:
    """Have https:// opened, too; reading all certificates takes as long as a solve. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=repo.sslcacert)
        if not repo.sslverify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if repo.sslclientcert:
            context.load_cert_chain(repo.sslclientcert, repo.sslclientkey)
    except OSError as error:
        message = f"a certificate or key of the repository {repo.id} can't be read: {error}"
        raise ConfigError(message, place=repo.place) from error
    made.add_handler(urllib.request.HTTPSHandler(context=context))


def request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    """A request for a URL, whose scheme the caller has looked at."""
    return urllib.request.Request(url, headers=headers)  # noqa: S310


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http, and never to another scheme."""

    max_redirections = 5

    def redirect_request(  # noqa: PLR0917 - the signature is urllib's
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows; None ends in an error."""
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise urllib.error.URLError(f"the server leads to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
