"""The loss: against the paper's formula, a slow reference, and stock cross-entropy, gradients included."""

from math import isnan

import mpmath
import pytest
import torch
from torch.nn.functional import cross_entropy

from axolotl_slung.errors import SlungError
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.codec import IGNORE, encode
from axolotl_slung.loss import on_logits as selective
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss, metrics
from axolotl_slung.loss.objectives import Hinge, unlikelihood
from axolotl_slung.loss.objectives import cross_entropy as trained
from axolotl_slung.loss.on_logits import selective_loss
from axolotl_slung.loss.reader import GROUPS, LabelReader, shifted
from axolotl_slung.loss.reference import selective_loss_reference

BUCKETS = (
    Bucket("low", 0.1, Action.TRAIN),
    Bucket("masked", 0.5, Action.MASK),
    Bucket("soft", 0.9, Action.SOFT, weight=0.5),
    Bucket("high", None, Action.UNLIKELIHOOD, weight=2.0),
)


def both(logits, targets, a, b):
    """Losses and logit gradients of the fast path (float32) and of the reference (float64)."""
    fast = logits.clone().requires_grad_()
    losses, _ = selective_loss(fast, targets, {trained: a, unlikelihood: b})
    losses.sum().backward()
    slow = logits.double().requires_grad_()
    reference = selective_loss_reference(slow, targets, a.double(), b.double())
    reference.sum().backward()
    return (losses, fast.grad), (reference, slow.grad)


@pytest.mark.parametrize("tokens, vocabulary, chunk", [(1, 7, 1024), (252, 123, 100), (507, 1003, 64), (64, 2, 64)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_fast_equals_reference(monkeypatch, tokens, vocabulary, chunk, dtype, tolerance):
    monkeypatch.setattr(selective, "CHUNK", chunk)
    torch.manual_seed(tokens)
    logits = (torch.randn(tokens, vocabulary) * 5).to(dtype)
    targets = torch.randint(vocabulary, (tokens,))
    a, b = torch.rand(tokens), torch.rand(tokens) * (torch.rand(tokens) > 0.5)
    (losses, grad), (reference, true_grad) = both(logits, targets, a, b)
    assert grad.dtype == dtype and losses.dtype == torch.float32
    torch.testing.assert_close(losses.double(), reference, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grad.double(), true_grad, rtol=tolerance, atol=1e-7)


@pytest.mark.parametrize("exponent", [-12, -9, -6, -3, -1])
@pytest.mark.parametrize("high", [False, True])
def test_the_papers_formula_from_1e_12_to_1_minus_1e_12(exponent, high):
    """Invariant 4: to 1e-6 relative in float64, the truth from 60 decimal digits; the gradient too."""
    with mpmath.workdps(60):
        p = 1 - mpmath.mpf(10) ** exponent if high else mpmath.mpf(10) ** exponent
        m = mpmath.log(p / (1 - p))
        others = [mpmath.mpf(x) for x in ("0", "-0.7", "1.3")]
        target = m + mpmath.log(sum(mpmath.exp(z) for z in others))
        logits = torch.tensor([[float(z) for z in [others[0], target, *others[1:]]]], dtype=torch.float64)
        exact = [mpmath.mpf(z) for z in logits[0].tolist()]
        total = sum(mpmath.exp(z) for z in exact)
        q = [mpmath.exp(z) / total for z in exact]
        truth = {
            (1, 0): (-mpmath.log(q[1]), [q[j] - (j == 1) for j in range(4)]),
            (0, 1): (-mpmath.log(1 - q[1]), [q[1] * ((j == 1) - q[j]) / (1 - q[1]) for j in range(4)]),
        }
    for (a, b), (value, gradient) in truth.items():
        weights = torch.tensor([float(a)], dtype=torch.float64), torch.tensor([float(b)], dtype=torch.float64)
        for function in (
            selective_loss_reference,
            lambda z, y, a, b: selective_loss(z, y, {trained: a, unlikelihood: b})[0],
        ):
            leaf = logits.clone().requires_grad_()
            loss = function(leaf, torch.tensor([1]), *weights)
            loss.sum().backward()
            assert loss.item() == pytest.approx(float(value), rel=1e-6)
            assert leaf.grad[0].tolist() == pytest.approx([float(g) for g in gradient], rel=1e-6)


@pytest.mark.parametrize("m", [-30.0, -9.0, 0.0, 9.0, 15.0, 30.0])
def test_float32_keeps_the_gradient_of_memorized_tokens(m):
    """Published forms of -log(1 - p) give zero or NaN from m = 17 on."""
    logits = torch.zeros(1, 50304)
    logits[0, 3] = m + torch.log(torch.tensor(50303.0, dtype=torch.float64)).item()
    (loss, grad), (reference, true_grad) = both(logits, torch.tensor([3]), torch.zeros(1), torch.ones(1))
    torch.testing.assert_close(loss.double(), reference, rtol=1e-5, atol=0)
    torch.testing.assert_close(grad.double(), true_grad, rtol=2e-5, atol=0)


def label(token_id, bucket, score):
    return int(encode(token_id, bucket, score))


LABELS = [5, IGNORE, label(6, 1, 0.3), label(7, 2, 0.6), label(8, 3, 1.0), 9]


def test_labels_read_back_as_targets_and_weights():
    reader = LabelReader(BUCKETS)
    targets, actions, group = reader.read(torch.tensor(LABELS))
    a, b = actions[trained], actions[unlikelihood]
    assert targets.tolist() == [5, 0, 6, 7, 8, 9]
    assert a.tolist() == pytest.approx([1, 0, 0, 0.4, 0, 1])
    assert b.tolist() == pytest.approx([0, 0, 0, 0.5 * 0.6, 2, 0])
    assert [(*GROUPS, "ignored")[g] for g in group] == ["train", "ignored", "mask", "soft", "unlikelihood", "train"]
    count = {
        name: reader.count(torch.tensor(LABELS), name).item() for name in ("loss_tokens", "train_tokens", "all_tokens")
    }
    assert count == {"loss_tokens": 4, "train_tokens": 2, "all_tokens": 5}


WEIGHTED = (
    Bucket("low", 0.1, Action.TRAIN),
    Bucket("masked", 0.2, Action.MASK),
    Bucket("more", 0.5, Action.WEIGHTED, weight=3.0),
    Bucket("away", 0.6, Action.WEIGHTED, weight=-2.0),
    Bucket("hinge", 0.8, Action.HINGE, weight=0.5, threshold=0.1),
    Bucket("high", None, Action.UNLIKELIHOOD, weight=2.0),
)
# bucket, value, whether it is a weight; then cross-entropy, unlikelihood, hinge, and the group
READ = [
    (0, 0.3, True, 0.3, 0, 0, "train"),
    (0, -7, True, 0, 7, 0, "unlikelihood"),
    (0, 1e-6, True, 1e-6, 0, 0, "train"),
    (0, 0, True, 0, 0, 0, "mask"),
    (0, 0.05, False, 0, 0, 0, "mask"),
    (1, 0.15, False, 0, 0, 0, "mask"),
    (2, 0.4, False, 1.2, 0, 0, "weighted"),
    (2, -0.4, True, 0, 1.2, 0, "weighted"),
    (3, 0.5, False, 0, 1, 0, "weighted"),
    (3, -0.5, True, 1, 0, 0, "weighted"),
    (3, 0, True, 0, 0, 0, "mask"),
    (4, 0.7, False, 0, 0, 0.5, "hinge"),
    (4, 7, True, 0, 0, 3.5, "hinge"),
    (5, 1, False, 0, 2, 0, "unlikelihood"),
    (5, 0.3, True, 0, 0.6, 0, "unlikelihood"),
]


def test_weights_read_back():
    bucket, value, given, a, b, c, group = zip(*READ)
    labels = torch.from_numpy(encode([9] * len(READ), bucket, value, given))
    reader = LabelReader(WEIGHTED)
    targets, actions, found = reader.read(labels)
    assert targets.tolist() == [9] * len(READ)
    for objective, expected in ((trained, a), (unlikelihood, b), (Hinge(0.1), c)):
        assert actions[objective].tolist() == pytest.approx(expected, rel=1e-6)
    assert [GROUPS[one] for one in found] == list(group)
    # each token with a loss counts as one, whatever its weight
    assert reader.count(labels, "loss_tokens") == sum(any(one[3:6]) for one in READ)
    assert reader.count(labels, "train_tokens") == group.count("train")
    assert reader.count(labels, "all_tokens") == len(READ)
    # a schedule is for the buckets' own weights
    scheduled = reader.read(labels, factor=0.5).actions
    of_data = torch.tensor(bucket) == 0
    for objective, before in actions.items():
        assert torch.equal(scheduled[objective], torch.where(of_data, before, before / 2))


def test_an_objective_without_a_weight_may_be_infinite():
    """A target that is certain: unlikelihood is infinite there, and has no weight."""
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]], requires_grad=True)
    one, none = torch.ones(1), torch.zeros(1)
    losses, _ = selective_loss(logits, torch.tensor([1]), {trained: one, unlikelihood: none})
    assert losses.item() == 0


def test_the_shift():
    labels = torch.tensor([[1, 2, 3]])
    assert shifted(labels).tolist() == [[2, 3, IGNORE]]
    assert shifted(labels, labels + 1).tolist() == [[2, 3, 4]]


def test_nothing_risky_equals_stock_cross_entropy():
    torch.manual_seed(0)
    logits = torch.randn(2, 9, 31)
    labels = torch.randint(31, (2, 9))
    labels[0, :4] = IGNORE
    ours, stock = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = SelectiveCausalLMLoss(BUCKETS)(ours, labels, vocab_size=31)
    loss.backward()
    expected = cross_entropy(stock[:, :-1].reshape(-1, 31), labels[:, 1:].reshape(-1))
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, stock.grad)


def test_masked_targets_have_exactly_zero_gradient_and_their_neighbors_do_not():
    """Invariant 2, at the logits."""
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 31, requires_grad=True)
    SelectiveCausalLMLoss(BUCKETS)(logits, torch.tensor([LABELS])).backward()
    largest = logits.grad[0].abs().amax(-1).tolist()
    # labels 1 (ignored) and 2 (masked) are predicted at positions 0 and 1; the last position predicts nothing
    assert [x == 0 for x in largest] == [True, True, False, False, False, True]


@pytest.mark.parametrize("labels", [[IGNORE] * 4, [label(3, 1, 0.3)] * 4])
def test_not_a_single_kept_token_is_a_finite_zero_that_hangs_on_the_logits(labels):
    """Invariant 5."""
    logits = torch.randn(1, 4, 11, requires_grad=True)
    loss = SelectiveCausalLMLoss(BUCKETS)(logits, torch.tensor([labels]), num_items_in_batch=torch.tensor(0))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("normalize_by", ["loss_tokens", "train_tokens", "all_tokens"])
def test_eight_rows_equal_eight_accumulated(normalize_by):
    """Invariant 3, at the loss: with the window's count, parts add up to the whole."""
    torch.manual_seed(0)
    loss = SelectiveCausalLMLoss(BUCKETS, normalize_by)
    logits = torch.randn(8, 6, 31, dtype=torch.float64)
    labels = torch.tensor([LABELS[i % 6 :] + LABELS[: i % 6] for i in range(8)])
    count = loss.reader.count(shifted(labels), normalize_by)
    whole, parts = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    total = loss(whole, labels, num_items_in_batch=count)
    total.backward()
    pieces = [loss(parts[i : i + 1], labels[i : i + 1], num_items_in_batch=count) for i in range(8)]
    sum(pieces).backward()
    torch.testing.assert_close(sum(pieces), total)
    torch.testing.assert_close(parts.grad, whole.grad)
    torch.testing.assert_close(loss(whole, labels), total)


def test_evaluation_is_plain_cross_entropy_on_trained_tokens():
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 31)
    with torch.no_grad():
        loss = SelectiveCausalLMLoss(BUCKETS)(logits, torch.tensor([LABELS]))
    assert loss.item() == pytest.approx(cross_entropy(logits[0, 4:5], torch.tensor([9])).item())


def test_metrics_say_what_happened_to_each_action():
    torch.manual_seed(0)
    loss = SelectiveCausalLMLoss(BUCKETS)
    logits = torch.randn(1, 6, 31, requires_grad=True)
    for _ in range(2):
        loss(logits, torch.tensor([LABELS]))
    figures = metrics(loss.take("train"))
    p = logits[0].softmax(-1)
    assert figures["slung/p_mask"] == pytest.approx(p[1, 6].item(), rel=1e-5)
    assert figures["slung/nll_mask"] == pytest.approx(-p[1, 6].log().item(), rel=1e-5)
    assert figures["slung/p_unlikelihood"] == pytest.approx(p[3, 8].item(), rel=1e-5)
    assert figures["slung/loss_unlikelihood"] == pytest.approx(-2 * (1 - p[3, 8]).log().item(), rel=1e-5)
    assert figures["slung/nll_train"] == pytest.approx(-p[4, 9].log().item(), rel=1e-5)
    assert [figures[f"slung/share_{name}"] for name in GROUPS[:4]] == [0.25] * 4
    assert metrics(loss.take("train")) == {}


def test_what_is_not_a_number_shows_in_the_figures_of_its_action():
    torch.manual_seed(0)
    loss = SelectiveCausalLMLoss(BUCKETS)
    logits = torch.randn(1, 6, 31)
    logits[0, 4] = torch.nan  # predicts the trained 9
    value = loss(logits.requires_grad_(), torch.tensor([LABELS]))
    figures = metrics(loss.take("train"))
    assert value.isnan() and isnan(figures["slung/nll_train"])
    assert figures["slung/nll_mask"] > 0 and figures["slung/loss_unlikelihood"] > 0
    with torch.no_grad():
        assert loss(logits, torch.tensor([LABELS])).isnan()
    assert isnan(metrics(loss.take("eval"))["slung/nll_train"])


def test_logits_without_a_loss_may_be_anything():
    """As for torch's cross-entropy: padding may come out of a model as no number."""
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 31)
    logits[0, [0, 1, 5]] = torch.nan  # ignored, masked, and the last one
    leaf = logits.clone().requires_grad_()
    loss = SelectiveCausalLMLoss(BUCKETS)
    value = loss(leaf, torch.tensor([LABELS]))
    value.backward()
    assert value.isfinite() and leaf.grad.isfinite().all() and (leaf.grad[0, [0, 1, 5]] == 0).all()
    with torch.no_grad():
        assert loss(logits, torch.tensor([LABELS])).isfinite()
    assert isnan(metrics(loss.take("train"))["slung/nll_mask"])


def test_labels_for_other_positions_are_refused():
    """As of a model that cuts its logits before the loss."""
    with pytest.raises(SlungError, match="5 positions of logits and 6 labels"):
        SelectiveCausalLMLoss(BUCKETS)(torch.randn(1, 5, 31, requires_grad=True), torch.tensor([LABELS]))
