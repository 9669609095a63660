"""`lm_eval` on two ranks of CPUs: torchrun --nproc_per_node 2 tests/helpers/measuring_ranks.py --model hf ...

lm_eval's `hf` model takes part in several ranks only where it counts several GPUs; here it counts two, and runs on
CPUs all the same.
"""

import torch
import transformers.models.llama.modeling_llama  # noqa: F401 - on CUDA builds it cannot be imported after the count

torch.cuda.device_count = lambda: 2

from lm_eval.__main__ import cli_evaluate  # noqa: E402 - after the count

cli_evaluate()
