"""Random Arrow types and values, and what `slung label` makes of them, value by value."""

import math
from base64 import b64encode
from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa


def random_type(draw, depth, top=True):
    """A type, nested at most `depth` deep. pyarrow cannot read all that it writes of dictionaries inside of structs."""
    plain = [pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.bool_(), pa.date32(), pa.decimal128(20, 3)]
    if depth == 0 or draw.random() < 0.4:
        plain += [pa.timestamp("us"), pa.dictionary(pa.int8(), pa.string())][: 1 + top]
        return draw.choice(plain)
    inner = [random_type(draw, depth - 1, top=False) for _ in range(2)]
    return draw.choice([
        pa.list_(inner[0]), pa.large_list(inner[0]), pa.struct([("é", inner[0]), ("b", inner[1])]),
        pa.map_(pa.string(), inner[0]),
    ])  # fmt: skip


def random_value(kind, draw):
    if draw.random() < 0.2:
        return None
    if pa.types.is_map(kind):
        return [(draw.choice("abé"), random_value(kind.item_type, draw)) for _ in range(draw.randint(0, 3))]
    if pa.types.is_struct(kind):
        return {field.name: random_value(field.type, draw) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [random_value(kind.value_type, draw) for _ in range(draw.randint(0, 3))]
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        return "".join(draw.choices('aé"\\\x00\u2028😀\n', k=draw.randint(0, 5)))
    if pa.types.is_binary(kind):
        return draw.randbytes(draw.randint(0, 5))
    if pa.types.is_decimal(kind):
        return Decimal(draw.randint(-(10**16), 10**16)).scaleb(-3)
    if pa.types.is_floating(kind):
        return draw.choice([math.nan, math.inf, draw.random(), -0.0, 1e300])
    if pa.types.is_boolean(kind):
        return draw.random() < 0.5
    if pa.types.is_integer(kind):
        return draw.randint(-(2**63), 2**63 - 1)
    day = datetime(1, 1, 1) + timedelta(draw.randrange(3_600_000), draw.randrange(86400), draw.randrange(10**6))
    return day if pa.types.is_timestamp(kind) else day.date()


def reference(value, kind):
    """Value by value, from Arrow's own Python objects."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if pa.types.is_map(kind):
        return [{"key": key, "value": reference(inner, kind.item_type)} for key, inner in value]
    if isinstance(value, list):
        return [reference(inner, kind.value_type) for inner in value]
    return {key: reference(inner, kind.field(key).type) for key, inner in value.items()}
