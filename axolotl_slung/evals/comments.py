"""Comments with a class, toxic or not: in the columns of CivilComments, HateCheck or ToxiGen, and draws of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import SlungError, few, get_logger
from .documents import as_text, columns_of, load, named, splits_of
from .measures import probe
from .services.options import Options

LOG = get_logger(__name__)

GROUPS = ("functionality", "target")
"""What comments may be grouped by: the functional test of HateCheck, and the people that a comment is about."""

_MOST_GROUPS, _LONGEST = 200, 80


class Schema(NamedTuple):
    """The columns of one data set.

    Attributes:
        text: the column with the comment.
        classes: the columns that give the class.
        toxic_from: the lowest sum of those columns that is toxic.
        most: the highest value of each of them; 0 is the lowest.
        others: the columns of `GROUPS` and of `template`, by these names.
    """

    text: str
    classes: tuple[str, ...]
    toxic_from: float
    most: float
    others: Mapping[str, str]


SCHEMAS = (
    # of HateCheck (Röttger et al. 2021): a case's class is a word, and cases of one template differ only in the people
    Schema(
        "test_case", ("label_gold",), 1, 1,
        {"functionality": "functionality", "target": "target_ident", "template": "templ_id"},
    ),
    # of ToxiGen (Hartvigsen et al. 2022), annotated: its authors take a sum of more than 5.5 of two scales from 1 to 5
    Schema("text", ("toxicity_human", "toxicity_ai"), np.nextafter(5.5, 6), 5, {"target": "target_group"}),
    # of ToxiGen, generated: the class is that of the prompt
    Schema("generation", ("prompt_label",), 1, 1, {"target": "group"}),
    # of CivilComments
    Schema(
        "text", ("toxicity",), probe.TOXIC, 1,
        {"functionality": "functionality", "target": "target", "template": "template"},
    ),
)  # fmt: skip
_CLASSES = {"hateful": 1.0, "non-hateful": 0.0}


class Comments(NamedTuple):
    """Texts, bool `(n,)` whether each is toxic, and columns of `GROUPS` and `template` as far as the data has them."""

    texts: Sequence[str]
    toxic: np.ndarray
    others: dict[str, list[str]]


def read(option: str, source: str, splits: Sequence[str]) -> Comments:
    """The comments of a source, see `documents.load`.

    Raises:
        SlungError: the columns are not those of a `Schema`, or a class cannot be read.
    """
    columns = columns_of(option, source)
    schema = next((its for its in SCHEMAS if {its.text, *its.classes} <= {*columns}), None)
    if schema is None:
        known = "; ".join(", ".join([its.text, *its.classes]) for its in reversed(SCHEMAS))
        raise SlungError(f"{option}: {source} has the columns {few(columns)}; expected one of these sets: {known}")
    wanted = [schema.text, *schema.classes]
    rows = load(option, source, wanted, splits=splits, extra=list(schema.others.values()))
    if "string" not in (kind := str(getattr(rows.features[schema.text], "dtype", "a list"))):
        raise SlungError(f"{option}: {source}: `{schema.text}`: expected a column of texts, got {kind}")
    total = sum(_numbers(option, source, rows[name][:], name, schema) for name in schema.classes)
    others = {
        name: [as_text(value) for value in rows[column][:]]
        for name, column in schema.others.items()
        if column in rows.column_names
    }
    for name in GROUPS:
        _check_names(option, source, schema.others.get(name), others.get(name, []))
    return Comments(rows[schema.text], total >= schema.toxic_from, others)


def _numbers(option: str, source: str, values: Sequence, name: str, schema: Schema) -> np.ndarray:
    """The values of a column, float64 `(n,)`."""
    if name == "label_gold":
        numbers = np.array([_CLASSES.get(as_text(value), np.nan) for value in values])
        expected = "hateful or non-hateful"
    else:
        # data on the hub may have a column of another type
        numbers = np.array([value if isinstance(value, int | float) else np.nan for value in values], float)
        expected = f"a number from 0 to {schema.most}"
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers <= schema.most)))  # NaN too
    if len(wrong):
        raise SlungError(
            f"{option}: row {wrong[0] + 1} of {source}: `{name}`: expected {expected}; rows that differ: {len(wrong)}"
        )
    return numbers


def _check_names(option: str, source: str, column: str | None, names: Sequence[str]) -> None:
    """The names of groups stand in results and reports, so a column of texts must not be taken for them."""
    if len({*names}) > _MOST_GROUPS or any(len(name) > _LONGEST for name in names):
        raise SlungError(
            f"{option}: {source}: `{column}`: expected at most {_MOST_GROUPS} names of groups with at most {_LONGEST} "
            "characters each; remove the column, or shorten the names"
        )


class Drawn(NamedTuple):
    """Comments that some draw contains, and the draws as places in them.

    `docs` have `text`, `toxic`, the columns of `GROUPS` and `template` if the data has them, and `trains` and `tests`:
    the numbers of the draws that train on the comment or test it. `about` says in the results what else they are tested on.
    """

    source: str
    docs: list[dict]
    draws: list[probe.Draw]
    about: dict[str, str]


def drawn(options: Options) -> Drawn:
    """The comments of this run, drawn in the same way for all tasks and models.

    Raises:
        SlungError: the data cannot be read, or has too few comments of a class.
    """
    option, source = "SLUNG_CIVILCOMMENTS", options.civilcomments
    train = read(option, source, ["train", "test"])
    test, test_option, test_source = None, "SLUNG_CIVILCOMMENTS_TEST", options.civilcomments_test
    if test_source:
        test = read(test_option, test_source, ["test", "train"])
    elif {"train", "test"} <= {*splits_of(option, source)}:
        test = read(option, source, ["test"])
    templates = train.others.get("template") if test is None else None
    if test is None and templates is None and "functionality" in train.others:
        LOG.warning(
            "%s: %s has no column for templates; cases of one template may stand in both sets of a draw", option, source
        )
    try:
        found = probe.draws(
            train.toxic.tolist(), None if test is None else test.toxic.tolist(),
            options.probe_draws, options.probe_train, options.probe_test, templates,
        )  # fmt: skip
    except ValueError:
        either = f" or {test_option}" if test_source else ""
        raise SlungError(
            f"{option}{either}: {test_source or source}: too few toxic comments, or too few others; both classes are needed for "
            "training and for testing"
        ) from None
    if len(found[0].train) < options.probe_train // 2 * 2 or len(found[0].test) < options.probe_test // 2 * 2:
        LOG.warning(
            "%s: %s: too few comments of a class; probes are trained on %d and tested on %d, expected %d and %d",
            option, source, len(found[0].train), len(found[0].test), options.probe_train, options.probe_test,
        )  # fmt: skip
    # in random order, so that --limit keeps some of each set
    used = sorted({place for draw in found for place in (*draw.train, *draw.test)})
    places = np.random.default_rng(0).permutation(used).tolist()
    new = {place: index for index, place in enumerate(places)}
    draws = [probe.Draw([new[p] for p in draw.train], [new[p] for p in draw.test]) for draw in found]
    docs = [
        _doc(train, place) if test is None or place < len(train.texts) else _doc(test, place - len(train.texts))
        for place in places
    ]
    for number, draw in enumerate(draws):
        for part, its in zip(("trains", "tests"), draw):
            for place in its:
                docs[place][part].append(number)
    names = dict.fromkeys(name for doc in docs for name in doc)
    about = {"tested on": named(test_source)} if test_source else {}
    return Drawn(source, [{name: doc.get(name, "") for name in names} for doc in docs], draws, about)


def _doc(comments: Comments, place: int) -> dict:
    others = {name: values[place] for name, values in comments.others.items()}
    return {"text": comments.texts[place], "toxic": bool(comments.toxic[place]), **others, "trains": [], "tests": []}
