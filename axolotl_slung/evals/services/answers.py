"""A cache of answers from paid services, by request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...storage import Store, cache_folder


def digest(request: Sequence[str]) -> bytes:
    """The digest of a request, 32 bytes.

    Args:
        request: all strings that decide the answer, such as a model and a text. Lone surrogates are allowed.
    """
    # JSON distinguishes ["ab", "c"] from ["a", "bc"] and escapes lone surrogates
    return hashlib.blake2b(json.dumps(list(request)).encode(), digest_size=32).digest()


class AnswerCache:
    """A file of answers. It maps the digest of a request to a JSON value and never stores the request.

    Any number of threads and processes may use it at once. If it cannot be read or written, a warning is logged and the
    run continues without it, because it only saves time and money.

    Args:
        path: the file; None for `answers/answers.sqlite` in the cache folder.
    """

    def __init__(self, path: Path | str | None = None):
        path = cache_folder() / "answers" / "answers.sqlite" if path is None else Path(path).expanduser()
        self.store = Store(path, "answers (request BLOB PRIMARY KEY, answer TEXT)", "delete it, or move it away")

    @property
    def path(self) -> Path:
        """The file."""
        return self.store.path

    def read(self, digests: Iterable[bytes]) -> dict[bytes, object]:
        """The known answers among `digests`. A damaged answer counts as unknown."""
        answers = {}
        for key, value in self.store.get(digests).items():
            try:
                answers[key] = json.loads(value)
            except (TypeError, ValueError):
                continue
        return answers

    def write(self, key: bytes, answer: object) -> None:
        """Store an answer. It is on disk when this returns.

        Args:
            key: `digest` of the request.
            answer: any value that JSON can represent.
        """
        self.store.put([(key, json.dumps(answer))])

    def forget(self, digests: Iterable[bytes]) -> None:
        """Remove these answers, so that they are asked for again."""
        self.store.delete(digests)
