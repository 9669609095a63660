"""The base of all tasks: options, data, and metrics that are computed from all answers at once."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from ...errors import SlungError, end_without_traceback
from ..documents import identity
from ..measures.metrics import Metric
from ..requests import attach, record_generation
from ..services.options import read_options


class SlungTask(ConfigurableTask):
    """A task as a class, because lm_eval's YAML cannot define new request types or metrics of whole batches.

    A task's YAML file holds the prompt, the generation settings, the target and the version. A subclass returns the
    documents (`documents`), measures the answers (`measure`) and lists the metrics (`metrics`). A subclass with a new
    request type makes its requests in `construct_requests`.
    """

    REQUEST: str | None = None
    """The new request type (see `..requests`), or None if the YAML names one of lm_eval's."""

    def __init__(self, config: Mapping | None = None):
        end_without_traceback()
        config = {key: value for key, value in (config or {}).items() if key != "class"}
        given = {**_metadata_of_manager(), **(config.pop("metadata", None) or {})}
        self.options = read_options(given)
        self.about = {"protocol": self.options.protocol}
        config |= {"test_split": "test", "metadata": {"version": given.get("version"), "slung": self.about}}
        if self.REQUEST:
            attach()
            config.setdefault("output_type", "loglikelihood_rolling")  # a config may only name lm_eval's types
        super().__init__(config=config)
        if self.REQUEST:
            self.OUTPUT_TYPE = self.REQUEST
        self._measured: dict[int, Mapping] = {}
        self._ranks = 1

    # defined by subclasses

    @abstractmethod
    def documents(self) -> tuple[str, list[dict]]:
        """The source of the documents, and the documents. Each gets its index as `id`."""

    @abstractmethod
    def measure(self, docs: Sequence[Mapping], answers: Sequence[Sequence]) -> Sequence[Mapping]:
        """Per document, from all of the model's answers to it in the order of `idx`, the values that the metrics aggregate."""

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """The metrics, by name."""

    # called by lm_eval

    def download(self, dataset_kwargs=None, **kwargs) -> None:
        source, docs = self.documents()
        self.about["data"] = identity(source, docs)
        self.dataset = {"test": Dataset.from_list([{"id": place, **doc} for place, doc in enumerate(docs)])}

    def build_all_requests(self, **kwargs) -> None:
        self._ranks = kwargs.get("world_size") or 1
        record_generation()
        super().build_all_requests(**kwargs)
        # lm_eval's cache finds requests only by the task's name
        if kwargs.get("cache_requests") and not all(map(self._is_of_now, self.instances)):
            raise SlungError(
                f"{self.config.task}: --cache_requests: lm_eval's cache holds requests of other data or options; "
                "run with --cache_requests refresh"
            )

    def of_all_ranks(self, values: Mapping[int, Any], compute: Callable[[Mapping[int, Any]], Any]):
        """`compute(values)` of the documents of all ranks, on each rank. The first rank computes it.

        It gets the values in the order of their documents' ids: what is drawn or fitted must not depend on the ranks.
        """
        if self._ranks == 1:
            return compute(_ordered(values.items()))
        from torch import distributed

        parts: list | None = [None] * self._ranks if distributed.get_rank() == 0 else None
        distributed.gather_object(values, parts, dst=0)
        found = [compute(_ordered(item for part in parts for item in part.items())) if parts else None]
        distributed.broadcast_object_list(found, src=0)
        return found[0]

    def _is_of_now(self, instance) -> bool:
        docs, place = self.dataset["test"], instance.doc["id"]
        if place >= len(docs) or instance.doc != docs[place] or (instance.repeats or 1) != self.config.repeats:
            return False
        context, *rest = instance.arguments
        fresh = self.construct_requests(doc=instance.doc, ctx=context, metadata=instance.metadata)
        if isinstance(fresh, list):
            fresh = next((one for one in fresh if one.idx == instance.idx), None)
        return fresh is not None and list(fresh.arguments[1:]) == rest

    def apply_filters(self) -> None:
        """Measure all of this rank's answers at once."""
        super().apply_filters()
        if "bypass" in self._metric_fn_list:  # --predict_only
            return
        docs, answers = {}, {}
        for instance in sorted(self.instances, key=lambda instance: instance.idx):
            docs[instance.doc["id"]] = instance.doc
            answers.setdefault(instance.doc["id"], []).extend(self.answers_of(instance))
        self._measured = dict(zip(docs, self.measure(list(docs.values()), [answers[place] for place in docs])))
        # once: some metrics are found by a look at all documents
        self._of = {name: metric.of for name, metric in self.metrics().items()}

    def answers_of(self, instance) -> list:
        """The model's answers to one request."""
        # with several ranks, a rank may repeat its last request to stay in step with the others
        return instance.resps[: instance.repeats or 1]

    def process_results(self, doc, results) -> dict:
        if "bypass" in self._metric_fn_list:
            return {"bypass": 999}
        measured = self._measured[doc["id"]]
        return {name: measured[of] for name, of in self._of.items()}

    def aggregation(self) -> dict:
        return {**self._aggregation_list, **{name: metric.aggregate for name, metric in self.metrics().items()}}

    def higher_is_better(self) -> dict:
        return {name: metric.higher_is_better for name, metric in self.metrics().items()}


def _ordered(items: Iterable[tuple[Any, Any]]) -> dict:
    return dict(sorted(items, key=itemgetter(0)))


def _metadata_of_manager() -> Mapping:
    # do not import the module here: its import wraps TaskManager, which SLUNG_LM_EVAL_HOOK=0 may have turned off
    hook = sys.modules.get("axolotl_slung_lm_eval")
    return hook.metadata_of_manager() if hook else {}
