"""Sentences scored by a fastText classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np

from ...storage import cache_path, download, sha256_of
from ..base import Labeler, LabelerError, Span, utf8_safe
from ..identity import file_digest
from ..text.sentences import split_bytes, strip
from .file import Layout, read_layout

_new_span = partial(tuple.__new__, Span)
"""`Span._make`, three times as fast."""

_END_OF_LINE = re.compile(r"(?<![^ \n\r\t\v\f\0])</s>(?![^ \n\r\t\v\f\0])")
"""What fastText reads no further than: a word of its own, between its kinds of white space."""

ALIASES = {
    # Dolma's tagger of this name. Its publisher gives no sha256, so that `sha256` is the user's to pin.
    "jigsaw_hatespeech_sentence_v2": "https://dolma-artifacts.org/fasttext_models/"
    "jigsaw_fasttext_bigrams_20230515/jigsaw_fasttext_bigrams_hatespeech_final.bin",
}


class FastTextLabeler(Labeler):
    """The probability of one label, sentence by sentence, as Dolma's sentence taggers have it.

    Each sentence is classified with its newlines turned into spaces and the white space around it stripped.
    The score is what fastText reports (a softmax plus 1e-5), clipped to [0, 1] and not rounded; Dolma's own
    attribute files round it to 5 decimals. As there, fastText reads no further than a literal `</s>`.

    A softmax over two labels with plain (not quantised) matrices is scored by `collapsed.Collapsed`, any other model by
    fastText itself. The former's scores are within 1e-6 of fastText's (1e-5 with subwords) and on the same side of every
    threshold: of each t and 1 - t of at most four significant digits, and of `thresholds`.

    Args:
        key: where the labeler stands in the YAML.
        model: an alias (see `ALIASES`), a file, or a URL with `sha256`. Downloads are kept in the folder
            $AXOLOTL_SLUNG_CACHE, or else ~/.cache/axolotl-slung.
        label: the label whose probability is the score.
        sha256: digest of the model's file, in hexadecimal; a URL needs one.
        thresholds: the bounds that the scores will be held against, where they have more digits than four.
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
        thresholds: Sequence[float] = (),
    ):
        super().__init__(key)
        self.source = model
        self.label_name = label
        self.sha256 = sha256
        self.thresholds = tuple(sorted(thresholds))
        self.url = ALIASES.get(model, model if model.startswith(("https://", "http://")) else None)
        self.path = cache_path(self.url) if self.url else Path(model).expanduser()
        self._model = self._layout = self._collapsed = self._digest = None

    def check(self) -> None:
        """Download the model if need be, verify its digest, look into it for the label, and collapse it if possible."""
        self._locate()
        self._layout = self._collapsed = self._digest = None
        if self.sha256 is not None:
            self._digest = sha256_of(self.path)
            if self._digest != self.sha256.lower():
                raise LabelerError(
                    f"{self.key}.sha256: {self.path} has the sha256 {self._digest}, not {self.sha256.lower()}; "
                    "delete the file if it is damaged, correct `sha256` if that is wrong"
                )
        if self.collapsed:
            self._open_collapsed()

    def files(self) -> list[Path]:
        """The model's file; it is there after `check`."""
        return [self.path]

    @property
    def layout(self) -> Layout:
        """What the model's file says of itself; checked, and read on first use."""
        if self._layout is None:
            self._locate()
            self._layout = self._read_layout()
        return self._layout

    @property
    def collapsed(self) -> bool:
        """Whether the scores are computed by `collapsed.Collapsed`, and not by fastText itself."""
        return self.layout.collapsible

    @property
    def model(self) -> Any:
        """The fastText model, loaded on first use."""
        if self._model is None:
            _ = self.layout  # raises unless the file is whole
            self._model = self._load()
        return self._model

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span a sentence, with the label's probability; see `Labeler.label`."""
        sentences = split_bytes(texts)
        starts, ends = sentences.characters.T
        first, last = strip(sentences)
        # nothing is left where Python strips a character that the splitter takes for a letter, such as U+2028
        kept = np.flatnonzero(first < last)
        scores = self._scores(sentences.data, first[kept], last[kept])
        fields = zip(starts[kept].tolist(), ends[kept].tolist(), scores.tolist(), repeat(self.name))
        spans = list(map(_new_span, fields))
        bounds = np.searchsorted(kept, np.cumsum(sentences.counts)).tolist()
        return [spans[start:end] for start, end in pairwise([0, *bounds])]

    def score_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The label's probability for each whole text, read as one line.

        Unlike a sentence, a text is read to its end: fastText takes a literal `</s>` for the end of the line.

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
        """float32 (n,), in [0, 1], for the sentences at these bytes, without white space around them."""
        if not self.collapsed:
            return self._scores_of_fasttext(data, starts, ends)
        if self._collapsed is None:
            self._open_collapsed()
        buffer = np.frombuffer(data, np.uint8)
        scores, unsure = self._collapsed.scores(buffer, starts, ends, self.thresholds)
        if unsure.size:
            scores[unsure] = self._scores_of_fasttext(data, starts[unsure], ends[unsure])
        return scores

    def _scores_of_fasttext(self, data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        lines = [data[a:b].decode().replace("\n", " ") for a, b in zip(starts.tolist(), ends.tolist())]
        try:
            labels, probabilities = self.model.predict(lines, k=-1)
        except RuntimeError as error:
            raise self._unusable(str(error)) from error
        # no label is reported for a line without a known word, and hierarchical softmax leaves out those below 1e-5
        scores = [
            values[names.index(self.label_name)] if self.label_name in names else 0.0
            for names, values in zip(labels, probabilities)
        ]
        return np.clip(np.array(scores, np.float32), 0, 1)

    def _open_collapsed(self) -> None:
        from .collapsed import Collapsed

        # part of the pickle, so that worker processes need not read the whole file again
        self._digest = self._digest or file_digest(self.path)
        try:
            self._collapsed = Collapsed(self.path, self.layout, self.label_name, self._digest)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from error

    def _locate(self) -> None:
        """Have the model's file at `self.path`, or raise."""
        if self.source == self.url and self.sha256 is None:
            raise LabelerError(
                f"{self.key}.sha256: missing; a model from a URL ({self.url}) needs the sha256 of its file"
            )
        if self.path.is_file():
            return
        if self.url is None:
            raise LabelerError(
                f"{self.key}.model: {self.source!r} is no file here, no http(s) URL and no alias ({', '.join(ALIASES)})"
            )
        download(f"{self.key}.model", self.url, self.path, self.sha256)

    def _read_layout(self) -> Layout:
        """Raise unless the file is a whole classifier that knows the label."""
        try:
            layout = read_layout(self.path)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from error
        if self.label_name not in layout.labels:
            raise LabelerError(
                f"{self.key}.label: {self.path} has no label {self.label_name!r}; it has {', '.join(layout.labels)}"
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
                    f"{self.key}: this build of fastText does not work with numpy 2; uninstall it (fasttext "
                    "or fasttext-wheel) and install fasttext-numpy2-wheel"
                ) from error
            raise self._unusable(str(error)) from error
        return model

    def _unusable(self, reason: str) -> LabelerError:
        mend = f"delete it, so that it is downloaded from {self.url} again" if self.url else "replace it"
        return LabelerError(f"{self.key}.model: {self.path} is no usable fastText classifier: {reason}; {mend}")
