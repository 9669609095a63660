"""The fused loss: against the float64 reference, gradients included, in every backend and at awkward shapes."""

import pytest
import torch

from axolotl_slung.loss import on_hidden_states as linear
from axolotl_slung.loss import products
from axolotl_slung.loss.objectives import Hinge, cross_entropy, unlikelihood
from axolotl_slung.loss.on_hidden_states import linear_log_odds, linear_selective_loss
from axolotl_slung.loss.reference import logits_reference, selective_loss_reference
from axolotl_slung.loss.rows import log_odds_and_dlogits

SHAPES = [(1, 7, 5, 256), (252, 1003, 64, 100), (507, 5003, 96, 200), (300, 2, 48, 64), (129, 8193, 33, 1024)]
"""Tokens, vocabulary, width, tokens a chunk."""


def relative(found, true):
    return ((found.double() - true).norm() / true.norm()).item()


def problem(tokens, vocabulary, width, dtype, bias=False, seed=0, size=4.0):
    torch.manual_seed(seed)
    hidden = torch.randn(tokens, width).to(dtype)
    weight = (torch.randn(vocabulary, width) * width**-0.5 * size).to(dtype)
    targets = torch.randint(vocabulary, (tokens,))
    targets[0] = vocabulary - 1
    a, b = torch.rand(tokens) * (torch.rand(tokens) > 0.3), torch.rand(tokens) * (torch.rand(tokens) > 0.5)
    a[-1], b[-1] = (1.0, 1.0) if tokens == 1 else (0.0, 0.0)
    return hidden, weight, torch.randn(vocabulary).to(dtype) if bias else None, targets, a, b


def fused(hidden, weight, bias, targets, actions, **options):
    """Loss, log-odds and gradients (of half the loss)."""
    leaves = [None if x is None else x.clone().requires_grad_() for x in (hidden, weight, bias)]
    loss, log_odds = linear_selective_loss(leaves[0], leaves[1], targets, actions, leaves[2], **options)
    (0.5 * loss).backward()
    return loss, log_odds, [x.grad for x in leaves if x is not None]


def true(hidden, weight, bias, targets, a, b, **options):
    leaves = [None if x is None else x.double().requires_grad_() for x in (hidden, weight, bias)]
    logits = logits_reference(*leaves, **options)
    loss = selective_loss_reference(logits, targets, a.double(), b.double()).sum()
    (0.5 * loss).backward()
    return loss, logits, [x.grad for x in leaves if x is not None]


@pytest.mark.parametrize("tokens, vocabulary, width, chunk", SHAPES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(
    "options",
    [{}, {"logit_scale": 0.25}, {"softcap": 5.0}, {"logit_scale": 2.0, "softcap": 30.0}, {"bias": True}],
    ids=str,
)
def test_fused_equals_reference(monkeypatch, tokens, vocabulary, width, chunk, dtype, tolerance, options):
    monkeypatch.setattr(linear, "CHUNK", linear.ChunkSize(1, chunk))
    options = dict(options)
    hidden, weight, bias, targets, a, b = problem(tokens, vocabulary, width, dtype, options.pop("bias", False))
    loss, log_odds, grads = fused(hidden, weight, bias, targets, {cross_entropy: a, unlikelihood: b}, **options)
    true_loss, logits, true_grads = true(hidden, weight, bias, targets, a, b, **options)
    assert relative(loss, true_loss) < tolerance
    assert [g.dtype for g in grads] == [dtype] * len(grads)
    for found, expected in zip(grads, true_grads):
        assert relative(found, expected) < tolerance
    kept = (a != 0) | (b != 0)
    assert log_odds.isnan().tolist() == (~kept).tolist() and not log_odds.requires_grad
    p = logits.softmax(1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(
        log_odds[kept].double().sigmoid(), p[kept], rtol=0.2 if dtype == torch.bfloat16 else 1e-4, atol=1e-9
    )
    assert (grads[0][~kept] == 0).all()
    everywhere = linear_log_odds(hidden, weight, targets, bias, **options)
    torch.testing.assert_close(everywhere[kept], log_odds[kept], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("exponent", [-12, -9, -6, -3, -1])
@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_gradients_from_p_of_1e_12_to_1_minus_1e_12(exponent, high, dtype, tolerance):
    """Each of the two objectives by itself, so that neither hides the other."""
    vocabulary, width = 1003, 16
    p = 10.0**exponent
    m = -torch.tensor(p, dtype=torch.float64).logit() if high else torch.tensor(p, dtype=torch.float64).logit()
    torch.manual_seed(0)
    weight = torch.randn(vocabulary, width).to(dtype)
    hidden = torch.randn(1, width).to(dtype)
    # the target's row along the hidden state, as long as the probability asks for
    others = torch.cat([weight[:3], weight[4:]]).double() @ hidden[0].double()
    weight[3] = ((m + others.logsumexp(0)) * hidden[0].double() / hidden[0].double().square().sum()).to(dtype)
    for a, b in ((1.0, 0.0), (0.0, 1.0)):
        a, b = torch.tensor([a]), torch.tensor([b])
        targets = torch.tensor([3])
        loss, _, grads = fused(hidden, weight, None, targets, {cross_entropy: a, unlikelihood: b})
        true_loss, logits, true_grads = true(hidden, weight, None, targets, a, b)
        if dtype == torch.bfloat16:
            # a logit of eight bits is another logit: what is left is to be right for that one
            rounded = logits_reference(hidden, weight).double().requires_grad_()
            selective_loss_reference(rounded, targets, a.double(), b.double()).sum().backward()
            true_grads = [0.5 * rounded.grad @ weight.double(), 0.5 * rounded.grad.T @ hidden.double()]
        for found, expected in zip(grads, true_grads):
            assert relative(found, expected) < tolerance


def test_gradients_are_those_of_small_steps():
    """Of every objective at once, along a random direction, in float64."""
    hidden, weight, bias, targets, a, b = problem(5, 11, 4, torch.float64, bias=True)
    actions = {cross_entropy: a, unlikelihood: b, Hinge(0.01): a + 1}
    loss, _, grads = fused(hidden, weight, bias, targets, actions)
    torch.manual_seed(1)
    direction = [torch.randn_like(x) for x in (hidden, weight, bias)]

    def moved(step):
        h, w, c = (x + step * d for x, d in zip((hidden, weight, bias), direction))
        return linear_selective_loss(h, w, targets, actions, c)[0]

    slope = (moved(1e-6) - moved(-1e-6)) / 2e-6
    assert sum((2 * g * d).sum() for g, d in zip(grads, direction)).item() == pytest.approx(slope.item(), rel=1e-6)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("chunk", [100, 1000])
@pytest.mark.parametrize("bias", [False, True])
def test_products_in_two_parts(monkeypatch, dtype, tolerance, chunk, bias):
    """As on a GPU with a vocabulary that is not a multiple of 8."""
    monkeypatch.setattr(linear, "CHUNK", linear.ChunkSize(1, chunk))
    monkeypatch.setattr(products, "_parts", lambda weight, dtype=None: [slice(0, 960), slice(960, len(weight))])
    hidden, weight, bias, targets, a, b = problem(301, 1003, 33, dtype, bias)
    loss, _, grads = fused(hidden, weight, bias, targets, {cross_entropy: a, unlikelihood: b})
    true_loss, _, true_grads = true(hidden, weight, bias, targets, a, b)
    assert relative(loss, true_loss) < tolerance
    for found, expected in zip(grads, true_grads):
        assert relative(found, expected) < tolerance


def test_a_frozen_head_has_no_gradient_and_a_frozen_body_neither():
    hidden, weight, _, targets, a, b = problem(20, 31, 8, torch.float32)
    actions = {cross_entropy: a, unlikelihood: b}
    both = fused(hidden, weight, None, targets, actions)[2]
    for frozen in (0, 1):
        leaves = [x.clone().requires_grad_(i != frozen) for i, x in enumerate((hidden, weight))]
        linear_selective_loss(*leaves, targets, actions)[0].mul(0.5).backward()
        assert leaves[frozen].grad is None
        torch.testing.assert_close(leaves[1 - frozen].grad, both[1 - frozen])


@pytest.mark.parametrize("tokens", [0, 4])
def test_not_a_single_kept_token_is_a_zero_that_hangs_on_everything(tokens):
    """Invariant 5: a distributed backward pass has its collectives."""
    hidden, weight = torch.randn(tokens, 8, requires_grad=True), torch.randn(31, 8, requires_grad=True)
    nothing = torch.zeros(tokens)
    loss, log_odds = linear_selective_loss(
        hidden, weight, torch.zeros(tokens, dtype=torch.int64), {cross_entropy: nothing}
    )
    loss.backward()
    assert loss.item() == 0 and log_odds.isnan().all()
    assert (hidden.grad == 0).all() and (weight.grad == 0).all() and weight.grad.shape == weight.shape


def test_the_callers_own_list_of_kept_tokens():
    hidden, weight, _, targets, a, b = problem(50, 31, 8, torch.float32)
    actions = {cross_entropy: a, unlikelihood: b}
    kept = ((a != 0) | (b != 0)).nonzero()[:, 0]
    for one, two in zip(
        fused(hidden, weight, None, targets, actions)[2], fused(hidden, weight, None, targets, actions, kept=kept)[2]
    ):
        assert torch.equal(one, two)


def test_under_autocast_it_computes_as_a_linear_layer_does():
    """Weights stay in float32, and get their gradient in float32."""
    hidden, weight, _, targets, a, b = problem(300, 501, 32, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _, grads = fused(hidden, weight, None, targets, {cross_entropy: a, unlikelihood: b})
    true_loss, _, true_grads = true(hidden, weight, None, targets, a, b)
    assert relative(loss, true_loss) < 1e-3
    for found, expected in zip(grads, true_grads):
        assert found.dtype == torch.float32 and relative(found, expected) < 1e-2
    _, _, exact = fused(hidden, weight, None, targets, {cross_entropy: a, unlikelihood: b})
    assert not torch.equal(exact[1], grads[1])


def test_a_second_backward_pass_is_refused():
    hidden, weight, _, targets, a, _ = problem(4, 11, 8, torch.float32)
    loss, _ = linear_selective_loss(hidden.requires_grad_(), weight, targets, {cross_entropy: a})
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="backward a second time"):
        loss.backward()


@pytest.mark.parametrize("options", [{"logit_scale": 0.0}, {"logit_scale": -1.0}, {"softcap": 0.0}])
def test_scales_that_cannot_be(options):
    hidden, weight, _, targets, a, _ = problem(4, 11, 8, torch.float32)
    with pytest.raises(ValueError, match="expected numbers above 0"):
        linear_selective_loss(hidden, weight, targets, {cross_entropy: a}, **options)


def test_memory_of_logits_is_bounded(monkeypatch):
    """However many tokens: never more logits at once than CHUNK allows, and chunks of about the same size."""
    monkeypatch.setattr(linear, "CHUNK", linear.ChunkSize(64 * 1003 * 4, 1))
    seen = []
    monkeypatch.setattr(
        linear, "log_odds_and_dlogits", lambda z, *x: seen.append(z.shape) or log_odds_and_dlogits(z, *x)
    )
    hidden, weight, _, targets, a, b = problem(1000, 1003, 8, torch.float32)
    fused(hidden, weight, None, targets, {cross_entropy: torch.ones(1000), unlikelihood: b})
    assert {shape[1] for shape in seen} == {1003} and sum(shape[0] for shape in seen) == 1000
    assert {shape[0] for shape in seen} <= {62, 63}


def test_a_head_that_overflowed_shows_in_loss_and_gradients():
    hidden, weight, _, targets, a, b = problem(20, 31, 8, torch.float32)
    weight[3] = torch.inf
    loss, _, grads = fused(hidden, weight, None, targets, {cross_entropy: a + 1, unlikelihood: b})
    assert loss.isnan() and all(g.isnan().any() for g in grads)


@pytest.mark.parametrize("weights", [torch.float16, torch.float32], ids=["float16", "autocast"])
@pytest.mark.parametrize(
    "tokens, weight_of_loss, chunk", [(16384, 1.0, 1 << 20), (4096, 100.0, 1000), (1024, 1000.0, 1 << 20)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_float16_overflows_only_where_logits_would(monkeypatch, weights, tokens, weight_of_loss, chunk, bias):
    """Sums over tokens are divided by their number before they are rounded."""
    monkeypatch.setattr(linear, "CHUNK", linear.ChunkSize(1, chunk))
    torch.manual_seed(0)
    hidden, weight = torch.randn(tokens, 8).sign() * 16, torch.randn(20, 8) * 0.05
    targets = torch.zeros(tokens, dtype=torch.int64)
    hidden[:, 0] = 16.0
    leaves = [x.to(weights).requires_grad_() for x in (hidden, weight, *([torch.zeros(20)] if bias else []))]
    with torch.autocast("cpu", torch.float16, enabled=weights == torch.float32):
        loss, _ = linear_selective_loss(
            leaves[0], leaves[1], targets, {cross_entropy: torch.full((tokens,), weight_of_loss)}, *leaves[2:]
        )
    (loss / tokens).backward()
    slow = [x.detach().double().requires_grad_() for x in leaves]
    losses = selective_loss_reference(
        logits_reference(*slow), targets, torch.full((tokens,), weight_of_loss), torch.zeros(tokens)
    )
    (losses.sum() / tokens).backward()
    for found, expected in zip(leaves, slow):
        assert found.grad.isfinite().all() and relative(found.grad, expected.grad) < 5e-3


def test_float16_keeps_the_gradient_of_hidden_states():
    """A weight of 1000 on large rows of the head, which the division makes small again."""
    hidden, weight = torch.full((64, 8), 1.0), torch.full((5, 8), 100.0)
    weight[0] = -100.0
    leaves = [x.half().requires_grad_() for x in (hidden, weight)]
    loss, _ = linear_selective_loss(
        *leaves, torch.zeros(64, dtype=torch.int64), {cross_entropy: torch.full((64,), 1000.0)}
    )
    (loss / 6400).backward()
    # every token's own entry: 1000 * 200, divided by 6400
    torch.testing.assert_close(leaves[0].grad.float(), torch.full((64, 8), 200_000 / 6400), rtol=1e-2, atol=0)
