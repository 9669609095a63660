"""Personal data, as Microsoft Presidio finds it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ..errors import first_line
from ..storage import read_text
from .base import Labeler, LabelerError, Span, utf8_safe
from .registry import check_installed

LOG = logging.getLogger(__name__)

_SIZES = {"lg": 0, "md": 1, "sm": 2}
"""Which of spaCy's models is taken where several are installed; others come last."""


class PresidioLabeler(Labeler):
    """Everything that Presidio's recognizers find, with the score that they give.

    Patterns (e-mail addresses, card numbers, telephone numbers) need no model. Names of people and places come out of
    a spaCy model: the one that `nlp_engine` names, or else an installed one for the language. Nothing is downloaded:
    without a model such entities are refused. Without `nlp_engine` the model's labels count as Presidio's own
    configuration has it. Scores are stored as they are, without a threshold.

    Args:
        key: where the labeler stands in the YAML.
        entities: Presidio's names of what to look for; None for all that can be found.
        language: the texts' language, as spaCy abbreviates it.
        nlp_engine: a file with Presidio's own NLP configuration in YAML, whose engine is spaCy. For models of the
            `transformers` library there is `ClassifierLabeler`.
    """

    scope = "document"
    reads_escapes = True
    cached = True
    lazy = ("_analyzer",)
    packages = ("presidio-analyzer", "phonenumbers", "spacy", "tldextract")

    def __init__(
        self, key: str, entities: list[str] | None = None, language: str = "en", nlp_engine: str | None = None
    ):
        super().__init__(key)
        self.entities = entities
        self.language = language
        self.config = Path(nlp_engine).expanduser() if nlp_engine else None
        self._model_folder: Path | None = None
        self._analyzer = None

    def check(self) -> None:
        """Load the model, and see that each of the entities can be found."""
        self.analyzer  # noqa: B018
        if self.entities is None and self._model_folder is None:
            LOG.warning(
                "%s: no spaCy model for language %r is installed, so that only patterns are found, and no names of people "
                "or places",
                self.key,
                self.language,
            )

    def files(self) -> list[Path]:
        """The configuration and the spaCy model's files; complete after `check`."""
        model = self._model_folder.rglob("*") if self._model_folder else ()
        return [*([self.config] if self.config else []), *sorted(path for path in model if path.is_file())]

    @property
    def analyzer(self) -> Any:
        """The `AnalyzerEngine`, made on first use."""
        if self._analyzer is None:
            check_installed("presidio", self.key)
            with self._quiet():
                self._analyzer = self._make()
        return self._analyzer

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span a finding; see `Labeler.label`."""
        with self._quiet():
            return [self._spans(utf8_safe(text)) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        if not text:
            return []
        most = self.analyzer.nlp_engine.get_nlp(self.language).max_length
        if len(text) > most:
            raise LabelerError(f"{self.key}: spaCy takes {most} characters at most, and a text has {len(text)}; cut it")
        try:
            found = self.analyzer.analyze(text, language=self.language, entities=self.entities)
        except LabelerError:
            raise
        except Exception as error:
            # from None: Presidio's errors quote the text
            reason = f"{type(error).__name__} over a text of {len(text)} characters"
            raise LabelerError(f"{self.key}: Presidio gave up: {reason}") from None
        return sorted(Span(one.start, one.end, min(max(float(one.score), 0.0), 1.0)) for one in found)

    @contextmanager
    def _quiet(self):
        """Keep Presidio's log, which quotes texts, from everybody; a pattern that ran out of time is an error."""

        def judge(record):
            if record.exc_info and isinstance(record.exc_info[1], TimeoutError):
                raise LabelerError(
                    f"{self.key}: one of Presidio's patterns ran out of time over a text; raise REGEX_TIMEOUT_SECONDS "
                    "(seconds, in the environment) or leave the text out"
                ) from None
            return False

        logger = logging.getLogger("presidio-analyzer")
        level = logger.level
        logger.setLevel(logging.WARNING)
        logger.addFilter(judge)
        try:
            yield
        finally:
            logger.removeFilter(judge)
            logger.setLevel(level)

    # what Presidio is made of

    def _make(self):
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.predefined_recognizers import EmailRecognizer, SpacyRecognizer
        from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider
        from tldextract import TLDExtract

        nlp, ner = self._nlp()
        registry = self._guarded(
            "language",
            lambda: RecognizerRegistryProvider(
                registry_configuration={"supported_languages": [self.language]}
            ).create_recognizer_registry(),
        )
        domains = TLDExtract(suffix_list_urls=(), cache_dir=None)
        for recognizer in registry.recognizers:
            if isinstance(recognizer, EmailRecognizer):
                # its own check downloads the list of domains, behind everybody's back
                recognizer.validate_result = lambda text: domains(text).fqdn != ""  # pyright: ignore[reportAttributeAccessIssue]
        if ner and (names := _entities_of(nlp, ner)):
            registry.add_recognizer(SpacyRecognizer(self.language, sorted(names)))
        known = registry.get_supported_entities([self.language])
        for entity in self.entities or []:
            if entity not in known:
                raise self._unknown(entity, sorted(known), SpacyRecognizer.ENTITIES)
        return AnalyzerEngine(
            registry=registry, nlp_engine=_engine(nlp, self.language, ner), supported_languages=[self.language]
        )

    def _unknown(self, entity: str, known: list[str], of_models: list[str]) -> LabelerError:
        message = f"{self.key}.entities: {entity!r} cannot be found; "
        if entity in of_models and self._model_folder is None:
            message += (
                f"it takes a spaCy model for language {self.language!r}, and none is installed (for English: python -m "
                "spacy download en_core_web_lg); without one "
            )
        return LabelerError(f"{message}there are {', '.join(known)}")

    def _nlp(self):
        """A spaCy pipeline, and how Presidio reads its entities (None for a pipeline that knows words only)."""
        import spacy
        from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpEngineProvider

        defaults = NlpEngineProvider().nlp_configuration["ner_model_configuration"]
        if self.config:
            name, ner = self._configured(defaults)
            nlp = self._load(name)
            return nlp, self._guarded("nlp_engine", lambda: NerModelConfiguration.from_dict(ner))  # pyright: ignore[reportArgumentType]
        ner = NerModelConfiguration.from_dict(defaults)
        mine = [name for name in spacy.util.get_installed_models() if name.split("_")[0] == self.language]
        for name in sorted(mine, key=lambda name: (_SIZES.get(name[-2:], len(_SIZES)), name)):
            nlp = self._load(name)
            if _entities_of(nlp, ner):
                return nlp, ner
        self._model_folder = None
        nlp = self._guarded("language", lambda: spacy.blank(self.language))
        # words alone take little memory
        nlp.max_length = sys.maxsize
        return nlp, None

    def _configured(self, defaults: Mapping) -> tuple[str, Mapping]:
        """The model's name and its labels' meaning, out of Presidio's own configuration."""
        where = f"{self.key}.nlp_engine"
        text = read_text(where, self.config)  # pyright: ignore[reportArgumentType]
        try:
            config = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise LabelerError(f"{where}: {self.config} is not YAML: {type(error).__name__}") from None
        config = config if isinstance(config, dict) else {}
        if config.get("nlp_engine_name") != "spacy":
            raise LabelerError(
                f"{where}: {self.config} has nlp_engine_name: {config.get('nlp_engine_name')!r}; it has to be spacy (for a "
                "Hugging Face model take `type: classifier` with `unit: token`)"
            )
        models = [one for one in config.get("models") or [] if isinstance(one, dict)]
        names = [one.get("model_name") for one in models if one.get("lang_code") == self.language]
        if len(names) != 1 or not isinstance(names[0], str):
            raise LabelerError(f"{where}: {self.config} names not one model under `models` for {self.language!r}")
        return names[0], config.get("ner_model_configuration") or defaults

    def _load(self, name: str):
        import spacy

        if not (name in spacy.util.get_installed_models() or spacy.util.is_package(name) or Path(name).exists()):
            raise LabelerError(
                f"{self.key}.nlp_engine: the spaCy model {name!r} is not installed; python -m spacy download {name}"
            )
        nlp = self._guarded("nlp_engine", lambda: spacy.load(name))
        self._model_folder = Path(nlp.path).resolve()  # pyright: ignore[reportArgumentType]
        return nlp

    def _guarded(self, field: str, action):
        try:
            return action()
        except Exception as error:
            raise LabelerError(f"{self.key}.{field}: {first_line(error)}") from error


def _entities_of(nlp, ner) -> set[str]:
    """What a pipeline finds, in Presidio's names."""
    pipes = [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]
    labels = {label for name in pipes for label in nlp.get_pipe(name).labels} - set(ner.labels_to_ignore)
    return {ner.model_to_presidio_entity_mapping.get(label, label) for label in labels} - set(ner.labels_to_ignore)


def _engine(nlp, language: str, ner):
    """A pipeline as Presidio wants it, on the CPU, and never downloaded."""
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Engine(SpacyNlpEngine):
        def process_text(self, text, language):
            doc = self.nlp[language](text)
            if ner is None:
                for token in doc:
                    # words near a finding raise its score, and are looked up as lemmas
                    token.lemma_ = token.lower_
            return self._doc_to_nlp_artifact(doc, language)

    engine = Engine(ner_model_configuration=ner)
    engine.nlp = {language: nlp}
    return engine
