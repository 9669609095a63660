"""slung_identity: whether a model still knows, after a span, which entity it named."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lm_eval.api.instance import Instance

from ...errors import SlungError
from ...storage import read_text
from .. import audit_states
from ..audit_file import Entity, read_about, read_entities
from ..audit_states import STATES, After
from ..measures import identity, intervals
from ..measures.intervals import Clustered
from ..measures.metrics import Metric, exact_rate
from ..requests import HiddenStates
from .audit import AuditTask, parts_of_names


class Identity(AuditTask):
    """Probes the hidden states after each occurrence of an entity, among the entities of its kind."""

    REQUEST = STATES

    def __init__(self, config: Mapping | None = None):
        audit_states.attach()
        self._layers: tuple[int, ...] = ()
        super().__init__(config)
        layer = self.options.identity_layer
        self.about["probe"] = {"layer": list(layer) if isinstance(layer, tuple) else layer, "folds": identity.FOLDS}
        given = self.options.audit_reference
        self.reference = _reference(given) if given else {}
        if given:
            self.about["reference"] = Path(given).name

    def documents(self) -> tuple[str, list[dict]]:
        folder = self.folder
        about = read_about(folder)
        self.provenance, self.spans = about["provenance"], {}
        self.about["audit"] = {key: about[key] for key in ("config", "seed") if key in about}
        self.occurrences = {f"{its.id}-{number}": its for number, its in enumerate(_often(read_entities(folder)))}
        if not self.occurrences:
            raise SlungError(
                f"SLUNG_AUDIT: {folder}: has no two entities of one kind with {identity.FOLDS} different occurrences each; "
                "draw the audit from more rows, or leave slung_identity out"
            )
        docs = [{"id": id, "entity": its.id, "kind": its.kind} for id, its in self.occurrences.items()]
        return folder.name, docs

    def build_all_requests(self, **kwargs) -> None:
        super().build_all_requests(**kwargs)
        lacking = {instance.doc["id"] for instance in self.instances} - self.reference.keys()
        if self.reference and lacking:
            raise SlungError(
                f"SLUNG_AUDIT_REFERENCE: {self.options.audit_reference}: has nothing of {len(lacking)} of the occurrences; "
                "run slung_identity with the reference model on the same audit, with --log_samples"
            )

    def construct_requests(self, doc, ctx, **kwargs) -> Instance:
        its, layers = self.occurrences[doc["id"]], self.about["probe"]["layer"]
        given = {"task": self.config.task, "name": doc["id"], "check": self.check_model}
        layers = [layers] if isinstance(layers, int) else layers
        asked = After(**given, front=its.before + its.text, after=its.after, layers=layers)
        return Instance(STATES, doc, (asked,), 0, metadata=kwargs["metadata"])

    def measure(self, docs, answers: Sequence[Sequence[HiddenStates | None]]):
        read = {doc["id"]: its[0] for doc, its in zip(docs, answers, strict=True) if its[0] is not None}
        self._layers = next((its.layers for its in read.values()), ())
        rows = self.of_all_ranks(read, self._probed)
        return [self._row(doc, rows.get(doc["id"])) for doc in docs]

    def _probed(self, states: Mapping[str, HiddenStates]) -> dict[str, dict[str, float]]:
        """What the probes of each kind say of each occurrence. Kinds of which --limit left too little have nothing."""
        found: dict[str, dict[str, float]] = {}
        for ids in _of_kinds({id: self.occurrences[id] for id in states if _finite(states[id])}):
            entities = [self.occurrences[id].id for id in ids]
            layers = [np.stack([states[id].vectors[layer] for id in ids]) for layer in range(len(self._layers))]
            probed = identity.probed(layers, entities)
            for place, id in enumerate(ids):
                found[id] = {
                    "accuracy": float(probed.right[place]),
                    "accuracy_shuffled": float(probed.shuffled[place]),
                    "accuracy_chance": identity.by_chance(entities),
                    "chosen_layer": self._layers[probed.chosen[place]],
                    **{
                        f"accuracy_layer_{layer}": float(right[place])
                        for layer, right in zip(self._layers, probed.of_layers, strict=True)
                    },
                }
        return found

    def _row(self, doc: Mapping, found: Mapping[str, float] | None) -> dict:
        names = ["accuracy", "accuracy_shuffled", "accuracy_chance", "chosen_layer"]
        names += [f"accuracy_layer_{layer}" for layer in self._layers]
        its = found or dict.fromkeys(names, math.nan)
        row = {name: Clustered(its[name], doc["entity"]) for name in names}
        right, reference = its["accuracy"], self.reference.get(doc["id"], math.nan)
        for kind, part in self._kinds().items():
            row[f"accuracy_kind_{part}"] = Clustered(right if doc["kind"] == kind else math.nan, doc["entity"])
        row["accuracy_over_chance"] = Clustered(right - its["accuracy_chance"], doc["entity"])
        row["accuracy_reference"] = Clustered(reference, doc["entity"])
        row["accuracy_over_reference"] = Clustered(right - reference, doc["entity"])
        row["entities"] = doc["entity"] if found else ""
        row["measured"] = {**doc, "accuracy": right, "chosen_layer": its["chosen_layer"]}
        return row

    def _kinds(self) -> dict[str, str]:
        return parts_of_names(its.kind for its in self.occurrences.values())

    def metrics(self):
        found = {"measured": Metric("measured", len), "entities": Metric("entities", lambda ids: len({*ids} - {""}))}
        for name in ("accuracy", "accuracy_shuffled", *(f"accuracy_kind_{part}" for part in self._kinds().values())):
            found |= exact_rate(name)
        found |= {name: Metric(name, intervals.mean) for name in ("accuracy_chance",)}
        found |= _difference("accuracy_over_chance")
        found |= {"chosen_layer": Metric("chosen_layer", intervals.median)}
        found |= {name: Metric(name, intervals.mean) for name in (f"accuracy_layer_{layer}" for layer in self._layers)}
        if self.reference:
            found |= exact_rate("accuracy_reference") | _difference("accuracy_over_reference")
        return found


def _difference(name: str) -> dict[str, Metric]:
    return {
        name: Metric(name, intervals.mean),
        f"{name}_ci_low": Metric(name, intervals.low),
        f"{name}_ci_high": Metric(name, intervals.high),
    }


def _often(entities: Sequence[Entity]) -> list[Entity]:
    """The different occurrences of entities that a probe can be trained on."""
    distinct = dict(enumerate(dict.fromkeys(entities)))
    places = [place for of_kind in _of_kinds(distinct) for place in of_kind]
    return [distinct[place] for place in sorted(places)]


def _of_kinds(occurrences: Mapping) -> list[list]:
    """For each kind, the keys of the occurrences of entities that occur often enough, if there are two such entities."""
    found: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for key, its in occurrences.items():
        found[its.kind][its.id].append(key)
    often = [[keys for keys in of_kind.values() if len(keys) >= identity.FOLDS] for of_kind in found.values()]
    return [[key for keys in entities for key in keys] for entities in often if len(entities) > 1]


def _finite(states: HiddenStates) -> bool:
    return all(np.isfinite(vector).all() for vector in states.vectors)


def _reference(given: str) -> dict[str, float]:
    """Whether another model's probe was right, by occurrence.

    Raises:
        SlungError: there are no such samples.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        path = max(path.rglob("samples_slung_identity_*.jsonl"), key=lambda file: file.name, default=path)
    found: dict[str, float] = {}
    try:
        lines = [] if path.is_dir() else read_text("SLUNG_AUDIT_REFERENCE", path).splitlines()
        for measured in (json.loads(line)["measured"] for line in lines):
            found[measured["id"]] = float(measured["accuracy"])
    except (ValueError, LookupError, TypeError):
        found = {}
    if not found:
        raise SlungError(
            f"SLUNG_AUDIT_REFERENCE: {given}: has no samples of slung_identity; run it with the reference model, with "
            "--log_samples"
        )
    return found
