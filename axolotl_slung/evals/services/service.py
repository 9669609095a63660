"""One request to an HTTP service with JSON requests and replies."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ...errors import SlungError

TIMEOUT = 60.0
"""A reply fails after this many seconds without a byte."""

THREAD = "slung-ask"
"""The name of the threads that send requests begins with it."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{1,40}")


class Refused(Exception):
    """A request failed.

    `again`: whether to retry, after `wait` seconds if the service asked for that. `fields`: fields of the request that the
    service names, in quotes.
    """

    def __init__(
        self, reason: str, again: bool = True, wait: float | None = None, fields: frozenset[str] = frozenset()
    ):
        super().__init__(reason)
        self.reason, self.again, self.wait, self.fields = reason, again, wait, fields


class Service:
    """An HTTP service with JSON requests and replies. Neither its key nor the requests get into logs or exceptions.

    Args:
        said: the option and its value; errors begin with it.
        url: the service's address, without a query, user or password.
        variable: the environment variable of its key.
        header: the name of the key's header, and the prefix of the key in it.
        required: whether a key is required.

    Raises:
        SlungError: the address or the key is invalid, or a required key is missing.
    """

    def __init__(self, said: str, url: str, variable: str, header: tuple[str, str], required: bool):
        self.said, self.variable = said, variable
        self.url, self.host = url.rstrip("/"), host_of(url)
        if any(sign in url for sign in "@?#"):  # not quoted: it may contain a secret
            raise SlungError(f"{said}: its URL has a user, a password or a query; remove it")
        if not self.host:
            raise SlungError(
                f"{said}: its URL is {url!r}, expected an http(s) address such as http://localhost:8000/v1"
            )
        secret = os.environ.get(variable, "").strip()
        if not secret and required:
            raise SlungError(f"{said}: no key found; set the environment variable {variable}")
        if not all("!" <= character <= "~" for character in secret):
            raise SlungError(f"{said}: {variable} has characters that no key contains; copy the key again")
        self.has_key = bool(secret)
        headers = {header[0]: header[1] + secret} if secret else {}
        for name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
            logging.getLogger(name).addFilter(_not_ours)
        # as many connections as there are threads
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT, limits=httpx.Limits(max_connections=None))

    def post(self, path: str, body: Mapping, read: Callable[[dict], object]) -> object:
        """Send one request, and return `read` of its reply.

        Args:
            path: the path after the service's address.
            body: the request, without lone surrogates.
            read: parses the reply. If it raises, for example, KeyError, TypeError or ValueError, the reply is garbage.

        Raises:
            Refused: the request failed, or its reply is garbage.
            SlungError: the service rejects the key.
        """
        failure = None
        try:
            response = self._client.post(self.url + path, json=body)
        except httpx.TimeoutException:
            failure = "timeout"
        except httpx.HTTPError as error:
            failure = "garbage" if isinstance(error, httpx.DecodingError) else "connection"
        # raised here and not in the `except`: a chained exception would carry the request
        if failure is not None:
            raise Refused(failure)
        status = response.status_code
        # Google replies 400 to a wrong key
        if status in (401, 403) or (status == 400 and "API_KEY_INVALID" in response.text):
            problem, fix = ("rejects the key", "check") if self.has_key else ("requires a key", "set")
            raise SlungError(f"{self.said}: {self.host} {problem} (HTTP {status}); {fix} {self.variable}")
        if not response.is_success:
            again = status >= 500 or status in (408, 409, 425, 429)
            fields = frozenset(name for name in body if re.search(rf"""['"`]{name}\\?['"`]""", response.text))
            raise Refused(f"http {status}{_error_code(response)}", again, _wanted_wait(response.headers), fields)
        try:
            return read(response.json())
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            failure = "garbage"
        raise Refused(failure)


def host_of(url: str) -> str:
    """The host name in an http(s) address; "" if the address is not valid."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return ""
    return parts.host if parts.scheme in ("http", "https") else ""


def _wanted_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for; None where it is absent or unreadable."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _error_code(response: httpx.Response) -> str:
    """The error's code and parameter that the service names; never its message, which may quote the request."""
    try:
        reply = response.json()
        error = reply.get("error", reply)
        named = [error.get(key) for key in ("code", "type", "param", "status")]
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return ""
    said = [name for name in named if isinstance(name, str) and _CODE.fullmatch(name)]
    return "".join(f" {name}" for name in dict.fromkeys(said))


def _not_ours(record: logging.LogRecord) -> bool:
    """Filter that drops httpx's log line per request of ours; other code in this process may want its own."""
    return not (record.threadName or "").startswith(THREAD)
