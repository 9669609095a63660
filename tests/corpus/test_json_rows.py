"""Rows of Arrow tables as lines of JSON: every type has a form, and a row is what it was."""

import json
import math
import random
import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from helpers.arrow_values import random_type, random_value, reference

from axolotl_slung.corpus.json_rows import kind_of_column, lines, problems, values

DAY = datetime(2019, 4, 25, 12, 57, 54, 250_000)


def far(kind, *integers):
    return pa.array(integers, pa.int64()).cast(kind)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None, 2**63], pa.uint64()), [1, None, 2**63]),
        (pa.array([True, None]), [True, None]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([0.5, math.nan, math.inf, -math.inf, None]), [0.5, None, None, None, None]),
        (pa.array([0.5, math.nan], pa.float32()), [0.5, None]),
        (pa.array([0.5, math.nan], pa.float64()).cast(pa.float16()), [0.5, None]),
        (pa.array([DAY, None], pa.timestamp("us")), ["2019-04-25T12:57:54.250000", None]),
        (pa.array([DAY.replace(microsecond=0)], pa.timestamp("s")), ["2019-04-25T12:57:54"]),
        (pa.array([DAY], pa.timestamp("ms", "UTC")), ["2019-04-25T12:57:54.250+00:00"]),
        (pa.array([DAY], pa.timestamp("ns", "Europe/Berlin")), ["2019-04-25T14:57:54.250000000+02:00"]),
        (pa.array([DAY], pa.timestamp("ms", "-03:30")), ["2019-04-25T09:27:54.250-03:30"]),
        (pa.array([DAY], pa.timestamp("ms", "No/Where")), ["2019-04-25T12:57:54.250+00:00"]),
        (far(pa.timestamp("s"), 2**40, -(2**40)), ["36812-02-20T00:36:16", "-32873-11-12T23:23:44"]),
        (far(pa.timestamp("s", "Asia/Tokyo"), 2**40), ["36812-02-20T00:36:16+00:00"]),
        (far(pa.timestamp("ns"), 1, -1), ["1970-01-01T00:00:00.000000001", "1969-12-31T23:59:59.999999999"]),
        (far(pa.timestamp("us"), -(2**63)), [None]),
        (pa.array([date(2019, 4, 25), None], pa.date32()), ["2019-04-25", None]),
        (pa.array([date(1919, 4, 25)], pa.date64()), ["1919-04-25"]),
        (far(pa.time64("ns"), 45_000_000_000_001, 0), ["12:30:00.000000001", "00:00:00.000000000"]),
        (pa.array([3600], pa.int32()).cast(pa.time32("s")), ["01:00:00"]),
        (pa.array([timedelta(1, 0, 250_000), timedelta(-1)], pa.duration("us")), ["PT86400.25S", "-PT86400S"]),
        (pa.array([Decimal("12.30"), None], pa.decimal128(9, 2)), ["12.30", None]),
        (pa.array([Decimal("1E+5")], pa.decimal128(9, -5)), ["100000"]),
        (pa.array([Decimal("-0.000000001")], pa.decimal256(50, 9)), ["-0.000000001"]),
        (pa.array([b"\xff\x00", b"", None]), ["/wA=", "", None]),
        (pa.array([b"\xff\x00"], pa.binary(2)), ["/wA="]),
        (pa.array([b"\xff\x00"], pa.large_binary()), ["/wA="]),
        (pa.array([b"\xff\x00"], pa.binary_view()), ["/wA="]),
        (pa.array(["é", None], pa.large_string()), ["é", None]),
        (pa.array(["é", None], pa.string_view()), ["é", None]),
        (pa.array(["b", None, "b"]).dictionary_encode(), ["b", None, "b"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([DAY, None], pa.timestamp("s"))),
         ["2019-04-25T12:57:54", "2019-04-25T12:57:54", None]),
        (pa.array([[1.5, math.nan], None, []], pa.list_(pa.float64())), [[1.5, None], None, []]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None]),
        (pa.array([[1], None, [2, 3]], pa.large_list(pa.int8())), [[1], None, [2, 3]]),
        (pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())), [[1], None, [2, 3]]),
        (pa.array([{"a": b"\0", "b": [date(2000, 1, 1)]}, None, {"a": None, "b": None}]),
         [{"a": "AA==", "b": ["2000-01-01"]}, None, {"a": None, "b": None}]),
        (pa.array([{}, None], pa.struct([])), [{}, None]),
        (pa.array([[("x", 1.0), ("x", math.nan)], None, []], pa.map_(pa.string(), pa.float64())),
         [[{"key": "x", "value": 1.0}, {"key": "x", "value": None}], None, []]),
        (pa.array([[(1, DAY)]], pa.map_(pa.int8(), pa.timestamp("s"))),
         [[{"key": 1, "value": "2019-04-25T12:57:54"}]]),
        (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
         [str(uuid.UUID(bytes=b"0" * 16))]),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}'])), ['{"a":1}']),
    ],
    ids=lambda of: str(of.type)[:40] if isinstance(of, pa.Array) else "",
)  # fmt: skip
def test_every_type_has_a_form(array, expected):
    assert values(array) == expected
    for start in range(len(array)):  # slices have offsets of their own
        assert values(array.slice(start)) == expected[start:]
    batch = pa.RecordBatch.from_arrays([array], names=["x"])
    assert [json.loads(line) for line in lines(batch)] == [{"x": one} for one in expected]
    assert not problems(batch.schema)


def test_rows_of_any_types_are_what_arrow_says_that_they_are():
    draw = random.Random(5)
    for _ in range(150):
        kind = random_type(draw, 3)
        array = pa.array([random_value(kind, draw) for _ in range(draw.randint(0, 9))], kind)
        assert values(array) == [reference(one, kind) for one in array.to_pylist()], kind


def test_rows_that_are_not_utf8_are_told_one_by_one():
    text = pa.Array.from_buffers(pa.string(), 3, pa.array([b"ab", b"\xff\xfe", b"c"]).buffers())
    batch = pa.RecordBatch.from_arrays([text, pa.array([1, 2, 3])], names=["text", "n"])
    assert lines(batch) == [b'{"text": "ab", "n": 1}', None, b'{"text": "c", "n": 3}']
    nested = pa.ListArray.from_arrays([0, 1, 3], text)
    batch = pa.RecordBatch.from_arrays([nested], names=["texts"])
    assert lines(batch) == [b'{"texts": ["ab"]}', None]


def test_what_json_cannot_hold_is_known_from_the_schema():
    deep = pa.int8()
    for _ in range(200):
        deep = pa.list_(deep)
    schema = pa.schema([
        ("a", pa.int8()), ("a", pa.int8()), ("s", pa.struct([("x", pa.int8()), ("x", pa.int8())])),
        ("u", pa.list_(pa.dense_union([pa.field("i", pa.int8())]))), ("m", pa.month_day_nano_interval()),
        ("deep", deep),
    ])  # fmt: skip
    found = problems(schema)
    assert found[0] == "'a' is there 2 times" and found[1] == "'s'.'x' is there 2 times"
    assert found[2].startswith("'u'.'item' has the type dense_union") and found[3].startswith("'m' has the type month")
    assert "nested more than 100 deep" in found[4] and len(found) == 5


def test_kinds_of_columns():
    kinds = {pa.large_string(): "a string", pa.dictionary(pa.int8(), pa.string()): "a string", pa.null(): "null",
             pa.list_(pa.int8()): "a list", pa.map_(pa.int8(), pa.int8()): "a list", pa.struct([]): "an object",
             pa.bool_(): "true or false", pa.binary(): "a column of type binary",
             pa.timestamp("s"): "a column of type timestamp[s]"}  # fmt: skip
    assert {kind: kind_of_column(kind) for kind in kinds} == kinds
