"""Scores sentences with a fastText classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import few, meant
from ...storage import cache_path, download, sha256_of
from ..base import Labeler, LabelerError, Span, utf8_safe
from ..identity import file_digest
from ..text.sentences import split_bytes, strip
from .file import Layout, read_layout

_new_span = partial(tuple.__new__, Span)
"""`Span._make`, three times as fast."""

_END_OF_LINE = re.compile(r"(?<![^ \n\r\t\v\f\0])</s>(?![^ \n\r\t\v\f\0])")
"""Where fastText stops reading: a separate word, between what fastText counts as white space."""

ALIASES = {
    # Dolma's tagger of this name. Its publisher gives no sha256; users can pin it with `sha256`.
    "jigsaw_hatespeech_sentence_v2": "https://dolma-artifacts.org/fasttext_models/"
    "jigsaw_fasttext_bigrams_20230515/jigsaw_fasttext_bigrams_hatespeech_final.bin",
}


class FastTextLabeler(Labeler):
    """The probability of one label per sentence, as in Dolma's sentence taggers.

    In each sentence newlines become spaces, and white space at the ends is stripped. The score is what fastText
    reports (a softmax plus 1e-5), clipped to [0, 1] and not rounded. Dolma's own attribute files round it to 5
    decimals. As in Dolma, fastText stops reading at a literal `</s>`.

    `collapsed.Collapsed` scores a softmax over two labels with plain (not quantized) matrices. fastText itself scores
    any other model. Scores of `Collapsed` are within 1e-6 of fastText's (1e-5 with subwords). They are on the same side
    of every threshold: of each t and 1 - t with at most four significant digits, and of `thresholds`.

    A model knows only words as it was trained on them. `lowercase` and `spaced_punctuation` prepare each sentence as its
    training texts were prepared. Sentences are still cut in the original text, and spans are its characters.

    Args:
        key: the labeler's place in the YAML.
        model: an alias (see `ALIASES`), a file, or a URL with `sha256`. Downloads are stored in $AXOLOTL_SLUNG_CACHE,
            or by default in ~/.cache/axolotl-slung.
        label: the label whose probability is the score.
        sha256: digest of the model's file, in hexadecimal. Required for a URL.
        lowercase: convert each sentence with `str.lower` before it is scored.
        spaced_punctuation: characters that get a space on both sides before the sentence is scored.
        thresholds: the bounds that scores will be compared with. Needed for bounds of more than four digits.
    """

    scope = "document"
    lazy = ("_model", "_layout", "_collapsed")
    packages = ("fasttext-numpy2-wheel", "livekit-blingfire")

    def __init__(
        self,
        key: str,
        model: str,
        label: str = "__label__toxic",
        sha256: str | None = None,
        lowercase: bool = False,
        spaced_punctuation: str | None = None,
        thresholds: Sequence[float] = (),
    ):
        super().__init__(key)
        self.source = model
        self.label_name = label
        self.sha256 = sha256
        self.lowercase = lowercase
        self.spaced_punctuation = spaced_punctuation or ""
        self.thresholds = tuple(sorted(thresholds))
        self.url = ALIASES.get(model, model if model.startswith(("https://", "http://")) else None)
        self.path = cache_path(self.url) if self.url else Path(model).expanduser()
        self._model = self._layout = self._collapsed = self._digest = None

    def check(self) -> None:
        """Download the model if necessary, verify its digest and label, and collapse it if possible."""
        self._locate()
        self._layout = self._collapsed = self._digest = None
        if self.sha256 is not None:
            self._digest = sha256_of(self.path)
            if self._digest != self.sha256.lower():
                raise LabelerError(
                    f"{self.key}.sha256: {self.path}: expected sha256 {self.sha256.lower()}, got {self._digest}; "
                    "delete the file if it is damaged, or correct `sha256`"
                )
        if self.collapsed:
            self._open_collapsed()

    def files(self) -> list[Path]:
        """The model's file. It exists after `check`."""
        return [self.path]

    @property
    def layout(self) -> Layout:
        """The checked layout of the model's file, read on first use."""
        if self._layout is None:
            self._locate()
            self._layout = self._read_layout()
        return self._layout

    @property
    def collapsed(self) -> bool:
        """Whether `collapsed.Collapsed` computes the scores, not fastText itself."""
        return self.layout.collapsible

    @property
    def model(self) -> Any:
        """The fastText model, loaded on first use."""
        if self._model is None:
            _ = self.layout  # raises unless the file is complete
            self._model = self._load()
        return self._model

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per sentence, with the label's probability; see `Labeler.label`."""
        sentences = split_bytes(texts)
        starts, ends = sentences.characters.T
        first, last = strip(sentences)
        # a sentence is empty if Python strips its only character, which the splitter counts as a letter, such as U+2028
        kept = np.flatnonzero(first < last)
        scores = self._scores(sentences.data, first[kept], last[kept])
        fields = zip(starts[kept].tolist(), ends[kept].tolist(), scores.tolist(), repeat(self.name), repeat(""))
        spans = list(map(_new_span, fields))
        bounds = np.searchsorted(kept, np.cumsum(sentences.counts)).tolist()
        return [spans[start:end] for start, end in pairwise([0, *bounds])]

    def score_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The label's probability for each whole text, read as one line.

        A text is read to its end, unlike a sentence: each literal `</s>`, where fastText ends the line, is removed.

        Args:
            texts: n texts, any Unicode.

        Returns:
            float32 (n,), in [0, 1].
        """
        lines = [_END_OF_LINE.sub(" ", utf8_safe(text)).strip().encode() for text in texts]
        ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
        starts = np.concatenate([np.zeros(min(len(lines), 1), np.int64), ends[:-1]])
        return self._scores(b"".join(lines), starts, ends)

    def _scores(self, data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """float32 (n,), in [0, 1], for the sentences at these bytes. White space around them is already stripped."""
        if self.lowercase or self.spaced_punctuation:
            data, starts, ends = self._prepared(data, starts, ends)
        if not self.collapsed:
            return self._scores_of_fasttext(data, starts, ends)
        if self._collapsed is None:
            self._open_collapsed()
        buffer = np.frombuffer(data, np.uint8)
        scores, unsure = self._collapsed.scores(buffer, starts, ends, self.thresholds)
        if unsure.size:
            scores[unsure] = self._scores_of_fasttext(data, starts[unsure], ends[unsure])
        return scores

    def _prepared(self, data: bytes, starts: np.ndarray, ends: np.ndarray) -> tuple[bytes, np.ndarray, np.ndarray]:
        """The same sentences as the model's training texts were written, one per line."""
        sentences = [data[a:b].replace(b"\n", b" ") for a, b in zip(starts.tolist(), ends.tolist())]
        text = b"".join(sentence + b"\n" for sentence in sentences).decode()
        if self.lowercase:
            text = text.lower()
        for mark in set(self.spaced_punctuation):
            text = text.replace(mark, f" {mark} ")
        data = text.encode()
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        return data, np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1] + 1]), ends

    def _scores_of_fasttext(self, data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        lines = [data[a:b].decode().replace("\n", " ") for a, b in zip(starts.tolist(), ends.tolist())]
        try:
            labels, probabilities = self.model.predict(lines, k=-1)
        except RuntimeError as error:
            raise self._unusable(str(error)) from error
        # fastText has no label for a line without known words; hierarchical softmax omits labels below 1e-5
        scores = [
            values[names.index(self.label_name)] if self.label_name in names else 0.0
            for names, values in zip(labels, probabilities)
        ]
        return np.clip(np.array(scores, np.float32), 0, 1)

    def _open_collapsed(self) -> None:
        from .collapsed import Collapsed

        # the digest is pickled, so worker processes need not read the whole file again
        self._digest = self._digest or file_digest(self.path)
        try:
            self._collapsed = Collapsed(self.path, self.layout, self.label_name, self._digest)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from error

    def _locate(self) -> None:
        """Ensure that the model's file is at `self.path`, or raise."""
        if self.source == self.url and self.sha256 is None:
            raise LabelerError(f"{self.key}.sha256: missing; set it to the sha256 of the model at the URL {self.url}")
        if self.path.is_file():
            return
        if self.url is None:
            raise LabelerError(
                f"{self.key}.model: {self.source!r}: expected a file, an http(s) URL or an alias ({', '.join(ALIASES)})"
            )
        download(f"{self.key}.model", self.url, self.path, self.sha256)

    def _read_layout(self) -> Layout:
        """The layout. Raises unless the file is a complete classifier that has the label."""
        try:
            layout = read_layout(self.path)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from error
        if self.label_name not in layout.labels:
            raise LabelerError(
                f"{self.key}.label: {self.label_name!r}: is not in {self.path}; choose one of {few(layout.labels)}"
                f"{meant(self.label_name, layout.labels)}"
            )
        return layout

    def _load(self):
        import fasttext

        try:
            model = fasttext.load_model(str(self.path))
            model.predict("a")
        except (ValueError, RuntimeError, MemoryError) as error:
            if "avoid copy" in str(error):
                raise LabelerError(
                    f"{self.key}: this build of fastText does not support numpy 2; uninstall it (fasttext or "
                    "fasttext-wheel) and install fasttext-numpy2-wheel"
                ) from error
            raise self._unusable(str(error)) from error
        return model

    def _unusable(self, reason: str) -> LabelerError:
        fix = f"delete it, and it is downloaded from {self.url} again" if self.url else "replace it"
        return LabelerError(f"{self.key}.model: {self.path}: is not a valid fastText classifier: {reason}; {fix}")
