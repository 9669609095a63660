"""Quantized weights, against plain references."""

import pytest
import torch
from helpers.tiny import tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.attacks.quantizing import nearest, nf4_levels, quantize
from axolotl_slung.errors import SlungError


def test_the_levels_are_those_of_the_paper():
    # Dettmers et al. 2023, appendix E
    assert nf4_levels() == pytest.approx(
        [-1.0, -0.69619280, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.07958030, 0.16093020,
         0.24611230, 0.33791524, 0.44070983, 0.56261700, 0.72295684, 1.0],
        abs=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(64, 64), (5, 96), (3, 7), (2, 3, 40)])
def test_four_bits_are_the_nearest_levels_of_blocks(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    flat, expected = weight.flatten().tolist(), []
    for start in range(0, len(flat), 64):
        block = flat[start : start + 64]
        largest = max(map(abs, block))
        expected += [largest * min(nf4_levels(), key=lambda level: abs(level - value / largest)) for value in block]
    assert torch.allclose(nearest(weight, 4).flatten(), torch.tensor(expected), atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (2, 3, 40)])
def test_eight_bits_are_255_steps_of_rows(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for row, found in zip(weight.reshape(-1, shape[-1]).tolist(), nearest(weight, 8).reshape(-1, shape[-1]).tolist()):
        step = max(map(abs, row)) / 127
        assert found == pytest.approx([round(value / step) * step for value in row], abs=1e-6)
        assert max(map(abs, found)) == pytest.approx(max(map(abs, row)))


@pytest.mark.parametrize("bits", [4, 8])
def test_zeros_stay_zeros(bits):
    assert nearest(torch.zeros(3, 64), bits).tolist() == torch.zeros(3, 64).tolist()


@pytest.mark.parametrize("arch", ["llama", "gpt2"])
def test_a_checkpoint_has_quantized_matrices_and_all_else_as_it_was(models, tmp_path, arch):
    source = tiny_model(models, arch=arch)
    quantize(str(source), tmp_path / "q", 4)
    before, after = (
        AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict() for folder in (source, tmp_path / "q")
    )
    kept = ("embed_tokens", "lm_head", "wte", "wpe")
    for name, weight in before.items():
        quantized = weight.dim() > 1 and not any(part in name for part in kept)
        expected = nearest(weight, 4).to(weight.dtype) if quantized else weight
        assert torch.equal(after[name], expected), name
        assert torch.equal(expected, weight) is not quantized, name
    texts = [AutoTokenizer.from_pretrained(folder)("a river")["input_ids"] for folder in (source, tmp_path / "q")]
    assert texts[0] == texts[1]


def test_a_quantized_model_is_refused(models, tmp_path):
    from transformers import BitsAndBytesConfig

    source = tiny_model(models, hidden=64)
    model = AutoModelForCausalLM.from_pretrained(source, quantization_config=BitsAndBytesConfig(load_in_8bit=True))
    model.save_pretrained(tmp_path / "quantized")
    with pytest.raises(SlungError, match="is quantized already"):
        quantize(str(tmp_path / "quantized"), tmp_path / "q", 4)
