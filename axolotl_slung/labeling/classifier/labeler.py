"""Scores sentences, documents or tokens with a Hugging Face classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ..base import Labeler, LabelerError, Span, utf8_safe
from ..text.sentences import split
from .model import ClassifierModel, Window, files_of, locate


class ClassifierLabeler(Labeler):
    """The probability of one label, from a sequence or token classifier of the `transformers` library.

    A sequence classifier scores each sentence (`unit: sentence`, without the white space around it) or the whole text
    (`document`). The score is a softmax over the labels. It is a sigmoid if the model has the problem type
    `multi_label_classification` or one logit.

    A token classifier (`unit: token`) finds entities: runs of tokens whose most probable tag is one of the label's.
    The prefixes B-, I-, E- (or L-) and S- (or U-), if any, determine where entities begin and end. An entity's score
    is the highest of its tokens' probabilities, each for the token's own tag.

    Texts longer than the model's limit are cut into windows that overlap by a quarter. The score of a sentence or
    document is the highest over its windows. Each token takes its tag from the window with more context around it.
    Special tokens that a text spells out ("[SEP]", for example) are read as ordinary characters. A text without
    tokens has no spans.

    Weights are read as float32. The model is on the GPU, if there is one, only while it labels. Code that comes with
    a model is not run.

    Args:
        key: the labeler's place in the YAML.
        model: a folder, or the name of a model on the Hugging Face hub (stored in the hub's own cache).
        label: the label whose probability is the score. For tokens: without its prefix.
        unit: what gets one score each.
        batch_size: windows per batch.
        revision: commit, tag or branch of a model on the hub.
    """

    scope = "document"
    cached = True
    lazy = ("_model",)
    packages = ("transformers", "tokenizers", "livekit-blingfire")

    def __init__(
        self,
        key: str,
        model: str,
        label: str = "toxic",
        unit: Literal["sentence", "document", "token"] = "sentence",
        batch_size: int = 32,
        revision: str | None = None,
    ):
        super().__init__(key)
        self.source = model
        self.label_name = label
        self.unit: Literal["sentence", "document", "token"] = unit
        self.batch_size = batch_size
        self.revision = revision
        self.folder: Path | None = None
        self.device = "cpu"
        self._model: ClassifierModel | None = None
        self._in_worker = False

    def __setstate__(self, state):
        vars(self).update(state, _in_worker=True)

    def check(self) -> None:
        """Download the model if necessary, load it and check that it has the label. The GPU is not used yet."""
        import torch

        self.folder = locate(self.key, self.source, self.revision)
        self.model  # noqa: B018
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            self.device = "cuda" if torch.cuda.is_available() else "mps"
            # a process per GPU: each further one would put its own copy of the model on the same GPU
            self.most_processes = max(1, torch.cuda.device_count())

    def files(self) -> list[Path]:
        """The model's weights, configuration and tokenizer. They exist after `check`."""
        return [] if self.folder is None else files_of(self.folder)

    @property
    def model(self) -> ClassifierModel:
        """The model, loaded on first use."""
        if self._model is None:
            self.folder = self.folder or locate(self.key, self.source, self.revision)
            if self._in_worker:
                self._prepare_worker()
            self._model = ClassifierModel(self.key, self.folder, self.label_name, self.unit)
        return self._model

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per sentence, document or entity; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        if self.unit == "sentence":
            places = [(i, *span) for i, spans in enumerate(split(texts)) for span in spans]
        else:
            places = [(i, 0, len(text)) for i, text in enumerate(texts)]
        pieces = [texts[index][start:end] for index, start, end in places]
        if self.unit == "sentence":
            pieces = [piece.strip() for piece in pieces]
        labeled: list[list[Span]] = [[] for _ in texts]
        for (index, start, end), windows in zip(places, self.model.read(pieces, self.batch_size, self.device)):
            if self.unit == "token":
                labeled[index] = self._entities(texts[index], windows)
            elif windows:
                (tag,) = self.model.tags
                labeled[index].append(Span(start, end, max(float(window.probabilities[tag]) for window in windows)))
        return labeled

    def _prepare_worker(self) -> None:
        import torch

        if self.device != "cpu":
            raise LabelerError(
                f"{self.key}: worker processes cannot share the GPU; use one process (`slung label -j 1`), or set "
                'CUDA_VISIBLE_DEVICES="" to label on the CPU'
            )
        # each core already has a process, and after a fork torch would wait for threads that do not exist
        torch.set_num_threads(1)

    def _entities(self, text: str, windows: list[Window]) -> list[Span]:
        found: list[Span] = []
        inside = False
        # two windows share tokens: each window takes the half that is farther from its edge
        cuts = [(one.first + len(one.offsets) + other.first) // 2 for one, other in pairwise(windows)]
        for window, first, last in zip(windows, [0, *cuts], [*cuts, None]):
            mine = slice(first - window.first, last and last - window.first)
            best, highest = window.probabilities[mine].argmax(-1), window.probabilities[mine].max(-1)
            for (start, end), tag, score in zip(window.offsets[mine], best.tolist(), highest.tolist()):
                prefix = self.model.tags.get(tag)
                if prefix is not None and inside and prefix not in ("B", "S", "U"):
                    found[-1] = Span(found[-1].start, max(found[-1].end, end), max(found[-1].score, score))
                elif prefix is not None:
                    found.append(Span(start, end, score))
                inside = prefix is not None and prefix not in ("E", "L", "S", "U")
        return sorted(span for entity in found if (span := _stripped(text, entity)).start < span.end)


def _stripped(text: str, span: Span) -> Span:
    """The span without white space at its ends. Many tokenizers count the space before a word as part of it."""
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    return span._replace(start=start, end=start + len(piece.strip()))
