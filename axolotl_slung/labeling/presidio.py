"""Finds personal data with Microsoft Presidio."""

from __future__ import annotations

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ..errors import first_line, get_logger, yaml_problem
from ..storage import read_text
from ..yaml_text import load_yaml
from .base import Labeler, LabelerError, Span, TextProblem, utf8_safe
from .registry import check_installed

LOG = get_logger(__name__)

_SIZES = {"lg": 0, "md": 1, "sm": 2}
"""The order of preference if several spaCy models are installed. Other models come last."""


ALLOWANCE, PER_TEXT, PER_MILLION = 60.0, 0.02, 100.0
"""Seconds of CPU time that Presidio may take in one process, without its model: so many, and so many more per text and per
million characters."""

_LIMIT = "REGEX_TIMEOUT_SECONDS"
"""Presidio's name of the time limit of an expression."""


class PresidioLabeler(Labeler):
    """Everything that Presidio's recognizers find, with their scores.

    Patterns (e-mail addresses, card numbers, telephone numbers) need no model. Names of people and places need a spaCy
    model: the one in `nlp_engine`, or an installed one for the language. Nothing is downloaded. It is an error to ask
    for such entities without a model. Without `nlp_engine`, Presidio's own configuration maps the model's labels to
    entities. Scores are stored unchanged, without a threshold.

    Presidio's expressions and its search for context words take more than linear time on some texts. All texts of a
    process share a budget of CPU time (`ALLOWANCE`). If it is exceeded, `label` raises a `LabelerError` that names the
    slowest recognizer, and raises it at once from then on.

    Args:
        key: the labeler's place in the YAML.
        entities: the entities to find, by Presidio's names; None for all available ones.
        language: the texts' language, as spaCy's code.
        nlp_engine: a YAML file with Presidio's NLP configuration; its engine must be spaCy. For models of the
            `transformers` library use `ClassifierLabeler`.
    """

    scope = "document"
    reads_escapes = True
    cached = True
    lazy = ("_analyzer", "_budget")
    packages = ("presidio-analyzer", "phonenumbers", "regex", "spacy", "tldextract")

    def __init__(
        self, key: str, entities: list[str] | None = None, language: str = "en", nlp_engine: str | None = None
    ):
        super().__init__(key)
        self.entities = entities
        self.language = language
        self.config = Path(nlp_engine).expanduser() if nlp_engine else None
        self._model_folder: Path | None = None
        self._analyzer = None
        self._budget: _Budget | None = None

    def check(self) -> None:
        """Load the model, and check that each of the entities is available."""
        self.analyzer  # noqa: B018
        if self.entities is None and self._model_folder is None:
            LOG.warning(
                "%s: no spaCy model for language %r is installed; only patterns are found, no names of people or "
                "places",
                self.key,
                self.language,
            )

    def files(self) -> list[Path]:
        """The configuration and the spaCy model's files. Complete after `check`."""
        model = self._model_folder.rglob("*") if self._model_folder else ()
        return [*([self.config] if self.config else []), *sorted(path for path in model if path.is_file())]

    @property
    def analyzer(self) -> Any:
        """The `AnalyzerEngine`, created on first use."""
        if self._analyzer is None:
            check_installed("presidio", self.key)
            with self._quiet():
                self._analyzer = self._make()
        return self._analyzer

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per finding; see `Labeler.label`."""
        with self._quiet():
            return self.each(texts, lambda text: self._spans(utf8_safe(text)))

    def _spans(self, text: str) -> list[Span]:
        if not text:
            return []
        most = self.analyzer.nlp_engine.get_nlp(self.language).max_length
        if len(text) > most:
            raise TextProblem(
                f"expected at most {most} characters (spaCy's limit), got a text of {len(text)}; split it"
            )
        budget: _Budget = self._budget  # pyright: ignore[reportAssignmentType] - opened with the analyzer
        try:
            with budget.spent(len(text), self.key):
                found = self.analyzer.analyze(text, language=self.language, entities=self.entities)
        except (TextProblem, LabelerError):
            raise
        except Exception as error:
            # from None: Presidio's errors quote the text
            reason = f"{type(error).__name__} on a text of {len(text)} characters"
            raise TextProblem(f"Presidio failed: {reason}; remove the text") from None
        return sorted(
            Span(one.start, one.end, min(max(float(one.score), 0.0), 1.0), kind=one.entity_type) for one in found
        )

    @contextmanager
    def _quiet(self):
        """Discard Presidio's log, which quotes texts. A pattern that timed out is an error."""

        def judge(record):
            if record.exc_info and isinstance(record.exc_info[1], TimeoutError):
                raise TextProblem(
                    "one of Presidio's patterns timed out; raise the environment variable REGEX_TIMEOUT_SECONDS "
                    "(seconds) or remove the text"
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

    # Presidio's parts

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
                # its own check would silently download the list of domains
                recognizer.validate_result = lambda text: domains(text).fqdn != ""  # pyright: ignore[reportAttributeAccessIssue]
        if ner and (names := _entities_of(nlp, ner)):
            registry.add_recognizer(SpacyRecognizer(self.language, sorted(names)))
        known = registry.get_supported_entities([self.language])
        for entity in self.entities or []:
            if entity not in known:
                raise self._unknown(entity, sorted(known), SpacyRecognizer.ENTITIES)
        engine = _engine(nlp, self.language, ner)
        self._budget = _Budget(list(registry.recognizers), engine)
        return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[self.language])

    def _unknown(self, entity: str, known: list[str], of_models: list[str]) -> LabelerError:
        message = f"{self.key}.entities: {entity!r}: is not available; "
        if entity in of_models and self._model_folder is None:
            message += (
                f"install a spaCy model for language {self.language!r} (for English: python -m spacy download "
                "en_core_web_lg) or "
            )
        return LabelerError(f"{message}choose from {', '.join(known)}")

    def _nlp(self):
        """A spaCy pipeline, and Presidio's mapping of its entities (None for a pipeline that only splits words)."""
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
        # a pipeline that only splits words takes little memory
        nlp.max_length = sys.maxsize
        return nlp, None

    def _configured(self, defaults: Mapping) -> tuple[str, Mapping]:
        """The model's name and the mapping of its labels, from Presidio's configuration."""
        where = f"{self.key}.nlp_engine"
        text = read_text(where, self.config)  # pyright: ignore[reportArgumentType]
        try:
            config = load_yaml(text)
        except yaml.YAMLError as error:
            raise LabelerError(f"{where}: {self.config}: {yaml_problem(error)}; fix this line") from None
        config = config if isinstance(config, dict) else {}
        if config.get("nlp_engine_name") != "spacy":
            raise LabelerError(
                f"{where}: {self.config}: expected nlp_engine_name: spacy, got {config.get('nlp_engine_name')!r}; "
                "for a Hugging Face model use `type: classifier` with `unit: token`"
            )
        models = [one for one in config.get("models") or [] if isinstance(one, dict)]
        names = [one.get("model_name") for one in models if one.get("lang_code") == self.language]
        if len(names) != 1 or not isinstance(names[0], str):
            raise LabelerError(
                f"{where}: {self.config}: expected exactly one model for {self.language!r} under `models`"
            )
        return names[0], config.get("ner_model_configuration") or defaults

    def _load(self, name: str):
        import spacy

        if not (name in spacy.util.get_installed_models() or spacy.util.is_package(name) or Path(name).exists()):
            raise LabelerError(
                f"{self.key}.nlp_engine: {name!r}: is not an installed spaCy model; run python -m spacy download {name}"
            )
        nlp = self._guarded("nlp_engine", lambda: spacy.load(name))
        self._model_folder = Path(nlp.path).resolve()  # pyright: ignore[reportArgumentType]
        return nlp

    def _guarded(self, field: str, action):
        try:
            return action()
        except Exception as error:
            raise LabelerError(f"{self.key}.{field}: {first_line(error)}") from error


class _Budget:
    """The CPU time of Presidio over all texts of a process.

    Args:
        recognizers: of the registry. Each gets a clock.
        engine: runs the model, whose time does not count.
    """

    def __init__(self, recognizers: Sequence[Any], engine: Any):
        self._texts, self._characters, self._used, self._started = 0, 0, 0.0, 0.0
        self._message: str | None = None
        self._tight = False
        self._by_recognizer: defaultdict[str, float] = defaultdict(float)
        self._modules = _with_a_limit()
        self._entities = {one.name: one.supported_entities for one in recognizers}
        for recognizer in recognizers:
            recognizer.analyze = self._clocked(recognizer.analyze, recognizer.name)
        engine.process_text = self._clocked(engine.process_text, "")

    def _clocked(self, call, name: str):
        def clocked(*args, **kwargs):
            started = time.process_time()
            try:
                with _regex_timeout(self._modules, self._left() - (started - self._started)) as self._tight:
                    return call(*args, **kwargs)
            finally:
                self._by_recognizer[name] += time.process_time() - started

        return clocked

    def _left(self) -> float:
        return ALLOWANCE + PER_TEXT * self._texts + PER_MILLION * self._characters / 1e6 - self._used

    @contextmanager
    def spent(self, characters: int, key: str) -> Iterator[None]:
        """Count the time inside as that of a text. Raises `LabelerError` if more than the budget was used."""
        if self._message is not None:
            raise LabelerError(self._message)
        self._texts += 1
        self._characters += characters
        of_model, self._started, timed_out = self._by_recognizer[""], time.process_time(), False
        try:
            yield
        except TextProblem:
            timed_out = self._tight  # by the budget, not by the limit of one expression
            raise
        finally:
            self._used += time.process_time() - self._started - (self._by_recognizer[""] - of_model)
            if timed_out or self._left() <= 0:
                self._message = self._exceeded(key)  # a caller that tries again does not pay again
                raise LabelerError(self._message) from None

    def _exceeded(self, key: str) -> str:
        times = {name: used for name, used in self._by_recognizer.items() if name}
        slowest = max(times, key=times.__getitem__, default="")
        context = self._used - sum(times.values())
        where, advice = slowest, f"leave {', '.join(self._entities.get(slowest, ()))} out of `entities`"
        if context > times.get(slowest, 0.0):
            where, advice = "the search for context words", "ask for fewer `entities`"
        return (
            f"{key}: Presidio took more CPU time than its budget, {ALLOWANCE:g} s, {PER_TEXT:g} s per text and "
            f"{PER_MILLION:g} s per million characters, most of it in {where}; {advice}, or remove texts that are mostly "
            "digits, dots or addresses"
        )


def _with_a_limit() -> list[Any]:
    """The modules of Presidio that hold the time limit of an expression."""
    modules = [module for name, module in sys.modules.items() if name.startswith("presidio_analyzer.")]
    return [module for module in modules if hasattr(module, _LIMIT)]


@contextmanager
def _regex_timeout(modules: Sequence[Any], seconds: float) -> Iterator[bool]:
    """Let no expression of Presidio's recognizers take longer than this. Gives whether their own limit is higher."""
    before = [getattr(module, _LIMIT) for module in modules]
    for module, limit in zip(modules, before):
        setattr(module, _LIMIT, max(min(limit, seconds), 1e-3) if limit > 1e-3 else limit)
    try:
        yield seconds < min(before, default=seconds)
    finally:
        for module, limit in zip(modules, before):
            setattr(module, _LIMIT, limit)


def _entities_of(nlp, ner) -> set[str]:
    """The entities that a pipeline finds, by Presidio's names."""
    pipes = [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]
    labels = {label for name in pipes for label in nlp.get_pipe(name).labels} - set(ner.labels_to_ignore)
    return {ner.model_to_presidio_entity_mapping.get(label, label) for label in labels} - set(ner.labels_to_ignore)


def _engine(nlp, language: str, ner):
    """A pipeline in the form that Presidio needs, on the CPU. It is never downloaded."""
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Engine(SpacyNlpEngine):
        def process_text(self, text, language):
            doc = self.nlp[language](text)
            if ner is None:
                for token in doc:
                    # words near a finding raise its score; Presidio looks them up as lemmas
                    token.lemma_ = token.lower_
            return self._doc_to_nlp_artifact(doc, language)

    engine = Engine(ner_model_configuration=ner)
    engine.nlp = {language: nlp}
    return engine
