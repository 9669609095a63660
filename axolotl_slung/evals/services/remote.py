"""Sends many requests to a service, with a rate limit, retries and a cache."""

from __future__ import annotations

import math
import queue
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tqdm import tqdm

from ...errors import SlungError, get_logger
from .answers import AnswerCache, digest
from .service import THREAD, Refused

LOG = get_logger(__name__)

ATTEMPTS = 6
"""The maximum number of attempts per request."""

BACK_OFF = 1.0
"""The maximum wait before the second attempt, in seconds. It doubles with each further attempt."""

LONGEST_WAIT = 60.0
"""The longest wait in seconds, even if the service asks for more."""

GIVE_UP = 50
"""After this many failed requests in a row, each with all its attempts, the service counts as out of order."""

ALL_REFUSED = 20
"""If the service refuses this many first requests for one reason, it counts as set up for something else."""

_OF_THE_ITEM = ("http 400", "http 413", "http 422")
"""Replies of a working service to a request that it cannot handle, such as an unknown language or a text too long."""

NOT_ASKED = "not asked"
"""The reason for requests that were not sent because the service was given up."""


class Unkept(NamedTuple):
    """An answer that is not written to the cache, because the service may give another one later."""

    value: object


class Answers(NamedTuple):
    """The result of `ask` per request, or None if it failed, and the number of failures per reason.

    Reasons are, for example, "http 429", "timeout", "connection", "garbage" and "not asked".
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
    """Send a service all requests that are not in the cache, equal ones once, with a progress bar on stderr.

    Each answer is written to the cache before it is used, so a killed run repeats no request. Temporary failures are
    retried after a growing wait. If the service says how long to wait, all threads wait.

    Args:
        requests: per request, the strings that determine its answer; they are the key in the cache.
        ask: returns the answer to one request, a JSON value other than None, or `Unkept`. It raises `Refused` if the request failed,
            and SlungError if all others would fail too.
        cache: stores the answers.
        concurrency: the maximum number of parallel requests, at least one.
        per_second: the maximum number of requests that start per second, over all calls in this process with the same
            `what`; None for no limit.
        what: the service's name, for the progress bar.

    Raises:
        SlungError: `ask` raised it.
        RuntimeError: `ask` raised another error. The message says where, and quotes nothing.
    """
    keys = [digest(request) for request in requests]
    found = cache.read(keys)
    todo = {key: request for key, request in zip(keys, requests) if key not in found}
    asking = _Asking(todo, ask, cache, _paces.setdefault((what, per_second), _Pace(per_second)), works=bool(found))
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
        works: whether the service has answered such requests before.

    Attributes:
        found: the answers by key.
        reasons: why there is none; where asking was given up, a key is in neither.
    """

    def __init__(
        self, todo: Mapping[bytes, Sequence[str]], ask: Callable, cache: AnswerCache, pace: _Pace, works: bool
    ):
        self._works = works
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
            threading.Thread(target=self._work, name=f"{THREAD}-{i}", daemon=True)
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
                    of_the_item = outcome.reason.startswith(_OF_THE_ITEM)
                    in_a_row = in_a_row + 1 if outcome.reason and not of_the_item else 0
                    bar.update()
                    alike = of_the_item and not self._works and not self.found and len(set(self.reasons.values())) == 1
                    refused = len(self.reasons) if alike else 0
                    if in_a_row == GIVE_UP or refused == ALL_REFUSED < len(self._todo):
                        LOG.warning(
                            "slung: %s failed %d times in a row; no more requests are sent",
                            what,
                            max(in_a_row, refused),
                        )
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
                if isinstance(value, Unkept):
                    return _Outcome(key, value.value)
                self._cache.write(key, value)
                return _Outcome(key, value)
        return _Outcome(key, reason=NOT_ASKED)


class _Pace:
    def __init__(self, per_second: float | None):
        self._gap = 0.0 if per_second is None else 1 / per_second
        self._next = -math.inf
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> None:
        """Return when it is this thread's turn, one gap after the previous turn, or when `stop` is set."""
        with self._lock:
            now = time.monotonic()
            start = max(self._next, now)
            self._next = start + self._gap
        stop.wait(start - now)

    def hold(self, seconds: float) -> None:
        """Start no new turn within this many seconds."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


_paces: dict[tuple, _Pace] = {}
"""Kept between calls, so the rate limit also holds over many calls with one text each."""
