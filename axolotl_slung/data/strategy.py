"""Axolotl's own strategies, with actions in their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from axolotl.utils.logging import get_logger

from ..buckets import Bucket
from ..codec import FIRST_CODE, IGNORE, decode, encode
from ..errors import SlungError
from ..labeling.base import Labeler, Span, utf8_safe
from . import fields as fields_of
from .edits import edit, edits_text
from .tagging import UNLABELED, DryRunDone, Tagged, TaggingTokenizer

LOG = get_logger(__name__)


class SlungDataError(SlungError):
    """A data set that cannot be labelled; the message names the YAML key, the value and the mend."""


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
        self.eos = eos
        self.mask_document_starts = mask_document_starts
        self.fingerprint = fingerprint
        # tags cost time, and a type that only cuts up one text can be followed without them
        self._may_be_untagged = type(self.tokenizer) is TaggingTokenizer and eos == "train"
        # the only ids that a strategy may write by itself
        self._special_ids = frozenset(self.tokenizer.all_special_ids) | frozenset(self.tokenizer.added_tokens_decoder)

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
            yield from self._untagged(row) or self._tagged(row)

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

    def _tagged(self, row) -> list[tuple[dict, list[int]]]:
        """The strategy's rows, and the labels that their tags ask for."""
        return [
            (tokenised, self._labels(tokenised, starts_document=position == 0))
            for position, tokenised in enumerate(self._tokenise(row))
        ]

    def _untagged(self, row) -> list[tuple[dict, list[int]]] | None:
        """The same without tags, or None where the ids are not those of one text, cut up, with special tokens after it."""
        if not self._may_be_untagged:
            return None
        seen = self.tokenizer.untagged = []
        try:
            rows = self._tokenise(row)
        finally:
            self.tokenizer.untagged = None
        if not rows:
            return None
        ids, labels = seen[0] if len(seen) == 1 else (None, [])
        made = [token_id for tokenised in rows for token_id in tokenised["input_ids"]]
        more = made[len(labels) :]
        trained = all(tokenised.get("labels", tokenised["input_ids"]) == tokenised["input_ids"] for tokenised in rows)
        if made[: len(labels)] != ids or not self._special_ids.issuperset(more) or not trained:
            self._may_be_untagged = False
            return None
        labels, cut = labels + more, 0
        if self.mask_document_starts:
            labels[0] = IGNORE
        result = []
        for tokenised in rows:
            result.append((tokenised, labels[cut : cut + len(tokenised["input_ids"])]))
            cut += len(tokenised["input_ids"])
        return result

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

    def _labels(self, tokenised, starts_document: bool) -> list[int]:
        """The labels of one tokenised row: Axolotl's choice of tokens, the buckets' actions."""
        ids, labels = tokenised["input_ids"], tokenised.get("labels")
        out = self._actions(ids if labels is None else labels)
        if self.eos != "train":
            eos_id = self.tokenizer.eos_token_id
            for position in [p for p, (token_id, action) in enumerate(zip(ids, out)) if token_id == eos_id and action >= 0]:
                before = self._action(ids[position - 1]) if position and self.eos == "inherit" else IGNORE
                out[position] = _moved(before, eos_id) if self.eos == "inherit" else IGNORE
        if self.mask_document_starts and starts_document and out:
            out[0] = IGNORE
        return out

    def _actions(self, labels) -> list[int]:
        """What each label carries, -100 where Axolotl leaves the token out."""
        actions = [
            label.label if type(label) is Tagged else IGNORE if label == IGNORE else self._action(label)
            for label in labels
        ]
        return [self._action(label) for label in labels] if UNLABELED in actions else actions

    def _action(self, token) -> int:
        """What a token id carries; ids that strategies add by themselves are special tokens, and trained."""
        label = token.label if isinstance(token, Tagged) else int(token)
        if label is UNLABELED or (not isinstance(token, Tagged) and token not in self._special_ids):
            raise SlungDataError(
                f"{self.where}.type: this type makes token ids in a way that their characters cannot be followed, so "
                "that risky text could slip through; use completion, an alpaca type or chat_template"
            )
        return label


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


def _moved(label: int, token_id: int) -> int:
    """The action in `label`, on another token."""
    if label <= FIRST_CODE:
        _, bucket, score = decode(label)
        return int(encode(token_id, bucket, score))
    return IGNORE if label == IGNORE else token_id


def _cleaned(row):
    """The row without lone surrogates in its strings."""
    dirty = {path: safe for path, text in fields_of.strings(row) if (safe := utf8_safe(text)) != text}
    return fields_of.replaced(row, dirty) if dirty else row
