"""Axolotl's own strategies, with actions in their labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from axolotl.utils.logging import get_logger

from ..buckets import Bucket
from ..labeling.base import Labeler, Span, utf8_safe
from . import fields as fields_of
from .edits import edit, edits_text
from .labels import RowLabels, SlungDataError
from .tagging import DryRunDone, TaggingTokenizer

LOG = get_logger(__name__)


class SlungStrategy:
    """Wraps a prompt strategy of Axolotl that was built with a `TaggingTokenizer`.

    For each row: find out which of its strings the prompts are made of, label these, apply the actions on text,
    let the strategy tokenise, and write what the token ids carry into `labels`. A token keeps its loss only if
    both Axolotl and its bucket say so.

    Args:
        strategy: Axolotl's.
        labelers: ready to label.
        buckets: ascending.
        where: the data set's place in the YAML, for messages.
        text_field: the string that span columns count characters of, where a labeler does not say.
        eos: the rule for end-of-sequence tokens: train, mask or inherit.
        mask_document_starts: no loss on a row's first token.
        fingerprint: of everything that decides the labels; part of the cache key that `datasets` makes by
            pickling this object.
    """

    supports_batched = True

    def __init__(
        self,
        strategy,
        labelers: list[Labeler],
        buckets: tuple[Bucket, ...],
        where: str,
        text_field: str | None,
        eos: str,
        mask_document_starts: bool,
        fingerprint: str,
    ):
        self.strategy = strategy
        self.tokenizer: TaggingTokenizer = strategy.tokenizer
        self.filter_rows = getattr(strategy, "filter_rows", None)
        self.labelers = labelers
        self.buckets = buckets
        self.where = where
        self.text_field = text_field
        self.fingerprint = fingerprint
        # tags cost time, and a type that only cuts up one text can be followed without them
        self._may_be_untagged = type(self.tokenizer) is TaggingTokenizer and eos == "train"
        self._row_labels = RowLabels(self.tokenizer, where, eos, mask_document_starts)

    def tokenize_prompt(self, batch: Mapping[str, list]) -> dict[str, list]:
        """A batch of raw rows to a batch of tokenised ones; there may be more or fewer of them."""
        out: dict[str, list] = {"input_ids": [], "attention_mask": [], "labels": []}
        for tokenised, labels in self.tokenised(batch):
            tokenised["labels"] = labels
            tokenised["input_ids"] = list(map(int, tokenised["input_ids"]))
            for key, value in tokenised.items():
                out.setdefault(key, []).append(value)
        return out

    def tokenised(self, batch: Mapping[str, list], edited: bool = True) -> Iterator[tuple[dict, list[int]]]:
        """The strategy's own output for each row, its token ids still tagged, and the labels that they ask for.

        Args:
            batch: raw rows.
            edited: whether the actions on text are applied.
        """
        rows = [_cleaned(dict(zip(batch, values))) for values in zip(*batch.values())]
        prompts = [self._prompts(row) for row in rows]
        spans = self._label_fields(rows, prompts)
        if edited and edits_text(self.buckets):
            rows, prompts, spans = self._edit(rows, prompts, spans)
        announced = self._label_prompts(rows, prompts, spans)

        for row, texts in zip(rows, announced):
            self.tokenizer.announce(texts)
            yield from self._labelled(row)

    # which strings of the row stand where

    def _prompts(self, row) -> dict[str, list[fields_of.Placed]]:
        """The texts that the strategy tokenises for `row`, each with its fields."""
        candidates = dict(fields_of.strings(row))
        prompts = self._dry_run(row, candidates)
        main = {path: text for path, text in candidates.items() if path[-1] == self.text_field}
        if prompts is None and main:
            # some strings have to stay as they are (JSON, or compared with): mark the main ones only
            prompts = self._dry_run(row, main)
        if prompts is None:
            if edits_text(self.buckets) or any(labeler.reads_row for labeler in self.labelers):
                raise SlungDataError(
                    f"{self.where}.type: its prompts do not show where the row's text ends up, so that no column of spans "
                    "can be placed and no span dropped; use the types completion or chat_template"
                )
            LOG.warning("slung: %s: the fields of a prompt cannot be told apart; it is labelled as a whole", self.where)
            prompts = {}
        return prompts

    def _dry_run(self, row, candidates):
        """Prompts and the fields in them, or None where the marks do not come through."""
        marked = fields_of.marked(row, candidates)
        if marked is None:
            return None
        seen = self.tokenizer.start_dry_run()
        try:
            self._call(marked)
        except DryRunDone:
            pass
        except Exception:  # noqa: BLE001 - any strategy, on text it was not made for
            return None
        finally:
            self.tokenizer.end_dry_run()
        prompts = {}
        for text in seen:
            unmarked = fields_of.unmark(text, candidates)
            if unmarked is None:
                return None
            prompts[unmarked[0]] = unmarked[1]
        # prompts in which no string of the row stands were read out of it in some other way
        return prompts if any(prompts.values()) or not any(map(str.strip, prompts)) else None

    # spans

    def _label_fields(self, rows, prompts) -> list[dict[fields_of.Path, list[Span]]]:
        """For each row the spans of the fields that its prompts hold."""
        wanted = [
            (index, path)
            for index, texts in enumerate(prompts)
            for path in dict.fromkeys(placed.path for places in texts.values() for placed in places)
        ]
        texts = [fields_of.get(rows[index], path) for index, path in wanted]
        surroundings = [fields_of.surroundings(rows[index], path) for index, path in wanted]
        spans: list[dict] = [{} for _ in rows]
        for labeler in self.labelers:
            for (index, path), found in zip(wanted, self._annotate(labeler, wanted, texts, surroundings)):
                spans[index].setdefault(path, []).extend(found)
        return spans

    def _annotate(self, labeler, wanted, texts, surroundings):
        if not labeler.reads_row:
            return labeler.annotate(texts, surroundings)
        name = labeler.text_field or self.text_field
        if name is None:
            raise SlungDataError(
                f"{labeler.key}.text_field: a data set of this type ({self.where}) has several texts; name the column "
                "that the spans count characters of"
            )
        chosen = [i for i, (_, path) in enumerate(wanted) if path[-1] == name]
        found = dict(zip(chosen, labeler.annotate([texts[i] for i in chosen], [surroundings[i] for i in chosen])))
        return [found.get(i, []) for i in range(len(texts))]

    def _edit(self, rows, prompts, spans):
        """Apply drop_span, drop_document and control_token."""
        kept = []
        for row, texts, of_row in zip(rows, prompts, spans):
            edited = {path: edit(fields_of.get(row, path), found, self.buckets) for path, found in of_row.items()}
            if any(result is None for result in edited.values()):
                continue
            changes = {p: r[0] for p, r in edited.items() if r[0] != fields_of.get(row, p)}
            if changes:
                row = fields_of.replaced(row, changes)
                texts = self._prompts(row)
            kept.append((row, texts, {path: result[1] for path, result in edited.items()}))
        return tuple(list(column) for column in zip(*kept)) if kept else ([], [], [])

    def _label_prompts(self, rows, prompts, spans) -> list[dict[str, list[Span]]]:
        """For each row the spans of every text to be tokenised."""
        announced: list[dict[str, list[Span]]] = []
        crossing = []  # prompts of several fields, in which a name may lie across two of them
        for row, texts, of_row in zip(rows, prompts, spans):
            mine: dict[str, list[Span]] = {}
            for path, found in of_row.items():
                mine.setdefault(fields_of.get(row, path), []).extend(found)
            for text, places in texts.items():
                if text in mine:
                    continue
                moved = [
                    s._replace(
                        start=max(s.start - p.offset + p.start, p.start), end=min(s.end - p.offset + p.start, p.end)
                    )
                    for p in places
                    for s in of_row.get(p.path, [])
                ]
                mine[text] = [s for s in moved if s.start < s.end]
                crossing.append((mine, text, row))
            if not texts:
                mine = _Whole(self.labelers, row, mine)
            announced.append(mine)
        by_text = [labeler for labeler in self.labelers if labeler.scope == "text"]
        if by_text and crossing:
            found = _label_all(by_text, [c[1] for c in crossing], [c[2] for c in crossing])
            for (mine, text, _), more in zip(crossing, found):
                mine[text] = mine[text] + more
        return announced

    # tokens

    def _labelled(self, row) -> Iterable[tuple[dict, list[int]]]:
        """The strategy's output for one row, and the labels of each of its parts."""
        if self._may_be_untagged:
            texts = self.tokenizer.untagged = []
            try:
                parts = self._tokenise(row)
            finally:
                self.tokenizer.untagged = None
            if (labels := self._row_labels.without_tags(parts, texts)) is not None:
                return zip(parts, labels)
            self._may_be_untagged = False
        parts = self._tokenise(row)
        return zip(parts, self._row_labels.of_tags(parts))

    def _call(self, row):
        if getattr(self.strategy, "supports_batched", False):
            return self.strategy.tokenize_prompt({key: [value] for key, value in row.items()})
        return self.strategy.tokenize_prompt(row)

    def _tokenise(self, row) -> list[dict]:
        """The strategy's output for one row as a list of rows."""
        result = dict(self._call(row))
        if not result or not len(result.get("input_ids", [])):
            return []
        if isinstance(result["input_ids"][0], int):
            result = {key: [value] for key, value in result.items()}
        return [dict(zip(result, values)) for values in zip(*result.values())]


def _label_all(labelers, texts, rows) -> list[list[Span]]:
    """The spans of every text by all labelers together; they may overlap, and the highest score counts."""
    by_labeler = [labeler.annotate(texts, rows) for labeler in labelers]
    return [[span for found in spans for span in found] for spans in zip(*by_labeler)]


class _Whole(dict):
    """Texts of a prompt whose fields are unknown: labelled as they come."""

    def __init__(self, labelers, row, known):
        super().__init__(known)
        self._labelers, self._row = labelers, row

    def get(self, text, default=None):
        if text not in self:
            self[text] = _label_all(self._labelers, [text], [self._row])[0]
        return self[text]


def _cleaned(row):
    """The row without lone surrogates in its strings."""
    dirty = {path: safe for path, text in fields_of.strings(row) if (safe := utf8_safe(text)) != text}
    return fields_of.replaced(row, dirty) if dirty else row
