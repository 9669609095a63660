"""Tests slung's loss in a tiny model of every causal type of Transformers, against the paper's formula on its logits.

    python benchmarks/model_types.py --table docs/model_types.md

Each type is built and tested in its own process. The two batches have risky tokens of every kind and
`num_items_in_batch`. The loss runs in the head and on logits. The loss and all gradients must equal those of the slow
reference. The results are:

    fused      the loss is computed in the model's head
    on logits  the loss is right, but the fused loss does not support the model's head or logits
    refused    the model never calls slung's loss, or passes it other labels than the batch's; a run raises LoopError
    not built  this script cannot build the model; the reason is Transformers'
    wrong      a different loss or gradient
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import multiprocessing
import tempfile
import time
import warnings
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from axolotl_slung.errors import SlungError
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.codec import IGNORE, encode
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss
from axolotl_slung.loss.objectives import cross_entropy, unlikelihood
from axolotl_slung.loss.reader import shifted
from axolotl_slung.loss.reference import selective_loss_reference

VOCABULARY = 160
COUNT = 17
MEANING = (
    "A tiny model of every causal language model type. Its loss and all gradients over two batches are compared with the "
    "paper's formula on its own logits. Refused: the model computes or cuts its loss itself, and a run stops with an "
    "error. Not built: this script cannot build the model; the reason is Transformers'."
)
BUCKETS = (
    Bucket("low", 0.3, Action.TRAIN),
    Bucket("masked", 0.6, Action.MASK),
    Bucket("soft", 0.9, Action.SOFT, weight=0.5),
    Bucket("high", None, Action.UNLIKELIHOOD, weight=2.0),
)
SMALL = {
    32: "hidden_size n_embd d_model dim embed_dim input_hidden_size lru_width width word_embed_proj_dim d_inner dim_model embedding_size",
    64: "intermediate_size ffn_dim ffn_hidden_size dim_ff n_inner decoder_ffn_dim encoder_ffn_dim shared_expert_intermediate_size "
    "moe_intermediate_size block_ff_dim shared_intermediate_size dense_intermediate_size intermediate_size_mlp "
    "feed_forward_hidden_size mamba_d_ssm decoder_dim_ff",
    2: "num_hidden_layers n_layer num_layers n_layers num_blocks decoder_layers encoder_layers num_decoder_layers num_encoder_layers "
    "num_experts_per_tok moe_topk top_k moe_top_k",
    4: "num_attention_heads n_head num_heads n_heads encoder_attention_heads decoder_attention_heads num_decoder_attention_heads "
    "num_local_experts num_experts n_routed_experts moe_num_experts",
    1: "first_k_dense_replace n_group topk_group n_shared_experts num_dense_layers",
    8: "head_dim qk_nope_head_dim qk_rope_head_dim v_head_dim q_lora_rank kv_lora_rank state_size mamba_d_state index_head_dim",
    128: "max_position_embeddings n_positions n_ctx",
    16: "sliding_window attention_window_size window_size",
}  # fmt: skip
"""The small value for each number in a config, by its name."""
_MAMBA_2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_ssm": 64, "mamba_expand": 2}
PARTICULAR = {
    "bamba": {**_MAMBA_2, "attn_layer_indices": [1]},
    "blt": {"encoder_hash_byte_group_vocab": 100},
    "codegen": {"rotary_dim": 4},
    "ernie4_5_moe": {"moe_k": 2},
    "falcon_h1": _MAMBA_2,
    "gemma3n_text": {"num_hidden_layers": 5, "num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {**_MAMBA_2, "layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "longcat_flash": {"expert_ffn_hidden_size": 32},
    "mamba2": {"num_heads": 8, "n_groups": 2},
    "nemotron_h": {**_MAMBA_2, "mamba_num_heads": 4, "mamba_head_dim": 16, "layers_block_type": ["mamba", "attention"]},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "local"], "local_attn_chunk_length": 4},
}
"""The settings that some types need besides."""


def tiny_config(kind: str, key_values: int, layers: int):
    """A config of the type with small numbers and without dropout or jitter.

    Args:
        key_values: the number of key and value heads.
        layers: the number of layers; some kinds of layer occur only in every few layers.
    """
    sizes = {name: size for size, names in SMALL.items() for name in names.split()}
    sizes |= {"num_key_value_heads": key_values, "vocab_size": VOCABULARY, "vocab_size_per_layer_input": VOCABULARY}
    sizes |= {"num_hidden_layers": layers, "is_decoder": True, "use_cache": False, "output_router_logits": False}

    def smaller(default: dict) -> dict:
        changed = {}
        for name, value in default.items():
            if isinstance(value, dict) and name.endswith("_config"):
                changed[name] = smaller(value) | ({"model_type": value["model_type"]} if "model_type" in value else {})
            elif name in PARTICULAR.get(kind, {}):
                changed[name] = PARTICULAR[kind][name]
            elif name in sizes and (value is None or isinstance(value, (int, float))):
                changed[name] = sizes[name]
            elif ("drop" in name or "jitter" in name) and isinstance(value, float):
                changed[name] = 0.0
            elif name == "initializer_range" and isinstance(value, float):
                changed[name] = 0.1
            elif name.endswith("_token_id") and isinstance(value, int) and value >= VOCABULARY:
                changed[name] = 1
        return changed

    config = AutoConfig.for_model(kind, **smaller(AutoConfig.for_model(kind).to_dict()))
    config._attn_implementation = "eager"
    return config


def built(kind: str):
    """A tiny model of the type in training mode with a working forward, or None and the first reason why not."""
    why = None
    for key_values, layers in ((2, 2), (4, 2), (1, 2), (2, 4)):
        try:
            torch.manual_seed(0)
            with torch.device("meta"):
                size = sum(
                    p.numel()
                    for p in AutoModelForCausalLM.from_config(tiny_config(kind, key_values, layers)).parameters()
                )
            if size > 50_000_000:
                raise ValueError(f"its tiny model has {size:,} parameters")
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(tiny_config(kind, key_values, layers), dtype=torch.float32).train()
            with torch.no_grad():
                logits = model(input_ids=batch(0)[0]).logits
            if logits.isnan().any():
                raise ValueError("its logits are NaN")
            return model, None
        except Exception as error:
            why = why or f"{type(error).__name__}: {error}"
    return None, why


def batch(seed: int):
    """Token ids, and labels with ignored tokens, trained tokens and codes of every bucket."""
    torch.manual_seed(seed)
    ids = torch.randint(5, VOCABULARY - 1, (2 + seed, 12 + 4 * seed))
    bucket = torch.randint(0, 4, ids.shape)
    coded = torch.from_numpy(encode(ids.numpy(), bucket.numpy(), torch.rand(ids.shape).numpy()))
    labels = torch.where(bucket > 0, coded, ids)
    labels[0, :4] = IGNORE
    return ids, labels


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def oracle(model, reader, ids, labels):
    """The objective on the model's own logits, divided by `COUNT`, and its gradients."""
    model = copy.deepcopy(model)
    logits = model(input_ids=ids).logits
    read = reader.read(shifted(labels).reshape(-1))
    weights = (read.actions[objective].double() for objective in (cross_entropy, unlikelihood))
    loss = selective_loss_reference(logits.double().reshape(-1, logits.shape[-1]), read.targets, *weights).sum() / COUNT
    loss.backward()
    return loss.item(), gradients(model)


def compare(model, fused: bool) -> tuple[str, str]:
    """The result of a type, and the reason."""
    slung = copy.deepcopy(model)
    loss = SelectiveCausalLMLoss(BUCKETS)
    loss.attach(slung, fused)
    loss.divisor = torch.tensor(COUNT)  # the trainer sets it for models that do not pass num_items_in_batch on
    worst = 0.0
    for seed in (0, 1):
        ids, labels = batch(seed)
        handed = []
        loss.on_batch = lambda _source, *rest, handed=handed: handed.append(rest[0])
        slung.zero_grad()
        try:
            value = slung(input_ids=ids, labels=labels, num_items_in_batch=torch.tensor(COUNT)).loss
        except SlungError as error:
            return "refused", str(error)
        except Exception as error:
            if not loss.calls:
                return "refused", "the model computes its own loss"
            return "wrong", f"{type(error).__name__}: {error}"
        if not loss.calls:
            return "refused", "the model computes its own loss"
        if handed[0].shape != labels.shape or not torch.equal(handed[0], shifted(labels)):
            return "refused", "the model passes the loss other labels than the batch's"
        value.backward()
        true, true_grads = oracle(model, loss.reader, ids, labels)
        grads = gradients(slung)
        # a gradient from rounding only, such as that of a bias before a norm, counts as zero
        largest = max(g.norm() for g in true_grads.values())
        worst = max(worst, abs(value.item() - true) / abs(true))
        for name in grads.keys() | true_grads.keys():
            zero = torch.zeros(())
            found, expected = grads.get(name, zero), true_grads.get(name, zero)
            worst = max(worst, ((found - expected).norm() / (expected.norm() + 1e-3 * largest)).item())
    if not worst < 1e-3:
        return "wrong", f"by {worst:.1e}"
    if not fused:
        return "on logits", ""
    return ("on logits", loss.head.off) if loss.head.off else ("fused", "")


def try_type(kind: str, folder: str) -> None:
    """Write the result to `folder/kind.json`."""
    model, why = built(kind)
    if model is None:
        found = ["not built", why]
    else:
        found = compare(model, fused=True)
        on_logits = compare(model, fused=False)
        if on_logits[0] == "wrong" or (found[0] != "wrong" and (found[0] == "refused") != (on_logits[0] == "refused")):
            found = ["wrong", f"on logits: {on_logits[0]} {on_logits[1]}"]
    Path(folder, f"{kind}.json").write_text(json.dumps(list(found)))


def sweep(kinds, processes: int, seconds: float) -> dict[str, list[str]]:
    """The result of each type, and the reason."""
    # import and compile here once; the forked processes inherit it
    compare(built("llama")[0], fused=True)
    context = multiprocessing.get_context("fork")
    waiting, running, results = list(kinds), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < processes:
                kind = waiting.pop(0)
                process = context.Process(target=try_type, args=(kind, folder))
                process.start()
                running[kind] = process, time.monotonic() + seconds
            for kind, (process, end) in list(running.items()):
                process.join(0.05)
                if process.is_alive() and time.monotonic() < end:
                    continue
                file = Path(folder, f"{kind}.json")
                if process.is_alive():
                    process.kill()
                    process.join()
                    results[kind] = ["not built", f"took more than {seconds:.0f} s"]
                elif file.exists():
                    results[kind] = json.loads(file.read_text())
                else:
                    results[kind] = ["not built", f"its process ended with {process.exitcode}"]
                del running[kind]
                print(
                    f"{len(results):3} of {len(kinds)}  {kind:24} {results[kind][0]:10} {_short(results[kind][1])}",
                    flush=True,
                )
    return results


def _short(why: str) -> str:
    why = " ".join(str(why).split()).replace("|", "/").replace("<", "(").replace(">", ")")
    return why if len(why) <= 110 else why[:107] + "..."


def table(results) -> str:
    """The results as Markdown."""
    counts = collections.Counter(found for found, _ in results.values())
    lines = [
        ", ".join(f"{counts[name]} {name}" for name in ("fused", "on logits", "refused", "not built", "wrong")) + ".",
        "",
    ]
    lines += ["| type | class | | |", "|---|---|---|---|"]
    for kind, (found, why) in sorted(results.items()):
        lines.append(f"| `{kind}` | {MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind]} | {found} | {_short(why)} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--types", nargs="*", default=list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES), help="test only these types"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120, help="time limit per type")
    parser.add_argument("--table", type=Path, help="where to write the Markdown table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = sweep(arguments.types, arguments.processes, arguments.seconds)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
    head = f"# Model types\n\n`python benchmarks/model_types.py --table docs/model_types.md`, {versions}"
    text = f"{head}, {time.strftime('%Y-%m-%d')}, 2 cores, CPU. {MEANING}\n\n{len(results)} types: {table(results)}"
    print(text)
    if arguments.table:
        arguments.table.write_text(text)
    return any(found == "wrong" for found, _ in results.values())


if __name__ == "__main__":
    raise SystemExit(main())
