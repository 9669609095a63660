"""Micro-batches that were counted before they run: the same loss and gradients, and no second count."""

import copy

import pytest
from helpers.heads import assert_same, attached, batch, load, step

from axolotl_slung.loss import counted as counted_module
from axolotl_slung.loss.counted import Counted, count_ahead, counted
from axolotl_slung.loss.reader import shifted


def test_counts_are_those_of_the_labels(tmp_path):
    model = load(tmp_path)
    reader = attached(model).reader
    many = [batch(model, seed)[1] for seed in range(3)]
    many[1][:] = -100
    many[2][0, 5] = 900  # beyond the head
    count_ahead(reader, many, 600)
    for labels in many:
        read = reader.read(shifted(labels).reshape(-1))
        expected = counted(labels.clone(), read, 600)
        assert counted(labels, read, 600) == expected
    assert counted(many[1], reader.read(shifted(many[1]).reshape(-1)), 600) == Counted(0, 0, 0)
    assert counted(many[2], reader.read(shifted(many[2]).reshape(-1)), 600).outside == 1


@pytest.mark.parametrize("factor", [1.0, 0.0])
def test_a_counted_batch_is_not_counted_again(tmp_path, monkeypatch, factor):
    """`factor` 0: before `weight_start` the unlikelihood tokens have no loss, and the count says so."""
    model = load(tmp_path)
    plain = copy.deepcopy(model)
    loss, plain_loss = attached(model), attached(plain)
    loss.reader.weight_factor = plain_loss.reader.weight_factor = factor
    for seed in (0, 1):
        ids, labels = batch(model, seed)
        expected, true_grads = step(plain, ids, labels)
        loss.count_ahead([{"labels": labels}])
        with monkeypatch.context() as patch:
            patch.setattr(counted_module, "_counts", lambda *_: pytest.fail("counted again"))
            output, grads = step(model, ids, labels)
        assert output.loss.item() == expected.loss.item()
        assert_same(grads, true_grads)


def test_labels_shifted_by_the_caller_are_counted_when_they_run(tmp_path):
    model = load(tmp_path)
    loss = attached(model)
    ids, labels = batch(model)
    loss.count_ahead([{"labels": labels, "shift_labels": shifted(labels)}])
    expected, true_grads = step(copy.deepcopy(model), ids, labels)
    output, grads = step(model, ids, labels, shift_labels=shifted(labels))
    assert output.loss.item() == expected.loss.item()
    assert_same(grads, true_grads)
