"""Columns of spans for a config's data sets, from which training makes the labels that it makes with the labelers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from ...labeling.base import RowError
from ...labeling.rows.fields import Path
from ...labeling.rows.written import columns_of, with_columns
from ...labeling.spans import SpansLabeler
from .row_labels import SlungDataError
from .row_spans import Row
from .strategy import SlungStrategy


class SpanColumns:
    """Labels the rows of a data set and checks that their columns give the same labels.

    Args:
        strategy: labels the rows in training.
        field: the name of the columns.
        where: the data set's place in the YAML, for messages.

    Attributes:
        differs: whether the labelers found something that the columns do not hold, in any row so far. It is in text that
            is not the row's, such as the words of a chat template.
    """

    def __init__(self, strategy: SlungStrategy, field: str, where: str):
        self.field, self.where = field, where
        self.differs = False
        # files contain the scores as they are
        labelers = tuple(map(copy, strategy.policy.labelers))
        for labeler in labelers:
            labeler.scale = None
        # files contain what was found; noise comes when training reads them
        self.strategy = SlungStrategy(strategy.strategy, replace(strategy.policy, labelers=labelers, noise=None))
        # the rows keep their columns of weights
        columns = [one.weights_field for one in labelers if isinstance(one, SpansLabeler) and one.weights_field]
        readers = tuple(SpansLabeler("--spans-field", field, weights_field=column) for column in columns or [None])
        reading = replace(strategy.policy, labelers=readers, noise=None)
        self._reader = SlungStrategy(strategy.strategy, reading)

    def label(self, rows: Sequence[Mapping]) -> tuple[list[dict[Path, dict] | None], dict[int, str]]:
        """Label rows as training does, without actions on text. See `corpus.job.Job.columns` for what it returns.

        Afterwards `differs` says whether training would make other labels from the columns.

        Raises:
            SlungError: a labeler cannot label the rows as a whole.
        """
        problems: dict[int, str] = {}
        labeled = self._labeled(self.strategy, dict(enumerate(rows)), problems)
        names, layout = [labeler.name for labeler in self.strategy.policy.labelers], self.strategy.layout
        columns = {
            n: columns_of(rows[n], row.spans, names, layout, self.strategy.policy.text_field)
            for n, row in labeled.items()
        }
        written = {
            n: json.loads(with_columns(json.dumps(rows[n], default=str), rows[n], of_row, self.field, layout))
            for n, of_row in columns.items()
        }
        unread: dict[int, str] = {}
        read = self._labeled(self._reader, written, unread)
        problems |= {number: f"training cannot read its spans: {problem}" for number, problem in unread.items()}
        self.differs |= not all(self._same(labeled[number], row) for number, row in read.items())
        return [None if number in problems else columns.get(number) for number in range(len(rows))], problems

    def _labeled(
        self, strategy: SlungStrategy, rows: Mapping[int, Mapping], problems: dict[int, str]
    ) -> dict[int, Row]:
        """The rows without problems, labeled, by their numbers. New problems are added to `problems`."""
        while left := [number for number in rows if number not in problems]:
            followed = []
            for number in left:
                try:
                    followed.append(strategy.followed(dict(rows[number]), number))
                except SlungDataError as error:
                    problems[number] = str(error)
                except RowError as error:
                    problems[number] = error.told(number)
                except Exception as error:
                    # its message could quote the row
                    problems[number] = f"Axolotl cannot prepare this row: {type(error).__name__}"
            try:
                strategy.find(followed)
            except RowError as error:
                problems.update({number: error.told(number) for number in error.problems})
                continue
            return {row.number: row for row in followed}
        return {}

    def _same(self, row: Row, read: Row) -> bool:
        ours, theirs = self.strategy.labels(row), self._reader.labels(read)
        return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))
