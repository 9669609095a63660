"""What labelers find in the texts of rows, and the spans that rows bring along in a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..base import Labeler, LabelerError, RowError, Span
from ..custom import CustomLabeler
from ..spans import SpansLabeler
from .columns import described, within, without_text
from .fields import Layout, Path, get, spelled, surroundings
from .meant import Meant, meant_by, meant_together

Found = dict[Path, list[Span]]
"""The spans of each field of a row."""


def found_in_fields(
    labeler: Labeler, rows: Sequence[Mapping], wanted: Sequence[Sequence[Path]], layout: Layout
) -> list[Found]:
    """The spans that a labeler finds in the strings of rows, and in the texts that they imply (see `meant`).

    Args:
        labeler: one that does not read spans from the row.
        rows: rows of the data set, all of whose JSON is parsed (`Layout.parsed`).
        wanted: for each row the paths of its strings to label.
        layout: the layout of the rows.

    Returns:
        For each row the spans of the wanted strings.

    Raises:
        RowError: some rows cannot be labeled.
    """
    found: list[Found] = [{path: [] for path in paths} for paths in wanted]
    places = [(number, path) for number, paths in enumerate(wanted) for path in paths]
    texts = [get(rows[number], path) for number, path in places]
    for (number, path), spans in zip(places, _annotated(labeler, texts, rows, places)):
        found[number][path] += spans
    meant: list[tuple[int, Path, Meant]] = []
    if labeler.scope == "document":  # the others read escapes, and so the strings in JSON
        for (number, path), text in zip(places, texts):
            meant += [(number, path, one) for one in meant_by(path, text)]
    for number, row in enumerate(rows):
        meant += [(number, one.fields[0][0], one) for one in meant_together(row, layout)]
    where = [(number, path) for number, path, _ in meant]
    implied = _annotated(labeler, [one.text for *_, one in meant], rows, where)
    for (number, _, one), spans in zip(meant, implied):
        for path, span in one.moved(spans):
            if path in found[number]:
                found[number][path].append(span)
    return found


def found_in_columns(
    labeler: Labeler, rows: Sequence[Mapping], layout: Layout, text_field: str | None
) -> tuple[list[Found], list[set[Path]]]:
    """The spans that a labeler reads from the rows.

    Args:
        labeler: one with `reads_row`.
        rows: rows of the data set, whose JSON is not parsed.
        layout: the layout of the rows.
        text_field: the text that a row's or message's spans count; None if a row has several texts.

    Returns:
        For each row the spans of the fields that its columns describe, and those of the fields that a JSON pointer
        names.

    Raises:
        RowError: the spans of some rows do not fit.
        LabelerError: no key says which of several texts the spans count.
    """
    column = getattr(labeler, "field", None)
    if column is None and isinstance(labeler, SpansLabeler):
        return [{} for _ in rows], [set() for _ in rows]
    name = labeler.text_field or text_field  # pyright: ignore[reportAttributeAccessIssue] - see `reads_row`
    anywhere = labeler.text_field is not None or layout.messages is None  # pyright: ignore[reportAttributeAccessIssue]
    if name is None and any(column is None or column not in row for row in rows):
        raise LabelerError(
            f"{labeler.key}.text_field: not set: a data set of this type has several texts; name the column whose "
            "characters the spans count"
        )
    wanted, problems = [], {}
    for number, row in enumerate(rows):
        opened = layout.opened(row)
        try:
            found = list(described(opened, name, column, layout, anywhere))
            missed = without_text(opened, column, found) if column else None
        except LabelerError as error:
            problems[number] = str(error)
            continue
        except RecursionError:
            problems[number] = "its lists and mappings are nested too deeply; remove the row"
            continue
        if missed:
            problems[number] = (
                f"{spelled(missed)}: these spans have no text {name!r}; name the key of their text, or remove the spans"
            )
        wanted += [(number, one) for one in found]
    if problems:
        raise RowError(f"{labeler.key}.text_field", problems)
    of_rows: list[Found] = [{} for _ in rows]
    pointed: list[set[Path]] = [set() for _ in rows]
    texts, beside = [one.text for _, one in wanted], [one.row for _, one in wanted]
    for (number, one), spans in zip(wanted, _asked(labeler, texts, beside, [number for number, _ in wanted])):
        for path, bounds in one.fields:
            of_rows[number].setdefault(path, []).extend(within(bounds, spans))
            if one.pointed:
                pointed[number].add(path)
    return of_rows, pointed


def reads_rows(labeler: Labeler) -> bool:
    """Whether a labeler may read more than the text. A custom class also gets the row."""
    return isinstance(labeler, CustomLabeler) and not labeler.cached


def _annotated(labeler, texts: list[str], rows, places: list[tuple[int, Path]]) -> list[list[Span]]:
    """The spans of each text. Equal texts are labeled once if the labeler reads only the text."""
    if reads_rows(labeler):
        beside = [surroundings(rows[number], path) for number, path in places]
        return _asked(labeler, texts, beside, [number for number, _ in places])
    whose: dict[str, int] = {}
    for text, (number, _) in zip(texts, places):
        whose.setdefault(text, number)
    spans = dict(zip(whose, _asked(labeler, list(whose), [{}] * len(whose), list(whose.values()))))
    return [spans[text] for text in texts]


def _asked(labeler: Labeler, texts: list[str], beside: list[dict], numbers: list[int]) -> list[list[Span]]:
    """`Labeler.annotate`, whose errors are about the rows with these numbers."""
    try:
        return labeler.annotate(texts, beside)
    except RowError as error:
        raise error.moved(numbers) from None
