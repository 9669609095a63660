"""Answers that were paid for before, by what was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...storage import Store, cache_folder


def digest(request: Sequence[str]) -> bytes:
    """32 bytes that stand for a request: all that decides its answer, such as a model and a text.

    Args:
        request: strings, lone surrogates included.
    """
    # JSON keeps ["ab", "c"] and ["a", "bc"] apart, and escapes lone surrogates
    return hashlib.blake2b(json.dumps(list(request)).encode(), digest_size=32).digest()


class AnswerCache:
    """A file of answers: the digest of a request to a JSON value, never the request itself.

    Any number of threads and processes may use it at once. A cache that cannot be read or written is left alone for
    the rest of the run, with a warning: it saves time and money and decides nothing.

    Args:
        path: the file; None for `answers/answers.sqlite` in the folder of downloads and caches.
    """

    def __init__(self, path: Path | str | None = None):
        path = cache_folder() / "answers" / "answers.sqlite" if path is None else Path(path).expanduser()
        self.store = Store(path, "answers (request BLOB PRIMARY KEY, answer TEXT)", "delete it, or move it away")

    @property
    def path(self) -> Path:
        """The file."""
        return self.store.path

    def read(self, digests: Iterable[bytes]) -> dict[bytes, object]:
        """The answers that are known among these; a damaged one counts as unknown."""
        answers = {}
        for key, value in self.store.get(digests).items():
            try:
                answers[key] = json.loads(value)
            except (TypeError, ValueError):
                continue
        return answers

    def write(self, key: bytes, answer: object) -> None:
        """Keep an answer; once this returns it outlives the process.

        Args:
            key: `digest` of the request.
            answer: anything that JSON can hold.
        """
        self.store.put([(key, json.dumps(answer))])
