"""Sentences scored by a fastText classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .base import Labeler, LabelerError, Span, utf8_safe
from .fasttext_file import read_labels
from .files import cache_path, download, sha256_of
from .sentences import split

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

    Args:
        key: where the labeler stands in the YAML.
        model: an alias (see `ALIASES`), a file, or a URL with `sha256`. Downloads are kept in the folder
            $AXOLOTL_SLUNG_CACHE, or else ~/.cache/axolotl-slung.
        label: the label whose probability is the score.
        sha256: digest of the model's file, in hexadecimal; a URL needs one.
        splitter: see `sentences.split`.
    """

    scope = "document"
    lazy = ("_model",)

    def __init__(
        self,
        key: str,
        model: str,
        label: str = "__label__toxic",
        sha256: str | None = None,
        splitter: str = "blingfire",
    ):
        super().__init__(key)
        self.source = model
        self.label_name = label
        self.sha256 = sha256
        self.splitter = splitter
        self.url = ALIASES.get(model, model if model.startswith(("https://", "http://")) else None)
        self.path = cache_path(self.url) if self.url else Path(model).expanduser()
        self._model = None

    def check(self) -> None:
        """Download the model if need be, verify its digest and look into it for the label."""
        self._locate()
        if self.sha256 is not None and (found := sha256_of(self.path)) != self.sha256.lower():
            raise LabelerError(
                f"{self.key}.sha256: {self.path} has the sha256 {found}, not {self.sha256.lower()}; "
                "delete the file if it is damaged, correct `sha256` if that is wrong"
            )
        self._check_file()

    def files(self) -> list[Path]:
        """The model's file; it is there after `check`."""
        return [self.path]

    @property
    def model(self):
        """The fastText model, loaded on first use."""
        if self._model is None:
            self._locate()
            self._check_file()
            self._model = self._load()
        return self._model

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span a sentence, with the label's probability; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        places, sentences = [], []
        for index, (text, spans) in enumerate(zip(texts, split(texts, self.splitter))):
            for start, end in spans:
                sentence = text[start:end].replace("\n", " ").strip()
                # empty where Python strips a character that the splitter takes for a letter, such as U+2028
                if sentence:
                    places.append((index, start, end))
                    sentences.append(sentence)
        try:
            labels, probabilities = self.model.predict(sentences, k=-1)
        except RuntimeError as error:
            raise self._unusable(str(error)) from error
        labelled: list[list[Span]] = [[] for _ in texts]
        for (index, start, end), names, values in zip(places, labels, probabilities):
            # hierarchical softmax leaves out labels below 1e-5
            score = float(values[names.index(self.label_name)]) if self.label_name in names else 0.0
            labelled[index].append(Span(start, end, min(max(score, 0.0), 1.0)))
        return labelled

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

    def _check_file(self) -> None:
        """Raise unless the file is a whole classifier that knows the label."""
        try:
            labels = read_labels(self.path)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from error
        if self.label_name not in labels:
            raise LabelerError(
                f"{self.key}.label: {self.path} has no label {self.label_name!r}; it has {', '.join(labels)}"
            )

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
