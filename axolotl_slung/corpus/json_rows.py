"""Rows of Arrow tables as lines of JSON. Every type has one form, which the schema decides."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pyarrow import types

from ..errors import get_logger

LOG = get_logger(__name__)

_UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Digits of a second's fraction."""
_DEEPEST = 100

NOT_VALID = "its data is not valid, such as text that is not UTF-8"


def problems(fields: Iterable[pa.Field], depth: int = 1, path: str = "") -> list[str]:
    """What of a schema no JSON can hold: names that are there twice, a few types, and nesting deeper than 100."""
    fields = list(fields)
    found = [f"{path}{name!r} is there {n} times" for name, n in Counter(f.name for f in fields).items() if n > 1]
    for field in fields:
        kind, name = _plain(field.type), f"{path}{field.name!r}"
        if depth > _DEEPEST:
            found.append(f"{path}: nested more than {_DEEPEST} deep")
        elif types.is_union(kind) or types.is_interval(kind):
            found.append(f"{name} has the type {kind}")
        else:
            found += problems([kind.field(i) for i in range(kind.num_fields)], depth + 1, f"{name}.")
    return found


def kind_of_column(kind: pa.DataType) -> str:
    """What JSON or a reader would call the values of a type, such as "a string"."""
    kind = _plain(kind)
    if _is_string(kind):
        return "a string"
    if types.is_null(kind):
        return "null"
    if types.is_nested(kind):
        return "an object" if types.is_struct(kind) else "a list"
    return "true or false" if types.is_boolean(kind) else f"a column of type {kind}"


def lines(batch: pa.RecordBatch) -> Sequence[bytes | None]:
    """One line of JSON per row, without its line break; None for rows whose data is not valid.

    Numbers, strings, lists and objects are what they are in JSON. Of the others:

    - Times and dates are in ISO 8601, with all digits of their column's unit and, if the column has a zone, with the
      offset. Durations are like PT1.5S.
    - Decimals are strings with all their digits. UUIDs are strings.
    - Binary data is base64. NaN and infinity are null.
    - A map is a list of {"key": ..., "value": ...}, since its keys may be of any type and repeat.
    """
    try:
        batch.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        if "UTF8" not in str(error):
            return [None] * batch.num_rows
        if batch.num_rows > 1:
            return [line for row in range(batch.num_rows) for line in lines(batch.slice(row, 1))]
    try:
        return _lines(batch)
    except UnicodeDecodeError:
        return [None]


def _lines(batch: pa.RecordBatch) -> list[bytes]:
    names, columns = batch.schema.names, [values(column) for column in batch.columns]
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    rows = zip(*columns) if columns else [()] * batch.num_rows
    return [encode(dict(zip(names, row))).encode() for row in rows]


def values(array: pa.Array) -> list:
    """The values as what `json` writes; see `lines`."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _of(array, str) if kind.extension_name == "arrow.uuid" else values(array.storage)
    if types.is_dictionary(kind):
        return values(array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return values(_compute().run_end_decode(array))
    if types.is_floating(kind):
        return [one if one is None or math.isfinite(one) else None for one in array.to_pylist()]
    if types.is_decimal(kind):
        return _of(array, lambda one: format(one, "f"))
    if _is_binary(kind):
        return _of(array, lambda one: b64encode(one).decode())
    if types.is_timestamp(kind):
        return _timestamps(array)
    if types.is_date(kind):
        days = _integers(array, pa.int32() if types.is_date32(kind) else pa.int64())
        length = 1 if types.is_date32(kind) else 86_400_000
        return _dates([one if one is None else one // length for one in days], "D")
    if types.is_time(kind):
        integers = _integers(array, pa.int32() if types.is_time32(kind) else pa.int64())
        return [one if one is None else _time_of_day(one, _UNITS[kind.unit]) for one in integers]
    if types.is_duration(kind):
        return [one if one is None else _duration(one, _UNITS[kind.unit]) for one in _integers(array, pa.int64())]
    if types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        columns = [values(column) for column in array.flatten()]
        rows = (dict(zip(names, row)) for row in zip(*columns)) if columns else ({} for _ in range(len(array)))
        return [row if valid else None for row, valid in zip(rows, array.is_valid().to_pylist())]
    if types.is_map(kind):
        pairs = [{"key": key, "value": value} for key, value in zip(values(array.keys), values(array.items))]
        ends = array.offsets.to_pylist()
        valid = array.is_valid().to_pylist()
        return [pairs[start:end] if there else None for start, end, there in zip(ends, ends[1:], valid)]
    if types.is_nested(kind):
        flat, lists, start = values(array.flatten()), [], 0
        for length in _compute().list_value_length(array).to_pylist():
            lists.append(None if length is None else flat[start : start + length])
            start += length or 0
        return lists
    return array.to_pylist()


def _compute():
    from pyarrow import compute  # 6 MB, and only some types need it

    return compute


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves, without an encoding or an extension."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif types.is_dictionary(kind) or types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def _is_string(kind) -> bool:
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_binary(kind) -> bool:
    wide = types.is_large_binary(kind) or types.is_binary_view(kind)
    return wide or types.is_binary(kind) or types.is_fixed_size_binary(kind)


def _of(array: pa.Array, form) -> list:
    return [one if one is None else form(one) for one in array.to_pylist()]


# ---- times


def _integers(array: pa.Array, width: pa.DataType) -> list[int | None]:
    # not through Python's own times: they have fewer years and no nanoseconds
    return array.cast(width).cast(pa.int64()).to_pylist()


def _dates(integers: Sequence[int | None], unit: str) -> list[str | None]:
    """ISO 8601 without a zone."""
    there = np.array([0 if one is None else one for one in integers], "i8")
    written = np.datetime_as_string(there.view(f"M8[{unit}]")).tolist()
    return [None if one is None or text == "NaT" else text for one, text in zip(integers, written)]


def _timestamps(array: pa.TimestampArray) -> list[str | None]:
    unit, zone = array.type.unit, array.type.tz
    integers = _integers(array, pa.int64())
    written = _dates(integers, unit)
    if zone is None:
        return written
    place = _zone(zone)
    return [None if text is None else _in_zone(one, text, place, unit) for one, text in zip(integers, written)]


def _in_zone(value: int, utc: str, zone: tzinfo, unit: str) -> str:
    try:
        seconds = value // 10 ** _UNITS[unit]
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone).isoformat()
    except (OverflowError, ValueError):
        return f"{utc}+00:00"  # a year that Python's zones do not know
    return local[:19] + "".join(utc.partition(".")[1:]) + local[19:]


@cache
def _zone(name: str) -> tzinfo:
    if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        sign, hours, minutes = offset.groups()
        delta = timedelta(hours=int(hours), minutes=int(minutes))
        if delta < timedelta(days=1):
            return timezone(-delta if sign == "-" else delta)
    try:
        return ZoneInfo(name)
    except Exception:
        # the time itself is right: Arrow keeps it in UTC
        LOG.warning("slung: a column has a time zone that is not known on this machine; its times are written in UTC")
        return UTC


def _time_of_day(value: int, digits: int) -> str:
    seconds, fraction = divmod(value, 10**digits)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}.{fraction:0{digits}}" if digits else clock


def _duration(value: int, digits: int) -> str:
    seconds, fraction = divmod(abs(value), 10**digits)
    rest = f".{fraction:0{digits}}".rstrip("0") if fraction else ""
    return f"{'-' if value < 0 else ''}PT{seconds}{rest}S"
