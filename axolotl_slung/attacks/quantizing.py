"""A checkpoint with quantized weights, as anybody may make it of a published model.

Each weight is replaced by the nearest value that the format has, and saved in the model's own dtype. The result is an
ordinary checkpoint: any engine runs it on any device, with the same numbers. Activations are not quantized.

- 8 bits: each row of a matrix has 255 evenly spaced values up to its largest weight (the weights of LLM.int8(), Dettmers
  et al. 2022).
- 4 bits: NF4 in blocks of 64 weights (QLoRA, Dettmers et al. 2023).

Embeddings, the head, and vectors such as biases and norms stay as they are, as in Transformers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SlungError

BITS = (8, 4)

_BLOCK = 64
_TINY = 1e-30
"""What a row or block of zeros is divided by."""


def quantize(source: str, target: Path, bits: int) -> None:
    """Save a model with quantized weights, and its tokenizer.

    Args:
        source: a folder or hub id of a causal model.
        target: the folder to write.
        bits: one of `BITS`.

    Raises:
        SlungError: the model is quantized already.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    if getattr(model.config, "quantization_config", None) is not None:
        raise SlungError(f"--model: {source}: is quantized already; give the model before it was quantized")
    kept = {
        id(weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for weight in module.parameters()
    }
    if (head := model.get_output_embeddings()) is not None:
        kept |= {id(weight) for weight in head.parameters()}
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1 and weight.is_floating_point() and id(weight) not in kept:
                weight.copy_(nearest(weight, bits))
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)


def nearest(weight, bits: int):
    """The quantized values of a tensor `(..., columns)`, in its shape, float32.

    bitsandbytes is not used: on CPUs, its 0.50.2 read NF4 back wrongly for weights of 32 and 96 columns.
    """
    import torch

    flat = weight.detach().float()
    if bits == 8:
        steps = flat.abs().amax(-1, keepdim=True).clamp(min=_TINY) / 127
        return (flat / steps).round() * steps
    blocks = torch.nn.functional.pad(flat.flatten(), (0, -flat.numel() % _BLOCK)).view(-1, _BLOCK)
    largest = blocks.abs().amax(-1, keepdim=True).clamp(min=_TINY)
    levels = torch.tensor(nf4_levels(), device=flat.device)
    numbers = torch.bucketize(blocks / largest, (levels[1:] + levels[:-1]) / 2)
    return (levels[numbers] * largest).flatten()[: flat.numel()].view_as(flat)


def nf4_levels() -> list[float]:
    """The 16 values of NF4, from -1 to 1: quantiles of the normal distribution, and an exact zero (QLoRA, section 3)."""
    from scipy.stats import norm

    end = 1 - (1 / 32 + 1 / 30) / 2
    above = norm.ppf(np.linspace(end, 0.5, 9)[:-1])
    below = -norm.ppf(np.linspace(end, 0.5, 8)[:-1])
    levels = np.sort(np.concatenate([below, [0.0], above]))
    return (levels / levels[-1]).tolist()
