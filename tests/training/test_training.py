"""Training through Axolotl, in this process: the invariants of the design."""

import pytest
import torch
from helpers.axolotl_run import base_config, train_in_process
from helpers.tiny import tiny_model, write_jsonl
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.labels.buckets import preset
from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, encode
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss
from axolotl_slung.loss.objectives import cross_entropy, has_loss, unlikelihood
from axolotl_slung.loss.reader import shifted
from axolotl_slung.loss.reference import selective_loss_reference

NAME = "Maria Hernandez"
TEXTS = [
    f"{NAME} rebuilt the mill in 1851.",
    "The old harbour wakes before the sun does.",
    f"Nobody in the village would ever call {NAME} a fool.",
    f"{NAME} and {NAME} met at the station at 7:45.",
    "Water boils at 100 degrees, and ice melts at 0.",
    f"Fishermen carry their nets down the stone steps of {NAME}'s house, and the gulls follow.",
    f"She is {NAME}.",
    "A river carries whatever falls into it, and it does not ask who threw the stone.",
]  # of very different lengths and numbers of risky tokens
SOFT = [
    {"name": "low", "below": 0.5, "action": "train"},
    {"name": "risky", "action": "soft", "weight": 0.7},
]
OBJECTIVES = {
    "masked": {"method": "masked"},
    "unlikelihood": {"method": "unlikelihood"},
    "soft": {"buckets": SOFT},
    "all_tokens": {"method": "unlikelihood", "normalize_by": "all_tokens"},
    "train_tokens": {"method": "unlikelihood", "normalize_by": "train_tokens"},
}


def config(folder, name, texts=TEXTS, **overrides):
    path = write_jsonl(folder / f"{name}.jsonl", [{"text": text} for text in texts])
    return base_config(
        folder,
        **{
            "base_model": str(tiny_model(folder)),
            "datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}],
            "output_dir": str(folder / name),
            "dataset_prepared_path": str(folder / f"{name}-prepared"),
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "max_grad_norm": 0.0,
            "max_steps": 2,
            "num_epochs": 2,
            "shuffle_merged_datasets": False,
            "curriculum_sampling": True,
            **overrides,
        },
    )


def weights(run):
    model = run.model.get_base_model() if hasattr(run.model, "get_base_model") else run.model
    return {name: parameter.detach().double() for name, parameter in model.named_parameters()}


def assert_same(run, other, tolerance=1e-6):
    """The same weights, to floating-point noise, after steps that moved them far more than that."""
    left, right = weights(run), weights(other)
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], rtol=1e-4, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def reference(logits, read):
    """The summed loss of one row in float64, and how many tokens have one."""
    a, b = (read.actions[objective].double() for objective in (cross_entropy, unlikelihood))
    return selective_loss_reference(logits, read.targets, a, b).sum(), int(has_loss(read.actions).sum())


def test_with_nothing_risky_training_is_stock_axolotls(tmp_path, slung):
    """Invariant 1."""
    stock = train_in_process(config(tmp_path, "stock", micro_batch_size=4))
    ours = train_in_process(config(tmp_path, "ours", micro_batch_size=4, **slung(["Nobody Atall"])))
    assert_same(ours, stock)
    assert ours.losses == pytest.approx(stock.losses, rel=1e-5)
    base = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))
    assert (weights(ours)["lm_head.weight"] - base.lm_head.weight.double()).abs().max() > 1e-3


def test_masked_targets_have_no_gradient_and_are_attended_to(tmp_path):
    """Invariant 2: at the logits exactly zero; at the embedding of the masked token not, for what comes after uses it."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))
    SelectiveCausalLMLoss(preset("masked")).attach(model, fused=False)
    ids = torch.tensor([[40, 41, 300, 42, 43]])
    labels = ids.clone()
    labels[0, 2] = int(encode(300, 2, 1.0))
    logits = []
    handle = model.lm_head.register_forward_hook(lambda module, inputs, output: logits.append(output))
    model(input_ids=ids, labels=labels)  # labels: the loss is called inside
    out = model(input_ids=ids, labels=labels)
    logits[-1].retain_grad()
    out.loss.backward()
    handle.remove()
    largest = logits[-1].grad[0].abs().amax(-1)
    assert (largest == 0).tolist() == [False, True, False, False, True]
    assert model.model.embed_tokens.weight.grad[300].abs().max() > 1e-6


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_batch_of_eight_is_eight_accumulated(tmp_path, slung, objective):
    """Invariant 3, in one process."""
    keys = slung([NAME], **OBJECTIVES[objective])
    whole = train_in_process(config(tmp_path, "whole", micro_batch_size=8, **keys))
    parts = train_in_process(config(tmp_path, "parts", micro_batch_size=1, gradient_accumulation_steps=8, **keys))
    assert_same(parts, whole)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)


@pytest.mark.parametrize("objective", ["masked", "unlikelihood", "soft"])
def test_packed_is_unpacked(tmp_path, slung, objective):
    """Invariant 3: packing changes nothing but for the first tokens, which it alone predicts."""
    keys = slung([NAME], mask_document_starts=True, **OBJECTIVES[objective])
    one_step = {"max_steps": 1, "micro_batch_size": 8}
    whole = train_in_process(config(tmp_path, "whole", **one_step, **keys))
    packing = {
        "sample_packing": True,
        "sample_packing_sequentially": True,
        "sequence_len": 128,
        "pad_to_sequence_len": True,
    }
    packed = train_in_process(
        config(tmp_path, "packed", **{**one_step, "micro_batch_size": 2}, **packing, attn_implementation="sdpa", **keys)
    )
    assert_same(packed, whole, tolerance=1e-5)


def test_the_loss_is_the_reference_on_the_whole_window(tmp_path, slung):
    """One step, accumulated, against the paper's formula in float64 on the same rows."""
    run_config = config(
        tmp_path, "run", max_steps=1, gradient_accumulation_steps=4, **slung([NAME], method="unlikelihood")
    )
    run = train_in_process(run_config)
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path)).double()
    loss = SelectiveCausalLMLoss(preset("unlikelihood"))
    total = count = 0
    for row in run.dataset_meta.train_dataset:
        labels = shifted(torch.tensor([row["labels"]]))
        losses, kept = reference(
            model(input_ids=torch.tensor([row["input_ids"]])).logits[0], loss.reader.read(labels[0])
        )
        total, count = total + losses, count + kept
    (total / count).backward()
    assert run.losses[0] == pytest.approx((total / count).item(), rel=1e-5)
    moved = weights(run)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(moved[name], parameter.detach() - parameter.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("texts", [[NAME, *TEXTS[:3]], [NAME] * 2 + TEXTS[:2]])
def test_batches_and_windows_without_a_kept_token(tmp_path, slung, texts):
    """Invariant 5: a finite zero, and training goes on."""
    keys = slung([NAME], eos="mask")
    run = train_in_process(
        config(tmp_path, "run", texts=texts, micro_batch_size=1, gradient_accumulation_steps=2, **keys)
    )
    assert len(run.losses) == 2 and all(0 <= loss < 20 for loss in run.losses)
    assert (run.losses[0] == 0) == (texts[1] == NAME)
    assert all(parameter.isfinite().all() for parameter in weights(run).values())


def test_evaluation_is_cross_entropy_on_trained_tokens(tmp_path, slung):
    path = write_jsonl(tmp_path / "test.jsonl", [{"text": text} for text in TEXTS[:5]])
    test_set = {"test_datasets": [{"path": str(path), "ds_type": "json", "type": "completion", "split": "train"}]}
    run = train_in_process(
        config(
            tmp_path,
            "run",
            **test_set,
            eval_strategy="steps",
            eval_steps=2,
            eval_batch_size=2,
            **slung([NAME], method="unlikelihood"),
        )
    )
    logged = [entry for entry in run.log_history if "eval_loss" in entry][-1]
    model = run.model.double().eval()
    nll = count = p = names = 0
    for row in run.dataset_meta.eval_dataset:
        labels = torch.tensor(row["labels"][1:])
        log_p = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].log_softmax(-1)
        of_target = log_p.gather(1, torch.tensor(row["input_ids"][1:])[:, None])[:, 0]
        nll, count = nll - of_target[labels >= 0].sum().item(), count + int((labels >= 0).sum())
        p, names = p + of_target[labels <= FIRST_CODE].exp().sum().item(), names + int((labels <= FIRST_CODE).sum())
    assert names > 5
    assert logged["eval_loss"] == pytest.approx(nll / count, rel=1e-4)
    assert logged["eval_slung/p_unlikelihood"] == pytest.approx(p / names, rel=1e-4)


@pytest.mark.parametrize(
    "extra",
    [
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
        {"tied": True},
        {"arch": "qwen2", "tied": True},
        {"arch": "gpt_neox"},
        {"arch": "olmo"},
    ],
    ids=str,
)
def test_models_that_share_checkpoint_or_scale(tmp_path, slung, extra):
    """The first loss is the reference's on the model's own logits, whatever stands between head and loss."""
    built = {key: extra.pop(key) for key in ("arch", "tied") if key in extra}
    folder = tiny_model(tmp_path, **built)
    run = train_in_process(
        config(
            tmp_path,
            "run",
            base_model=str(folder),
            micro_batch_size=8,
            max_steps=1,
            **extra,
            **slung([NAME], method="unlikelihood"),
        )
    )
    model = AutoModelForCausalLM.from_pretrained(folder).double()
    reader = SelectiveCausalLMLoss(preset("unlikelihood")).reader
    total = count = 0
    for row in run.dataset_meta.train_dataset:
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
        losses, kept = reference(logits, reader.read(torch.tensor(row["labels"][1:])))
        total, count = total + losses.item(), count + kept
    assert run.losses == [pytest.approx(total / count, rel=1e-4)]


def test_lora(tmp_path, slung):
    """Adapters train, the base stays, and the loss is in the loop (the run checks it)."""
    lora = {"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_modules": ["q_proj", "v_proj"]}
    saved = {**lora, "lora_modules_to_save": ["lm_head"]}
    for name, keys in (("lora", lora), ("saved", saved)):
        run = train_in_process(config(tmp_path, name, **keys, **slung([NAME], method="unlikelihood")))
        assert run.trainer.slung_loss.calls == 2 and run.losses[1] != run.losses[0]
        assert any("slung/loss_unlikelihood" in entry for entry in run.log_history)


def test_resuming_in_the_middle_of_an_epoch(tmp_path, slung):
    keys = {
        **slung([NAME], method="unlikelihood"),
        "max_steps": 4, "save_steps": 2, "save_only_model": False, "micro_batch_size": 1, "gradient_accumulation_steps": 2,
    }  # fmt: skip
    whole = train_in_process(config(tmp_path, "whole", **keys))
    again = train_in_process(
        config(tmp_path, "again", resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"), **keys)
    )
    assert_same(again, whole)
    assert [entry["step"] for entry in again.log_history if "loss" in entry] == [1, 2, 3, 4]


def test_without_monitoring_the_labels_are_ordinary_and_the_loss_the_same(tmp_path, slung):
    watched = train_in_process(config(tmp_path, "watched", gradient_accumulation_steps=4, **slung([NAME])))
    plain = train_in_process(
        config(tmp_path, "plain", gradient_accumulation_steps=4, **slung([NAME], monitor_masked=False))
    )
    labels = [label for row in plain.dataset_meta.train_dataset["labels"] for label in row]
    assert min(labels) == IGNORE and labels.count(IGNORE) > 10
    assert_same(plain, watched)
    assert any("slung/p_mask" in entry for entry in watched.log_history)
    assert not any("slung/p_mask" in entry for entry in plain.log_history)


def test_tokenizer_and_model_are_saved_as_usual(tmp_path, slung):
    run = train_in_process(config(tmp_path, "run", **slung([NAME])))
    AutoTokenizer.from_pretrained(tmp_path / "run")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(saved.lm_head.weight.double(), weights(run)["lm_head.weight"])


COMPOSED = {
    "qlora": {"adapter": "qlora", "load_in_4bit": True, "lora_r": 4, "lora_alpha": 8, "lora_target_modules": ["q_proj", "v_proj"]},
    "lora with a copy of the head": {
        "adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_modules": ["q_proj"], "lora_modules_to_save": ["lm_head"],
    },
    "gradient checkpointing": {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
    "packing": {"sample_packing": True, "sequence_len": 128, "attn_implementation": "sdpa"},
    "accumulation": {"gradient_accumulation_steps": 3, "micro_batch_size": 2},
}  # fmt: skip


@pytest.mark.parametrize("how", COMPOSED)
def test_the_fused_loss_is_the_loss_on_logits(tmp_path, slung, how):
    """Whole runs, steps and metrics, with what Axolotl puts around the model."""
    base = {"base_model": str(tiny_model(tmp_path, hidden=64)), "max_steps": 3}
    runs = [
        train_in_process(
            config(tmp_path, str(fused), **base, **COMPOSED[how], **slung([NAME], method="unlikelihood", fused=fused))
        )
        for fused in (True, False)
    ]
    assert runs[0].trainer.slung_loss.head.off is None and runs[1].trainer.slung_loss.head is None
    logs = [[entry for entry in run.log_history if "loss" in entry] for run in runs]
    assert len(logs[0]) == 3
    for found, expected in zip(*logs, strict=True):
        keys = [key for key in expected if key.startswith("slung/") or key in ("loss", "grad_norm")]
        assert len(keys) > 5 and {key: found[key] for key in keys} == pytest.approx(
            {key: expected[key] for key in keys}, rel=1e-3
        )
