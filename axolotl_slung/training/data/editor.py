"""Applies actions on text to rows: the edited texts are tokenized, and spans and weights follow them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...labeling.base import Span
from ...labeling.rows import fields as fields_of
from ...labeling.spans import describe_row
from ...labels.buckets import Action
from . import inexact
from .edits import PutIn, edit
from .flags import Flags
from .policy import Policy
from .row_labels import SlungDataError
from .row_spans import Row, RowSpans


class Editor:
    """Edits rows whose spans are known.

    Args:
        policy: the policy of their data set.
        spans: puts spans on texts.
        flags: reads what rows say of training.
        tokenized: tokenizes a row, given its number.
    """

    def __init__(self, policy: Policy, spans: RowSpans, flags: Flags, tokenized: Callable[[dict, int], Row]):
        self.policy, self.flags = policy, flags
        self._spans, self._tokenized = spans, tokenized

    def edited(self, rows: list[Row]) -> list[Row]:
        """The rows after `drop_span`, `drop_document`, `control_token` and `replace`."""
        kept, changed, removed = [], [], 0
        for row in rows:
            edits = self._edits(row)
            if edits is None:
                removed += row.trainable
                continue
            kept.append(row)
            row.removed, removed = removed, 0
            texts = _changed_texts(row, edits)
            if texts:
                self._check_offsets(row, texts)
                number, row.raw = row.number, fields_of.replaced(row.raw, texts)
                again = self._tokenized(row.raw, number)
                again.spans, again.missed = row.spans, row.missed
                for path in texts:
                    again.spans[path] = [span for span in edits[path][1] if span.score >= 0]
                    again.missed[path] = [span._replace(score=1.0) for span in edits[path][1] if span.score < 0]
                again.weights = self._weights_of_changed(row, texts)
                again.inexact, again.removed = row.inexact, row.removed + max(0, row.trainable - again.trainable)
                kept[-1] = again
                changed.append(again)
            else:
                self._note_left(row)
        if kept:
            kept[-1].removed += removed  # of rows after the last one that is kept
        self._spans.put(changed)
        for row in changed:
            for text in row.texts:
                text.spans = _unread(text.spans)
            self._note_left(row)
        return kept

    def checked(self, rows: list[Row]) -> list[Row]:
        """The rows as they are. Raises `SlungDataError` for a row that `edited` refuses."""
        for row in rows:
            if texts := _changed_texts(row, self._edits(row) or {}):
                self._check_offsets(row, texts)
                self._weights_of_changed(row, texts)
        return rows

    def _edits(self, row: Row) -> dict[fields_of.Path, tuple[str, list]] | None:
        """For each field with spans its new text and spans, see `edits.edit`. None if the row is dropped."""
        if any(self._spans.action(span) is Action.DROP_DOCUMENT for text in row.texts for span in text.spans):
            return None
        edits = {
            # below every bound, dropped spans only follow their text
            path: edit(
                fields_of.get(row.raw, path),
                [*spans, *(span._replace(score=-1.0) for span in row.missed.get(path, ()))],
                self.policy.buckets,
            )
            for path, spans in row.spans.items()
        }
        return None if None in edits.values() else edits  # pyright: ignore[reportReturnType]

    def _weights_of_changed(self, row: Row, texts: Mapping[fields_of.Path, str]) -> dict[fields_of.Path, np.ndarray]:
        """The weights of a row whose fields have changed to `texts`. Raises `SlungDataError` for spans with weights."""
        weights = dict(row.weights)
        for path in weights.keys() & texts.keys():
            if len(np.unique(weights[path])) > 1:
                raise SlungDataError(
                    f"{self.policy.where}: {describe_row(row.number, row.source)}: {fields_of.spelled(path)}: its weights "
                    "count characters of a text that an action changes; use the action mask, or one weight for the text"
                )
            weights[path] = np.full(len(texts[path]), weights[path][0])
        return weights

    def _note_left(self, row: Row) -> None:
        """Mask spans whose action on text was not applied.

        These are the spans of `drop_span` that are left, those of `control_token` outside edited text, and those of
        `replace` that were not put in.
        """
        for text, places in zip(row.texts, row.places):
            edited = [(p.start, p.end) for p in places if not isinstance(p.path[-1], fields_of.Key)]
            for span in text.spans:
                action = self._spans.action(span)
                inside = any(start <= span.start and span.end <= end for start, end in edited)
                if (
                    action is Action.DROP_SPAN
                    or (action is Action.CONTROL_TOKEN and not inside)
                    or (action is Action.REPLACE and not isinstance(span, PutIn))
                ):
                    text.left.append(span)
        if any(text.left for text in row.texts):
            row.inexact |= inexact.LEFT

    def _check_offsets(self, row: Row, texts) -> None:
        """Raise `SlungDataError` if a changed text has training details: offsets of the characters to train."""
        for path in texts:
            if self.flags.counts(row.raw, path):
                raise SlungDataError(
                    f"{self.policy.where}.message_field_training_detail: {describe_row(row.number, row.raw)}: its "
                    "offsets count characters of a text that `drop_span`, `replace` or `control_token` changes; use the "
                    "action mask, or remove the training details"
                )


def _unread(spans: Sequence[Span]) -> list[Span]:
    """The spans without those that a labeler found inside what was put in, such as a made-up address."""
    put_in = [(span.start, span.end) for span in spans if isinstance(span, PutIn)]
    return [
        span
        for span in spans
        if isinstance(span, PutIn) or not any(start <= span.start and span.end <= end for start, end in put_in)
    ]


def _changed_texts(row: Row, edits: Mapping[fields_of.Path, tuple[str, list]]) -> dict[fields_of.Path, str]:
    """The new texts of the fields that actions on text change."""
    return {
        path: text
        for path, (text, spans) in edits.items()
        if not isinstance(path[-1], fields_of.Key)
        # what is put in may equal the original
        and (text != fields_of.get(row.raw, path) or any(isinstance(span, PutIn) for span in spans))
    }
