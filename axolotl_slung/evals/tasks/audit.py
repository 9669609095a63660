"""What the tasks of an audit share: the spans, documents without texts, and samples without texts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ... import manifest
from ...errors import SlungError, get_logger
from .. import audit_requests
from ..audit_file import HELDOUT, PREFIXES, AuditSpan, only_heldout, read_about, read_spans
from .base import SlungTask

LOG = get_logger(__name__)

MAIN = 50
"""Tokens in front of a span where a metric does not name a number, as in Carlini et al. 2023."""


def main_prefix(span: AuditSpan) -> str:
    """The longest prefix of the span with at most 50 tokens of a fixed number; else all of the text in front of it."""
    lengths = [length for length in span.prefixes if length.isdigit() and int(length) <= MAIN]
    return max(lengths, key=int, default="whole")


class AuditTask(SlungTask):
    """A task that asks about the spans of an audit folder.

    Documents hold ids and classes; `self.spans` has the texts. A subclass says which spans it asks about (`asks`), and
    makes its requests in `requests_of`.
    """

    def __init__(self, config: Mapping | None = None):
        audit_requests.attach()
        super().__init__(config)

    # defined by subclasses

    def asks(self, span: AuditSpan) -> bool:
        """Whether the task has a question about the span."""
        return True

    # defined here

    def documents(self) -> tuple[str, list[dict]]:
        folder = self.folder
        about = read_about(folder)
        self.provenance = about["provenance"]
        self.all_spans = read_spans(folder)
        self.spans = {span.id: span for span in self.all_spans if self.asks(span)}
        self.about["audit"] = {key: about[key] for key in ("config", "seed") if key in about}
        docs = self.docs_of(self.spans.values())
        if not docs:
            raise SlungError(f"SLUNG_AUDIT: {folder}: has no span that {self.config.task} asks about; draw it again")
        return folder.name, docs

    @property
    def folder(self) -> Path:
        """The folder of the audit."""
        if not self.options.audit:
            raise SlungError(
                "SLUNG_AUDIT: not set; draw the questions with `slung audit config.yml -o audit/`, and name the folder"
            )
        return Path(self.options.audit).expanduser().resolve()

    def docs_of(self, spans: Iterable[AuditSpan]) -> list[dict]:
        """A document per span."""
        return [doc_of(span) for span in spans]

    def fewshot_context(self, doc, *args, **kwargs) -> str:
        # texts are read as they stand in the training data, without examples and without another chat template
        return ""

    def build_all_requests(self, **kwargs) -> None:
        if kwargs.get("cache_requests"):
            raise SlungError(
                f"{self.config.task}: --cache_requests: would write the audit's texts into lm_eval's cache; leave it out"
            )
        if "bypass" in self._metric_fn_list:
            raise SlungError(
                f"{self.config.task}: --predict_only: no text of the audit is written, so nothing would be; leave it out"
            )
        super().build_all_requests(**kwargs)

    def apply_filters(self) -> None:
        super().apply_filters()
        for instance in self.instances:
            # lm_eval writes them into samples, and hashes the first
            instance.arguments = tuple(asked.name for asked in instance.arguments)

    def check_model(self, model) -> None:
        """Refuse a model that was trained on other data than the audit was drawn from, if its folder says so.

        Other labels are warned of: what the audit draws as a masked span may have been trained as any text.

        Raises:
            SlungError: the message names what differs.
        """
        given = getattr(model, "peft", None), getattr(model, "pretrained", None)
        given += (dict(getattr(model, "model_args", None) or {}).get("model"),)
        for folder in {Path(name) for name in given if isinstance(name, str) and Path(name).is_dir()}:
            found = manifest.read(folder)
            if found is None:
                continue
            if lines := manifest.differences(found, self.provenance):
                raise SlungError(
                    *(f"SLUNG_AUDIT: {self.folder}: {line}" for line in lines),
                    f"SLUNG_AUDIT: {self.folder}: draw an audit from the config that trained {folder}",
                )
            if others := manifest.other_labelers(found, self.provenance, only_heldout(self.all_spans)):
                LOG.warning(
                    "SLUNG_AUDIT: %s: %s: other labels than those that %s was trained with, so some of its spans may have been "
                    "trained as any text; draw an audit from the config that trained it",
                    self.folder,
                    ", ".join(others),
                    folder,
                )

    def has(self, of_set: str) -> bool:
        """Whether the task asks about spans of the set."""
        return any(span.set == of_set for span in self.spans.values())

    def say_without_heldout(self, what: str) -> None:
        """Warn that chance lines are left out."""
        if not self.has(HELDOUT):
            LOG.warning(
                "%s: the audit has no held-out spans, so %s are left out; draw it with --holdout or --holdout-share",
                self.config.task,
                what,
            )

    def by_class(self, key: str) -> dict[str, str]:
        """The parts of metrics' names for the values of a span's field, by value."""
        return parts_of_names(getattr(span, key) for span in self.spans.values())


def doc_of(span: AuditSpan) -> dict:
    """The document of a span: what samples say of it."""
    return {key: getattr(span, key) for key in ("id", "set", "kind", "frequency", "labeler", "bucket", "action")}


def parts_of_names(values: Iterable[str]) -> dict[str, str]:
    """For each value, in sorted order, letters and digits that no other value has: lm_eval's metrics have no commas."""
    found: dict[str, str] = {}
    for value in sorted({*values}):
        part = plain = re.sub(r"\W+", "_", value).strip("_") or "other"
        number = 1
        while part in found.values():
            number += 1
            part = f"{plain}_{number}"
        found[value] = part
    return found


def only(value: float, wanted: bool) -> float:
    """The value, or NaN where it does not count."""
    return value if wanted else math.nan


def lengths_of(spans: Iterable[AuditSpan]) -> Sequence[str]:
    """The lengths of prefixes that any span has, in ascending order."""
    spans = list(spans)
    return [length for length in PREFIXES if any(length in span.prefixes for span in spans)]
