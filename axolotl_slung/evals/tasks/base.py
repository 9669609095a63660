"""What the tasks have in common: options, data, and metrics of whole batches."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from ...errors import SlungError
from ..documents import identity
from ..measures.metrics import Metric
from ..requests import attach
from ..services.options import read_options


class SlungTask(ConfigurableTask):
    """A task that is a class, since lm_eval's YAML has no place for requests and batch metrics of our own.

    A subclass says what its documents are (`documents`), what is asked of the model (`doc_to_text`, or
    `construct_requests`), and what its answers are worth (`measure`).
    """

    VERSION = 1
    REQUEST = "generate_until"
    """The kind of request; see `construct_requests`."""

    GENERATION: ClassVar[dict[str, Any]] = {}
    """Defaults of `generation_kwargs`."""

    def __init__(self, config: Mapping | None = None):
        if self.REQUEST != "generate_until":
            attach()
        config = {key: value for key, value in (config or {}).items() if key != "class"}
        given = config.pop("metadata", None) or {}
        self.options = read_options({**_newest_metadata(), **given})
        if self.REQUEST == "generate_until":
            config["generation_kwargs"] = {**self.GENERATION, **config.get("generation_kwargs", {})}
        self.about = {"protocol": self.options.protocol}
        config |= {
            "output_type": self.REQUEST if self.REQUEST == "generate_until" else "loglikelihood_rolling",
            "test_split": "test",
            "num_fewshot": 0,
            "target_delimiter": "",
            "metadata": {"version": self.VERSION, "slung": self.about},
        }
        super().__init__(config=config)
        self.OUTPUT_TYPE = self.REQUEST  # not one that a config may have
        self._measured: dict[int, Mapping] = {}

    # what subclasses say

    @abstractmethod
    def documents(self) -> tuple[str, list[dict]]:
        """Where the documents are from, and the documents, which get their place as `id`."""

    @abstractmethod
    def measure(self, docs: Sequence[Mapping], answers: Sequence[Sequence]) -> Sequence[Mapping]:
        """For each document, with all of the model's answers to it, what the metrics aggregate."""

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """What is reported."""

    # lm_eval's side

    def download(self, dataset_kwargs=None, **kwargs) -> None:
        source, docs = self.documents()
        self.about["data"] = identity(source, docs)
        self.dataset = {"test": Dataset.from_list([{"id": place, **doc} for place, doc in enumerate(docs)])}

    def doc_to_target(self, doc, doc_to_target=None):
        return ""

    def build_all_requests(self, **kwargs) -> None:
        super().build_all_requests(**kwargs)
        # lm_eval finds cached requests by the task's name
        if kwargs.get("cache_requests") and not all(map(self._is_of_now, self.instances)):
            raise SlungError(
                f"{self.config.task}: lm_eval's cache holds requests made of other data or options; run with --cache_requests refresh"
            )

    def _is_of_now(self, instance) -> bool:
        docs, place = self.dataset["test"], instance.doc["id"]
        if place >= len(docs) or instance.doc != docs[place] or (instance.repeats or 1) != self.config.repeats:
            return False
        context, *rest = instance.arguments
        fresh = self.construct_requests(doc=instance.doc, ctx=context, metadata=instance.metadata)
        fresh = fresh[instance.idx] if isinstance(fresh, list) else fresh
        return list(fresh.arguments[1:]) == rest

    def apply_filters(self) -> None:
        """Measures all of this rank's answers at once."""
        super().apply_filters()
        if "bypass" in self._metric_fn_list:  # --predict_only
            return
        docs, answers = {}, {}
        for instance in self.instances:
            docs[instance.doc["id"]] = instance.doc
            answers.setdefault(instance.doc["id"], []).extend(self.answers_of(instance))
        self._measured = dict(zip(docs, self.measure(list(docs.values()), [answers[place] for place in docs])))

    def answers_of(self, instance) -> list:
        """The model's answers to one request."""
        # ranks of several ask their last request again, to keep step with each other
        return instance.resps[: instance.repeats or 1]

    def process_results(self, doc, results) -> dict:
        if "bypass" in self._metric_fn_list:
            return {"bypass": 999}
        measured = self._measured[doc["id"]]
        return {name: measured[metric.of] for name, metric in self.metrics().items()}

    def aggregation(self) -> dict:
        return {**self._aggregation_list, **{name: metric.aggregate for name, metric in self.metrics().items()}}

    def higher_is_better(self) -> dict:
        return {name: metric.higher_is_better for name, metric in self.metrics().items()}


def _newest_metadata() -> Mapping:
    hook = sys.modules.get("axolotl_slung_lm_eval")
    return getattr(hook, "metadata", None) or {}
