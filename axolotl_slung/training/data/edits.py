"""Actions that change the text: remove or replace spans, insert control tokens, drop documents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np

from ...labeling.base import Span
from ...labels.buckets import Action, Bucket
from ...labels.replacement import Replaced, replacements
from ...labels.tokens import buckets_of, char_scores


class PutIn(Span):
    """Characters that `replace` put into a text. They are trained, and no labeler reads them again."""


def edits_text(buckets: Sequence[Bucket]) -> bool:
    """Whether any bucket changes texts."""
    return any(bucket.action.traits.edits_text for bucket in buckets)


def edit(text: str, spans: Sequence[Span], buckets: Sequence[Bucket]) -> tuple[str, list[Span]] | None:
    """Apply the actions on text.

    `drop_span` removes the span's characters. If white space was on both sides, it also removes one of the two runs:
    the one with fewer line breaks, the later one if both have as many. If the span was at an end of the text, it
    removes the white space next to it. So no doubled or dangling space stays, and no other character is lost.
    `control_token` inserts the bucket's token before each span. `replace` puts another text in place of each span.

    Args:
        text: one whole document.
        spans: its spans, which may overlap.
        buckets: in ascending order.

    Returns:
        The new text and its spans, or None if the document is dropped. What `replace` put in is a `PutIn`.
    """
    scores = char_scores(len(text), spans)
    of_char = buckets_of(scores, buckets)
    if any(buckets[index].action is Action.DROP_DOCUMENT for index in np.unique(of_char)):
        return None

    pieces: list[str] = []
    kept_scores: list[np.ndarray] = []
    replaced = replacements(text, spans, of_char, buckets)
    put_in: dict[int, float] = {}  # by the number of its piece
    for start, end, part in _parts(of_char, replaced):
        bucket = buckets[of_char[start]]
        if isinstance(part, Replaced):
            put_in[len(pieces)] = float(scores[start:end].max())
            pieces.append(part.by)
            kept_scores.append(np.zeros(len(part.by)))
        elif bucket.action is Action.DROP_SPAN:
            pieces.append("")
            kept_scores.append(scores[:0])
        else:
            if bucket.action is Action.CONTROL_TOKEN:
                pieces.append(bucket.token)
                kept_scores.append(np.zeros(len(bucket.token)))
            pieces.append(text[start:end])
            # what `replace` leaves is white space
            kept_scores.append(scores[start:end] * (bucket.action is not Action.REPLACE))
    if "" in pieces and not "".join(pieces).strip():
        return "", []
    _mend_white_space(pieces, kept_scores)
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    new = [PutIn(ends[n] - len(pieces[n]), ends[n], score) for n, score in put_in.items() if pieces[n]]
    return "".join(pieces), sorted([*_spans(np.concatenate(kept_scores or [scores])), *new])


def _parts(of_char, replaced):
    """A text in parts `(start, end, replaced)`: those that are replaced, and the rest as runs with None."""
    last = 0
    for one in [*replaced, None]:
        start = len(of_char) if one is None else one.start
        yield from ((last + s, last + e, None) for s, e, _ in _runs(of_char[last:start]))
        if one is not None:
            yield one.start, one.end, one
            last = one.end


def _runs(of_char):
    """Runs of characters in the same bucket: `(start, end, bucket)`."""
    cuts = np.flatnonzero(np.diff(of_char)) + 1
    bounds = [0, *cuts.tolist(), len(of_char)]
    return [(s, e, int(of_char[s])) for s, e in pairwise(bounds) if e > s]


def _mend_white_space(pieces, scores):
    """Where a piece was dropped, remove one of the two runs of white space that now meet, in place."""
    for gap in [i for i, piece in enumerate(pieces) if piece == ""]:
        before = next((i for i in range(gap - 1, -1, -1) if pieces[i]), None)
        after = next((i for i in range(gap + 1, len(pieces)) if pieces[i]), None)
        trail = 0 if before is None else len(pieces[before]) - len(pieces[before].rstrip())
        lead = 0 if after is None else len(pieces[after]) - len(pieces[after].lstrip())
        if before is None:
            cut_trail, cut_lead = 0, lead
        elif after is None:
            cut_trail, cut_lead = trail, 0
        elif trail and lead:
            keep_lead = pieces[after][:lead].count("\n") > pieces[before][len(pieces[before]) - trail :].count("\n")
            cut_trail, cut_lead = (trail, 0) if keep_lead else (0, lead)
        else:
            continue
        if cut_lead:
            pieces[after], scores[after] = pieces[after][cut_lead:], scores[after][cut_lead:]
        if cut_trail:
            pieces[before], scores[before] = pieces[before][:-cut_trail], scores[before][:-cut_trail]


def _spans(scores) -> list[Span]:
    """The scores of characters as spans. Characters with score 0 get no span."""
    spans, position = [], 0
    for score, run in groupby(scores.tolist()):
        length = len(list(run))
        if score:
            spans.append(Span(position, position + length, score))
        position += length
    return spans
