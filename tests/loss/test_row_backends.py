"""The rows between the products: log-odds and gradients of logits by numba, torch and Triton, and the small steps by Triton."""

import json
import os
import subprocess
import sys

import pytest
import torch
from helpers import TESTS

from axolotl_slung.loss.rows import backend_name, log_odds_and_dlogits, with_torch


@pytest.mark.parametrize("rows, vocabulary", [(1, 2), (3, 7), (5, 1003), (4, 4099), (2, 9001)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [(1.0, None), (0.25, None), (2.0, 5.0)], ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_compiled_rows_equal_torchs(rows, vocabulary, dtype, options, threads):
    torch.manual_seed(rows)
    z, targets = (torch.randn(rows, vocabulary) * 8).to(dtype), torch.randint(vocabulary, (rows,))
    targets[0] = vocabulary - 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check_rows(log_odds_and_dlogits, z, targets, options)
    finally:
        torch.set_num_threads(before)


def check_rows(function, z, targets, options):
    found, expected = z.clone(), z.double()
    m, norm = function(found, targets, *options)
    true_m, ones = with_torch(expected, targets, *options)
    assert (ones == 1).all()
    torch.testing.assert_close(m.double(), true_m, rtol=1e-5, atol=2e-5)
    rtol = 1e-2 if z.dtype == torch.bfloat16 else 2e-5
    torch.testing.assert_close(found.double() / norm.double()[:, None], expected, rtol=rtol, atol=2e-6)


def test_minus_infinity_is_a_token_that_cannot_be():
    z = torch.randn(3, 50)
    z[0, 5:9] = -torch.inf
    m, norm = log_odds_and_dlogits(z.clone(), torch.tensor([1, 2, 3]))
    truth, _ = with_torch(z.double(), torch.tensor([1, 2, 3]))
    torch.testing.assert_close(m.double(), truth, rtol=1e-5, atol=1e-5)


BITS = [(torch.float32, torch.int32, 0x7FC00000, 1 << 32), (torch.bfloat16, torch.int16, 0x7FC0, 1 << 16)]


@pytest.mark.parametrize("dtype, integer, bits, signed", BITS)
@pytest.mark.parametrize("sign", [0, 1], ids=["positive", "negative"])
@pytest.mark.parametrize("column", [7, 2], ids=["of another token", "of the target"])
@pytest.mark.parametrize("payload", [0, -1], ids=["first", "all ones"])
def test_what_is_not_a_number_is_not_hidden(dtype, integer, bits, signed, sign, column, payload):
    """In the compiled rows, whatever its sign and its other bits are; other rows have nothing of it."""
    z = torch.randn(3, 50).to(dtype)
    value = (signed // 2 - 1 if payload else bits) | sign * signed // 2
    z.view(integer)[1, column] = value - signed * sign
    assert z[1, column].isnan()
    m, _ = log_odds_and_dlogits(z, torch.tensor([1, 2, 3]))
    assert m.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("target", [50, 51, 4000, -1])
def test_a_target_outside_the_columns_is_an_error(dtype, target):
    """And nothing is written, in the row or past it."""
    memory = torch.randn(6, 50).to(dtype)
    before = memory.clone()
    with pytest.raises(IndexError, match="out of bounds for 50 columns"):
        log_odds_and_dlogits(memory[1:4], torch.tensor([target, 2, 3]))
    assert torch.equal(memory, before)


IN_TRITONS_INTERPRETER = """
import torch
from test_row_backends import check_rows
from axolotl_slung.loss.rows_triton import log_odds_and_dlogits
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for rows, vocabulary, *options in ((1, 2, 1.0, None), (3, 7, 1.0, None), (5, 1003, 0.25, None), (4, 9001, 2.0, 30.0),
                                       (2, 8193, 1.0, None), (0, 5, 1.0, None)):
        torch.manual_seed(rows)
        z, targets = (torch.randn(rows, vocabulary) * 4).to(dtype), torch.randint(vocabulary, (rows,))
        targets[:1] = vocabulary - 1  # alone in the last block of 8193
        if dtype == torch.float16:
            exact = z.float()
            check_rows(log_odds_and_dlogits, exact, targets, options)
            found = z.clone(); log_odds_and_dlogits(found, targets, *options)
            again = exact.clone(); log_odds_and_dlogits(again, targets, *options)
            torch.testing.assert_close(found.float(), again, rtol=2e-3, atol=1e-6)
        else:
            check_rows(log_odds_and_dlogits, z, targets, options)
# the small steps
from axolotl_slung.loss.elementwise_triton import times, two_objectives
from axolotl_slung.loss.objectives import cross_entropy, losses_and_slopes, unlikelihood
m = torch.cat([torch.linspace(-90, 90, 2001), torch.tensor([0.0, 1e-9, -1e-9, 700.0, -700.0])])
up, down = torch.rand(len(m)) * (torch.rand(len(m)) > 0.3), torch.rand(len(m)) * (torch.rand(len(m)) > 0.3)
exact = losses_and_slopes(m.double(), {cross_entropy: up, unlikelihood: down})
for found, true in zip(two_objectives(m, up, down), exact):
    torch.testing.assert_close(found.double(), true, rtol=2e-6, atol=1e-37)  # the smallest number of all digits
of_nan = two_objectives(torch.full((2,), torch.nan), torch.tensor([1.0, 0.0]), torch.zeros(2))
assert all(x.isnan().tolist() == [True, False] for x in of_nan), of_nan
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    x, rows = torch.randn(5, 1100).to(dtype), torch.randn(5, 1)
    for factor in (rows, torch.tensor(0.37)):
        for out_dtype in (torch.float32, torch.bfloat16):
            exact = (x.double() * factor.double()).to(out_dtype)
            torch.testing.assert_close(times(x, factor, torch.empty_like(x, dtype=out_dtype)), exact, rtol=1e-2, atol=0)
assert torch.equal(times(x[:, :7], rows, torch.empty(5, 7)), x[:, :7].float() * rows)
memory = torch.randn(6, 50)
before = memory.clone()
m, _ = log_odds_and_dlogits(memory[1:5], torch.tensor([50, 2, -1, 1 << 40]))
assert m.isnan().tolist() == [True, False, True, True] and torch.equal(memory[[0, 5]], before[[0, 5]]), m
print("same")
"""


def test_tritons_rows_equal_torchs():
    """The kernel for GPUs, in Triton's interpreter, which has to be chosen before Triton is imported."""
    pytest.importorskip("triton", reason="pip install triton")
    path = os.pathsep.join([str(TESTS / "loss"), str(TESTS), str(TESTS.parent)])
    run = subprocess.run(
        [sys.executable, "-c", IN_TRITONS_INTERPRETER],
        env={**os.environ, "PYTHONPATH": path, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "same", run.stderr[-3000:]


COMPILED_FOR_GPUS = """
import json, re, triton
from triton.backends.compiler import GPUTarget
from axolotl_slung.loss.elementwise_triton import _times, _two
from axolotl_slung.loss.rows_triton import BLOCK, WARPS, _row
signature = {"z_ptr": "*bf16", "stride": "i64", "targets_ptr": "*i64", "log_odds_ptr": "*fp32", "vocabulary": "i32",
             "scale": "fp32", "cap": "fp32", "HAS_CAP": "constexpr", "BLOCK": "constexpr"}
made = {}
aligned = [["tt.divisibility", 16]]
for capability in (80, 90, 100):
    target = GPUTarget("cuda", capability, 32)
    for has_cap in (False, True):
        # rows are aligned, the vocabulary is not
        source = triton.compiler.ASTSource(fn=_row, signature=signature, constexprs={"HAS_CAP": has_cap, "BLOCK": BLOCK},
                                           attrs={(0,): aligned, (1,): aligned})
        kernel = triton.compile(source, target=target, options={"num_warps": WARPS})
        wide = [len(re.findall(f"{kind}.global.v4.b32", kernel.asm["ptx"])) for kind in ("ld", "st")]
        made[f"row {capability} {has_cap}"] = [len(kernel.asm["cubin"]), *wide]
    times = {"x_ptr": "*bf16", "x_stride": "i64", "factor_ptr": "*fp32", "factor_stride": "i32", "out_ptr": "*bf16",
             "out_stride": "i64", "width": "i32", "BLOCK": "constexpr"}
    two = {name: "*fp32" for name in ("m_ptr", "up_ptr", "down_ptr", "losses_ptr", "slopes_ptr")}
    for fn, signature_of in ((_times, times), (_two, {**two, "tokens": "i32", "BLOCK": "constexpr"})):
        source = triton.compiler.ASTSource(fn=fn, signature=signature_of, constexprs={"BLOCK": 1024})
        made[f"{fn.__name__} {capability}"] = [len(triton.compile(source, target=target).asm["cubin"])]
print(json.dumps(made))
"""


def test_tritons_rows_compile_for_gpus():
    """To machine code for an A100, an H100 and a B200, which takes no GPU; all but a row's last block moves 16 bytes at once."""
    pytest.importorskip("triton", reason="pip install triton")
    run = subprocess.run([sys.executable, "-c", COMPILED_FOR_GPUS], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    made = json.loads(run.stdout)
    assert len(made) == 12 and all(size > 1000 for size, *_wide in made.values())
    # two passes read, one writes
    assert all(wide == [2, 1] for name, (_size, *wide) in made.items() if name.startswith("row")), made


@pytest.mark.parametrize(
    "device, dtype, name",
    [
        ("cpu", torch.float32, "numba"), ("cpu", torch.bfloat16, "numba"), ("cpu", torch.float64, "torch"), ("cpu", torch.float16, "torch"),
        ("cuda", torch.bfloat16, "triton"), ("cuda", torch.float64, "torch"), ("mps", torch.float32, "torch"),
    ],
)  # fmt: skip
def test_which_backend_a_tensor_takes(device, dtype, name):
    pytest.importorskip("triton", reason="pip install triton")
    assert backend_name(torch.device(device), dtype) == name
