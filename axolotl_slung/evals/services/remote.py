"""Asking a remote service many things: politely, stubbornly, and nothing twice."""

from __future__ import annotations

import logging
import math
import os
import queue
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx
from tqdm import tqdm

from ...errors import SlungError
from .answers import AnswerCache, digest

LOG = logging.getLogger(__name__)

ATTEMPTS = 6
"""How often one thing is asked for."""

BACK_OFF = 1.0
"""Seconds before the second attempt, at most; each further one waits twice as long."""

LONGEST_WAIT = 60.0
"""Seconds; no wait is longer, whatever the service says."""

GIVE_UP = 50
"""Failures in a row, each after all of its attempts, after which the service is taken to be out of order."""

_OF_THE_ITEM = ("http 400", "http 413", "http 422")
"""What a service says that is in order, of something that it cannot take: a language it does not know, a text too long."""

NOT_ASKED = "not asked"
"""The reason of what was left when the service was given up."""

TIMEOUT = 60.0
"""Seconds without a byte after which a reply is given up."""

_THREAD = "slung-ask"


class Refused(Exception):
    """One request came to nothing; `again`: whether another attempt makes sense, after `wait` seconds if it is said."""

    def __init__(self, reason: str, again: bool = True, wait: float | None = None):
        super().__init__(reason)
        self.reason, self.again, self.wait = reason, again, wait


class Service:
    """An HTTP service that takes and gives JSON. Neither its key nor what it is sent gets into logs or exceptions.

    Args:
        said: the option and its value, which errors begin with.
        url: its address, without a query, a user or a password in it; else, or without a key, a SlungError.
        variable: the environment variable of its key.
        header: the name of the key's header, and what comes before the key in it.
        required: whether there has to be a key.
    """

    def __init__(self, said: str, url: str, variable: str, header: tuple[str, str], required: bool):
        self.said, self.variable = said, variable
        self.url, self.host = url.rstrip("/"), host_of(url)
        if any(sign in url for sign in "@?#"):  # not quoted: it may hold a secret
            raise SlungError(f"{said}: its url has a user, a password or a query in it; take that out")
        if not self.host:
            raise SlungError(f"{said}: its url {url!r} is no http(s) address; give one like http://localhost:8000/v1")
        secret = os.environ.get(variable, "").strip()
        if not secret and required:
            raise SlungError(f"{said}: needs a key in the environment variable {variable}, which is not set")
        if not all("!" <= character <= "~" for character in secret):
            raise SlungError(f"{said}: {variable} holds characters that no key has; copy the key again")
        self.has_key = bool(secret)
        headers = {header[0]: header[1] + secret} if secret else {}
        for name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
            logging.getLogger(name).addFilter(_not_ours)
        # as many connections as there are threads
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT, limits=httpx.Limits(max_connections=None))

    def post(self, path: str, body: Mapping, read: Callable[[dict], object]) -> object:
        """What `read` makes of the reply to one request.

        Args:
            path: what follows the address.
            body: the request, without lone surrogates.
            read: takes the reply apart; an error such as KeyError, TypeError or ValueError makes it garbage.

        Raises:
            Refused: there is no such reply.
            SlungError: the service does not take the key.
        """
        failure = None
        try:
            response = self._client.post(self.url + path, json=body)
        except httpx.TimeoutException:
            failure = "timeout"
        except httpx.HTTPError as error:
            failure = "garbage" if isinstance(error, httpx.DecodingError) else "connection"
        # out here, where there is no other exception to be carried along: that one holds the request
        if failure is not None:
            raise Refused(failure)
        status = response.status_code
        # Google says 400 of a wrong key
        if status in (401, 403) or (status == 400 and "API_KEY_INVALID" in response.text):
            problem = "does not take the key; check the one" if self.has_key else "wants a key; put it"
            raise SlungError(f"{self.said}: {self.host} {problem} in {self.variable} (HTTP {status})")
        if not response.is_success:
            raise Refused(
                f"http {status}", status >= 500 or status in (408, 409, 425, 429), _wanted_wait(response.headers)
            )
        try:
            return read(response.json())
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            failure = "garbage"
        raise Refused(failure)


class Answers(NamedTuple):
    """For each request what `ask` gave, or None where it failed; and the reasons of the Nones.

    Reasons are such as "http 429", "timeout", "connection", "garbage" and "not asked".
    """

    values: list
    failures: Counter


def ask_all(
    requests: Sequence[Sequence[str]],
    ask: Callable[[Sequence[str]], object],
    cache: AnswerCache,
    *,
    concurrency: int,
    per_second: float | None,
    what: str,
) -> Answers:
    """Ask a service everything that the cache does not know, equal requests once, with a progress bar on stderr.

    An answer is in the cache before anything else is done with it, so that a run that was killed asks nothing twice. What
    is refused for now is asked again after a growing wait; where the service says how long, all threads leave it alone.

    Args:
        requests: strings each, all that decides the answer: the cache's key.
        ask: gives the answer to one request, which JSON can hold and is not None, or raises `Refused`, or a SlungError
            where asking on is of no use.
        cache: keeps the answers.
        concurrency: how many are asked at once.
        per_second: how many may start within a second, over all calls of this process for the same `what`, or None.
        what: the service's name, for the bar.

    Raises:
        SlungError: `ask` raised it.
        RuntimeError: `ask` has a fault; it says where, and quotes nothing.
        ValueError: `concurrency` below one.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}; at least one thread has to ask")
    keys = [digest(request) for request in requests]
    found = cache.read(keys)
    todo = {key: request for key, request in zip(keys, requests) if key not in found}
    asking = _Asking(todo, ask, cache, _paces.setdefault((what, per_second), _Pace(per_second)))
    if todo:
        asking.run(concurrency, what)
    found |= asking.found
    failures = Counter(asking.reasons.get(key, NOT_ASKED) for key in keys if key not in found)
    return Answers([found.get(key) for key in keys], failures)


class _Outcome(NamedTuple):
    key: bytes
    value: object = None
    reason: str = ""
    error: Exception | None = None


class _Asking:
    """One call of `ask_all`: what its threads share.

    Args:
        todo: the requests by their keys.
        ask, cache: see `ask_all`.
        pace: when a request may start.

    Attributes:
        found: the answers by key.
        reasons: why there is none; where asking was given up, a key is in neither.
    """

    def __init__(self, todo: Mapping[bytes, Sequence[str]], ask: Callable, cache: AnswerCache, pace: _Pace):
        self.found: dict[bytes, object] = {}
        self.reasons: dict[bytes, str] = {}
        self._todo, self._ask, self._cache, self._pace = todo, ask, cache, pace
        self._waiting, self._done, self._stop = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()

    def run(self, concurrency: int, what: str) -> None:
        """Ask, with a progress bar, until every request has an outcome or the service fails too often."""
        for item in self._todo.items():
            self._waiting.put(item)
        # daemons: an interrupt must not wait for pending replies
        threads = [
            threading.Thread(target=self._work, name=f"{_THREAD}-{i}", daemon=True)
            for i in range(min(concurrency, len(self._todo)))
        ]
        in_a_row = 0
        try:
            for thread in threads:
                thread.start()
            with tqdm(total=len(self._todo), desc=what, file=sys.stderr) as bar:
                for _ in self._todo:
                    outcome = self._done.get()
                    if outcome.error is not None:
                        raise outcome.error
                    if outcome.reason:
                        self.reasons[outcome.key] = outcome.reason
                    else:
                        self.found[outcome.key] = outcome.value
                    in_a_row = in_a_row + 1 if outcome.reason and outcome.reason not in _OF_THE_ITEM else 0
                    bar.update()
                    if in_a_row == GIVE_UP:
                        LOG.warning("slung: %s failed %d times in a row; no more requests are sent", what, GIVE_UP)
                        break
        finally:
            self._stop.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                key, request = self._waiting.get_nowait()
                outcome = self._outcome(key, request)
            except queue.Empty:
                return
            except SlungError as error:
                # a new error for the other thread: the frames of this one hold the request
                outcome = _Outcome(key, error=SlungError(str(error)))
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                text = f"{type(error).__name__} at {place.filename}:{place.lineno} while asking a service"
                outcome = _Outcome(key, error=RuntimeError(text))
            if outcome.error is not None:
                self._stop.set()
            self._done.put(outcome)

    def _outcome(self, key: bytes, request: Sequence[str]) -> _Outcome:
        for attempt in range(ATTEMPTS):
            self._pace.wait(self._stop)
            if self._stop.is_set():
                break
            try:
                value = self._ask(request)
            except Refused as refused:
                if refused.wait is not None:
                    self._pace.hold(min(refused.wait, LONGEST_WAIT))
                if not refused.again or attempt == ATTEMPTS - 1:
                    return _Outcome(key, reason=refused.reason)
                # with jitter: requests that failed together should not retry together
                delay = BACK_OFF * 2**attempt * random.uniform(0.5, 1)
                self._stop.wait(min(max(delay, refused.wait or 0), LONGEST_WAIT))
            else:
                self._cache.write(key, value)
                return _Outcome(key, value)
        return _Outcome(key, reason=NOT_ASKED)


class _Pace:
    def __init__(self, per_second: float | None):
        self._gap = 0.0 if per_second is None else 1 / per_second
        self._next = -math.inf
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> None:
        """Return when it is this thread's turn, each a gap after the one before, or at `stop`."""
        with self._lock:
            now = time.monotonic()
            start = max(self._next, now)
            self._next = start + self._gap
        stop.wait(start - now)

    def hold(self, seconds: float) -> None:
        """Let nobody begin to wait for a turn that is nearer than so many seconds."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


_paces: dict[tuple, _Pace] = {}
"""Kept between calls: many calls for one text each are held to the same rate."""


def host_of(url: str) -> str:
    """The name of the computer in an http(s) address; "" where it is no such address."""
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


def _not_ours(record: logging.LogRecord) -> bool:
    """Keeps what httpx tells of every single request out of the log; others in this process may want it of theirs."""
    return not (record.threadName or "").startswith(_THREAD)
