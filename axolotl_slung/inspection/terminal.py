"""Labeled documents for a terminal (colored by action) or a plain file (bracketed by action)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.color import ColorSystem
from rich.style import Style

from ..labels.buckets import Action, Bucket
from ..labels.documents import NOISE, LabeledDocument
from ..visible import visible
from .effects import LEFT_OUT, effects, left_out_meaning, risky_context, weight_marks
from .suspects import untouched

_SHADES = {action.value: action.traits.look.terminal for action in Action} | {LEFT_OUT: ("color(244)", "color(247)")}
_STYLES = {effect: tuple(map(Style.parse, shades)) for effect, shades in _SHADES.items()}
_RISKY = Style(underline=True)
SUSPECTS = 30
"""The most suspicious texts to list."""
_HEADLINE, _QUIET = Style(bold=True), Style(dim=True)
PARTIAL = "~"
"""Marks a token with characters in different buckets."""
_NOISED = ("", "-", "+")
"""Marks of the kinds of `NOISE`."""


def terminal_view(
    documents: Sequence[LabeledDocument], buckets: Sequence[Bucket], width: int = 100, color: bool = True
) -> Iterator[str]:
    """The lines of a legend with counts, and of each document.

    Control characters in names and texts never reach the terminal; see `visible.visible`.

    Args:
        documents: the documents to show, in this order.
        buckets: ascending.
        width: width of the terminal in columns. Wide characters take two columns.
        color: True uses escape sequences for 256 colors. False gives plain text: runs that are not trained are in
            brackets, as in `[mask: ...]`, and brackets of the text are written `\\[` and `\\]`.

    Yields:
        Lines without a line break.
    """
    canvas = _Canvas(max(width, 20), color)
    of_document = [effects(document, buckets) for document in documents]
    yield from _legend(canvas, documents, of_document, buckets)
    for document, its_effects in zip(documents, of_document, strict=True):
        yield from _document(canvas, document, its_effects, risky_context(document, buckets))
    yield from _suspects(canvas, documents, buckets)


class _Canvas:
    """Breaks pieces of text into lines, and colors them."""

    def __init__(self, width: int, color: bool):
        self.width, self.color = width, color

    def paint(self, text: str, style: Style | None) -> str:
        return style.render(text, color_system=ColorSystem.EIGHT_BIT) if self.color and style else text

    def lines(self, pieces) -> Iterator[str]:
        """Lines from pieces `(text, style, breaks)`. Only a word longer than a line is split. `breaks` ends the line.

        A word is a piece and the pieces after it that do not begin with a blank.
        """
        line, used = [], 0
        for word in _together(pieces):
            whole = sum(cell_len(text) for text, _, _ in word)
            if line and used + whole > self.width:
                yield "".join(line)
                line, used = [], 0
            for text, style, breaks in word:
                # almost all pieces fit, and chop_cells is slow
                parts = [text] if cell_len(text) <= self.width else chop_cells(text, self.width)
                for part in parts:
                    cells = cell_len(part)
                    if line and used + cells > self.width:
                        yield "".join(line)
                        line, used = [], 0
                    line.append(self.paint(part, style))
                    used += cells
                if breaks:
                    yield "".join(line)
                    line, used = [], 0
        if line:
            yield "".join(line)


def _together(pieces) -> Iterator[list]:
    """Pieces by word: lists of `(text, style, breaks)`."""
    word: list = []
    for piece in pieces:
        if word and (piece[0][:1] in (" ", "") or word[-1][2] or word[-1][0].endswith(" ")):
            yield word
            word = []
        word.append(piece)
    if word:
        yield word


def _legend(canvas, documents, of_document, buckets) -> Iterator[str]:
    counts = Counter(effect for its_effects in of_document for effect in its_effects)
    total = sum(counts.values())
    bounds = [0, *(bucket.below for bucket in buckets[:-1]), None]
    ranges = {}
    for bucket, low, high in zip(buckets, bounds, bounds[1:]):
        reach = f"from {low}" if high is None else f"{low} to {high}"
        ranges.setdefault(bucket.action, []).append(f"{visible(bucket.name)} ({reach})")
    rows = [(action.value, f"{action.traits.meaning}: {', '.join(names)}") for action, names in ranges.items()]
    reasons: Counter[int] = Counter()
    for document, its_effects in zip(documents, of_document):
        reasons.update(by for by, effect in zip(document.reasons.tolist(), its_effects) if effect == LEFT_OUT)
    rows.append((LEFT_OUT, "; ".join(f"{left_out_meaning(by)} ({reasons[by]:,})" for by in sorted(reasons)) or "none"))
    for effect, meaning in rows:
        share = f"{counts[effect]:,} tokens ({counts[effect] / max(total, 1):.1%})"
        name = (_spoken(effect), _STYLES[effect][0], False)
        yield from canvas.lines([name, *_words(f" {share}, {meaning}")])
    risky = sum(bool(action) for document in documents for action in risky_context(document, buckets))
    if risky:
        marked = "underlined" if canvas.color else "named in its bracket"
        yield from canvas.lines(
            _words(f"risk in what is left out is {marked}: {risky:,} tokens, which are context only")
        )
    if any(document.weights is not None for document in documents):
        weights = [weight for document in documents for weight in document.weight[document.trainable].tolist()]
        zero, below = weights.count(0), sum(weight < 0 for weight in weights)
        yield from canvas.lines(
            _words(
                f"× after tokens: the weight that multiplies their loss; 0 leaves none (tokens: {zero:,}), below 0 "
                f"makes it unlikelihood (tokens: {below:,}). The counts above are by bucket, whatever the weight"
            )
        )
    if any(document.partial.any() for document in documents):
        yield from canvas.lines(_words(f"{PARTIAL} after a token: it has characters in different buckets"))
    for kind, meaning in enumerate(NOISE):
        number = sum(int((document.noises == kind).sum()) for document in documents) if kind else 0
        if number:
            marked = f"{_NOISED[kind]} after a token" if canvas.color else "named in its bracket"
            yield from canvas.lines(_words(f"{marked}: {meaning} ({number:,} tokens)"))


def _suspects(canvas, documents, buckets) -> Iterator[str]:
    """What looks like personal data or a secret, and is trained."""
    found = untouched(documents, buckets)
    if not found:
        return
    yield ""
    yield from canvas.lines(_words("trained, but suspicious: no labeler found these", _HEADLINE))
    for kind, text, times in found[:SUSPECTS]:
        yield from canvas.lines(_words(f"{kind}: {visible(text)}" + (f" ({times:,} times)" if times > 1 else "")))
    if len(found) > SUSPECTS:
        yield from canvas.lines(_words(f"and {len(found) - SUSPECTS:,} more"))


def _document(canvas, document, its_effects, context) -> Iterator[str]:
    counts = Counter(its_effects)
    facts = [f"{len(its_effects):,} tokens", *(f"{number:,} {_spoken(effect)}" for effect, number in counts.items())]
    if Action.DROP_DOCUMENT.value in counts:
        facts.append("dropped whole")
    yield ""
    yield from canvas.lines([*_words(visible(document.name), _HEADLINE), *_words(f" {', '.join(facts)}", _QUIET)])
    pieces = _colored if canvas.color else _bracketed
    yield from canvas.lines(pieces(document, its_effects, context))


def _colored(document, its_effects, context):
    marks, noises = weight_marks(document), document.noises
    for index, (token, effect) in enumerate(zip(document.tokens, its_effects, strict=True)):
        mark = (PARTIAL if document.partial[index] else "") + marks[index] + _NOISED[noises[index]]
        style = _STYLES[effect][index % 2]
        yield (
            (visible(token) or "∅") + mark + _put_in(document, index, effect),
            style + _RISKY if context[index] else style,
            "\n" in token,
        )


def _put_in(document, index, effect) -> str:
    """What `replace` puts in place of the text that ends with a token."""
    put_in = document.put_in.get(index)
    return f" → {visible(put_in)}" if put_in is not None and effect == Action.REPLACE.value else ""


def _bracketed(document, its_effects, context):
    """Like `_colored`, but with brackets around runs of one effect instead of colors."""
    names = [
        _named(effect, by, action) + f", {NOISE[noise]}" * bool(noise)
        for effect, by, action, noise in zip(its_effects, document.reasons.tolist(), context, document.noises.tolist())
    ]
    last, marks = len(its_effects) - 1, weight_marks(document)
    for index, (token, effect) in enumerate(zip(document.tokens, its_effects, strict=True)):
        text = visible(token).replace("[", "\\[").replace("]", "\\]") + (PARTIAL if document.partial[index] else "")
        text += marks[index]
        text += _put_in(document, index, effect).replace("[", "\\[").replace("]", "\\]")
        if names[index] != Action.TRAIN.value:
            if index == 0 or names[index - 1] != names[index]:
                text = f"[{names[index]}:{text}"
            if index == last or names[index + 1] != names[index]:
                text += "]"
        yield text, None, "\n" in token


def _named(effect: str, by: int, action: str) -> str:
    """An effect in a bracket, with what leaves a token out and the action that its risk would have."""
    if effect != LEFT_OUT:
        return _spoken(effect)
    return (left_out_meaning(by) if by else "left out") + (f", risk: {_spoken(action)}" if action else "")


def _words(text, style=None):
    """One piece per word, with the spaces before it."""
    return [(word, style, False) for word in re.findall(" *[^ ]+| +$", text)]


def _spoken(effect: str) -> str:
    return effect.replace("_", " ")
