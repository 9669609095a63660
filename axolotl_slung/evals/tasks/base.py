"""What the tasks have in common: options, data, and metrics of whole batches."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from ...errors import SlungError
from ..documents import identity
from ..measures.metrics import Metric
from ..requests import attach
from ..services.options import read_options


class SlungTask(ConfigurableTask):
    """A task that is a class, since lm_eval's YAML has no place for requests and batch metrics of our own.

    The YAML file of a task says what the model is asked (prompt, generation settings), the target and the version. A
    subclass says what the documents are (`documents`), what the answers are worth (`measure`) and what is reported
    (`metrics`). One with requests of our own makes them in `construct_requests`.
    """

    REQUEST: str | None = None
    """The kind of request, if it is one of our own (see `..requests`); None where the YAML names one of lm_eval's."""

    def __init__(self, config: Mapping | None = None):
        config = {key: value for key, value in (config or {}).items() if key != "class"}
        given = {**_metadata_of_manager(), **(config.pop("metadata", None) or {})}
        self.options = read_options(given)
        self.about = {"protocol": self.options.protocol}
        config |= {"test_split": "test", "metadata": {"version": given.get("version"), "slung": self.about}}
        if self.REQUEST:
            attach()
            config["output_type"] = "loglikelihood_rolling"  # a config may only name lm_eval's own
        super().__init__(config=config)
        if self.REQUEST:
            self.OUTPUT_TYPE = self.REQUEST
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


def _metadata_of_manager() -> Mapping:
    # the module is not imported here, since its import wraps TaskManager: SLUNG_LM_EVAL_HOOK=0 may have left it out
    hook = sys.modules.get("axolotl_slung_lm_eval")
    return hook.metadata_of_manager() if hook else {}
