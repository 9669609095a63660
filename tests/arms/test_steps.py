"""The steps of a pass, against a slow count."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung.arms.steps import Rows, passed

ROW = st.lists(st.booleans(), min_size=2, max_size=12)


def rows_of(flags):
    """Rows from whether each token has a loss."""
    return Rows(*(np.array(part) for part in ([len(f) for f in flags], [sum(f) for f in flags], [f[0] for f in flags])))


def steps_by_hand(flags, micro, accumulation, ranks, length=None):
    """Loss tokens of each step: sequences, then batches, then steps, one after another. A `length` packs."""
    sequences = [[f] for f in flags] if length is None else []
    for f in flags if length is not None else ():
        if sequences and sum(map(len, sequences[-1])) + len(f) <= length:
            sequences[-1].append(f)
        else:
            sequences.append([f])
    targets = [sum(list(itertools.chain(*rows))[1:]) for rows in sequences]
    # Axolotl drops a batch of packed sequences that is not full
    batches = [targets[at : at + micro] for at in range(0, len(targets), micro)]
    batches = [sum(batch) for batch in batches if length is None or len(batch) == micro]
    return [sum(batches[at : at + accumulation * ranks]) for at in range(0, len(batches), accumulation * ranks)]


@settings(max_examples=30)
@given(st.lists(ROW, min_size=8, max_size=40), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_steps(flags, micro, accumulation, ranks, packed):
    cfg = {"micro_batch_size": micro, "gradient_accumulation_steps": accumulation, "sample_packing": packed}
    cfg |= {"sequence_len": 16, "multipack_real_batches": True}
    one = passed(rows_of(flags), cfg, ranks)
    by_hand = steps_by_hand(flags, micro, accumulation, ranks, 16 if packed else None)
    assert one.losses.tolist() == by_hand
    for steps in range(1, 3 * len(by_hand)):
        assert one.loss_tokens(steps) == sum((by_hand * 3)[:steps])


@settings(max_examples=30)
@given(st.lists(ROW, min_size=8, max_size=40), st.integers(0, 400))
def test_the_steps_for_a_number_of_tokens_come_closest(flags, wanted):
    one = passed(rows_of(flags), {"micro_batch_size": 2}, 1)
    if not one.losses.sum():
        return
    steps = one.steps_for(wanted)
    # as many passes as reach the number, and one more
    sums = np.cumsum(np.tile(one.losses, 2 + wanted // int(one.losses.sum())))
    assert abs(sums[steps - 1] - wanted) == np.abs(sums - wanted).min()
