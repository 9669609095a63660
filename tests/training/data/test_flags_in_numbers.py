"""What `slung doctor` counts of flags: the tokens that they take away, and those that they add."""

from axolotl.utils.dict import DictDefault
from helpers.chat_truth import risky_tokens
from helpers.chats import chat
from helpers.flags import ANSWER, OTHERS, RANGES, TRAIN, answer, at, of_chat, span, text
from helpers.tiny import write_jsonl

from axolotl_slung.training.data.flag_counts import flag_counts


def counted(stages, rows, folder, **entry):
    """The numbers of `slung doctor`, and those that stock gives: the tokens that flags take away, and those they add."""
    path = write_jsonl(folder / "rows.jsonl", rows)
    cfg = DictDefault({**stages.ours.cfg, "datasets": [{**entry, "path": str(path), "ds_type": "json"}]})
    return flag_counts(cfg, stages.tokenizer, 100)


def test_flags_in_numbers(stages, tmp_path):
    """By hand: stock's labels of the rows with their flags and without them."""
    rows = [
        answer(train=False),
        answer(ranges=[at("Yes, it is Maria Her"), at("She", False, of="Yes, She")]),
        chat(("user", "Who?", {"train": True}), ("assistant", ANSWER)),
        answer(),
    ]
    entry = of_chat({**TRAIN, **RANGES})
    counts = counted(stages, rows, tmp_path, **entry)
    assert (counts.rows, counts.flagged, counts.across, counts.changed) == (4, 3, 0, 0)
    assert counts.said == {
        "messages with train: false": 1, "messages with train: true": 1, "ranges with train: true": 1, "ranges with train: false": 1
    }  # fmt: skip
    plain = [chat(*((one["role"], one["content"]) for one in row["messages"])) for row in rows]
    left_out = risky = added = 0
    for row, without in zip(stages.rows(rows, **entry)[0], stages.rows(plain, **entry)[0], strict=True):
        for label, before, is_risky in zip(
            row["labels"], without["labels"], risky_tokens(stages.tokenizer, row["input_ids"])
        ):
            left_out += label < 0 <= before
            risky += label < 0 <= before and is_risky
            added += before < 0 <= label
    assert (counts.left_out, counts.risky, counts.added) == (left_out, risky, added) and min(left_out, risky, added) > 3


def test_flags_of_parts_and_segments_in_numbers(stages, tmp_path):
    parts = [
        text("Yes, it is Maria", weight=0),
        text(" Hern", weight=1.0),
        text("andez, she said.", train=True),
        text(" So", weight=2),
    ]
    counts = counted(stages, [answer(parts)], tmp_path, **of_chat({}))
    assert counts.said == {
        "parts with weight: 0": 1,
        "parts with weight: 1": 1,
        "parts with train: true": 1,
        "parts with weight: another number": 1,
    }
    assert counts.left_out > 3 and counts.across == 0 and counts.added == 0
    # a range inside one token
    counts = counted(
        stages,
        [answer("They are", ranges=[span(6, 6)])],
        tmp_path,
        **of_chat(RANGES),
    )
    assert counts.across == 1
    counts = counted(stages, OTHERS["input_output"], tmp_path, type="input_output")
    assert (counts.rows, counts.flagged) == (2, 2)
    assert counts.said == {"segments with label: false": 3, "segments with label: true": 4}
    assert counts.left_out > counts.risky > 0
    counts = counted(stages, OTHERS["completion"], tmp_path, type="completion")
    assert (counts.rows, counts.flagged, counts.said) == (1, 0, {})
