"""The settings of a measurement that change its numbers: for which tasks, and whether runs that differ in one are refused.

`SETTINGS` is the one table of them. The check, `slung report --help` and docs/evaluation.md follow it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .tasks import AUDIT, PERPLEXITY, PROBE

UNKNOWN = "not known"
"""The value of a setting that a file does not tell."""


@dataclass(frozen=True)
class Measurement:
    """What a results file of lm_eval says of one task.

    Attributes:
        task: the task's name.
        content: the whole file.
        config: the task's own part of `configs`.
    """

    task: str
    content: Mapping
    config: Mapping

    @property
    def about(self) -> Mapping:
        """What slung's tasks record themselves."""
        return mapping(mapping(self.config.get("metadata")).get("slung"))

    @property
    def of_model(self) -> Mapping:
        """What lm_eval records of the model."""
        return mapping(self.content.get("config"))

    @property
    def arguments(self) -> dict:
        """`--model_args`, without those that are empty or off."""
        return arguments_of(self.content)

    @property
    def backend(self) -> str:
        """lm_eval's name of the model's class, such as `hf`; empty if the file does not say."""
        name = str(self.content.get("model_source") or self.of_model.get("model") or "")
        return "hf" if name in ("huggingface", "hf-auto") else name

    @property
    def generation(self) -> Mapping:
        """The task's generation settings, with `--gen_kwargs`."""
        return mapping(self.config.get("generation_kwargs"))


class Setting(NamedTuple):
    """A setting: its name for `--allow`, what it is, and how it is read.

    `read` returns the value, which may be a mapping; None for none, and `UNKNOWN` if the file does not say. Runs that
    differ are refused, or noted if `refused` is false. `tasks` says for which tasks the setting changes numbers.
    """

    name: str
    what: str
    read: Callable[[Measurement], object]
    refused: bool = True
    tasks: Callable[[Measurement], bool] = lambda _: True
    applies: str = "all"


def mapping(value) -> Mapping:
    """The value if it is a mapping, and an empty one otherwise."""
    return value if isinstance(value, Mapping) else {}


def arguments_of(content: Mapping) -> dict:
    """`--model_args` of a results file, without those that are empty or off."""
    given = mapping(content.get("config")).get("model_args")
    if isinstance(given, str):
        parts = (part.partition("=")[::2] for part in given.split(",") if "=" in part)
        given = {name.strip(): _WORDS.get(value.strip().lower(), value.strip()) for name, value in parts}
    return {
        name: value for name, value in mapping(given).items() if value not in (None, "", False, "False", "None")
    } | {name: False for name in ("enable_thinking", "add_bos_token") if mapping(given).get(name) in (False, "False")}


_WORDS = {"true": True, "false": False, "none": None}


# which tasks


def _with_prompt(of: Measurement) -> bool:
    # comments and texts are read as they are
    return of.task != PROBE and of.task not in PERPLEXITY


def _generating(of: Measurement) -> bool:
    return of.config.get("output_type", "generate_until") == "generate_until" and bool(of.generation)


def _perplexity(of: Measurement) -> bool:
    return of.task in PERPLEXITY


def _audit(of: Measurement) -> bool:
    return of.task in AUDIT


# how a setting is read


def _recorded(key: str) -> Callable[[Measurement], object]:
    return lambda of: of.about.get(key)


def _steer(of: Measurement):
    # metrics are named after their strengths, so runs may have others
    return {name: value for name, value in mapping(of.about.get("steer")).items() if name != "strengths"} or None


def _version(of: Measurement):
    return mapping(of.config.get("metadata")).get("version", mapping(of.content.get("versions")).get(of.task))


def _documents(of: Measurement):
    return mapping(mapping(of.content.get("n-samples")).get(of.task)).get("effective")


def _few_shot(of: Measurement):
    return mapping(of.content.get("n-shot")).get(of.task, UNKNOWN)


def _context_length(of: Measurement):
    arguments = of.arguments
    given = (of.content.get("max_length"), arguments.get("max_length"), arguments.get("max_model_len"))
    return next((_number(value) for value in given if value is not None), UNKNOWN)


def _has_template(of: Measurement):
    if of.backend.endswith(("chat-completions", "chat")):
        return "yes"
    # lm_eval writes no hash of a service's template, but an empty template in place of none
    if of.content.get("chat_template") is not None or of.content.get("chat_template_sha"):
        return "yes"
    return "no" if {"chat_template", "chat_template_sha"} & of.content.keys() else UNKNOWN


def _which_template(of: Measurement):
    digest = of.content.get("chat_template_sha")
    if digest:
        return str(digest)[:12]
    return "the service's own" if _has_template(of) == "yes" else UNKNOWN


def _system(of: Measurement):
    digest = of.content.get("system_instruction_sha")
    return str(digest)[:12] if digest else None


def _bos(of: Measurement):
    return of.arguments.get("add_bos_token")


def _thinking(of: Measurement):
    template = of.arguments.get("chat_template_args")
    if isinstance(template, str):
        try:
            template = json.loads(template)
        except ValueError:
            template = {"": template}
    given = {**mapping(template)} | {k: v for k, v in of.arguments.items() if k == "enable_thinking"}
    # templates that know thinking think by default
    return {k: v for k, v in given.items() if (k, v) != ("enable_thinking", True)} or None


def _quantization(of: Measurement):
    return {name: of.arguments[name] for name in _QUANTIZATION if name in of.arguments} or None


def _dtype(of: Measurement):
    given = of.of_model.get("model_dtype") or of.arguments.get("dtype") or UNKNOWN
    return UNKNOWN if given == "auto" else str(given).removeprefix("torch.")


def _own_generation(of: Measurement):
    """What of the model's own generation config takes effect: what neither the task nor `--gen_kwargs` sets."""
    if of.backend == "vllm":
        return None  # lm_eval's class passes vLLM the task's settings only
    recorded = of.of_model.get("model_generation_config")
    if not isinstance(recorded, Mapping):
        return UNKNOWN
    given, idle = of.generation, () if of.generation.get("do_sample") else _SAMPLING
    return {
        name: value
        for name, value in recorded.items()
        if name not in given and name not in idle and value not in (_NEUTRAL.get(name), None)
    } or None


def _other_arguments(of: Measurement):
    known = {*_QUANTIZATION, *_READ, *_OF_THE_MODEL, *_SPEED}
    return {name: value for name, value in of.arguments.items() if name not in known} or None


def _number(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return value


_QUANTIZATION = ("load_in_4bit", "load_in_8bit", "quantization_config", "quantization", "autogptq", "gptqmodel")
_READ = (
    "max_length",
    "max_model_len",
    "add_bos_token",
    "enable_thinking",
    "chat_template_args",
    "think_end_token",
    "dtype",
)
_OF_THE_MODEL = (
    "pretrained", "model", "tokenizer", "peft", "delta", "lora_local_path", "revision", "tokenizer_revision",
    "subfolder", "gguf_file", "base_url", "engine", "code_revision",
)  # fmt: skip
_SPEED = (
    "device", "device_map", "device_map_option", "parallelize", "max_memory_per_gpu", "max_cpu_memory", "offload_folder",
    "batch_size", "max_batch_size", "trust_remote_code", "use_fast_tokenizer", "logits_cache", "tensor_parallel_size",
    "data_parallel_size", "tp_size", "dp_size", "gpu_memory_utilization", "mem_fraction_static", "swap_space",
    "max_num_seqs", "enforce_eager", "num_concurrent", "max_retries", "timeout", "tokenizer_backend", "tokenizer_mode",
    "tokenized_requests", "verify_certificate", "ca_cert_path", "auth_token", "header", "token", "cache_dir",
    "local_files_only", "low_cpu_mem_usage", "max_lora_rank",
)  # fmt: skip
"""Arguments that change how fast a model answers, and how it is reached."""
_SAMPLING = (
    "do_sample",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "top_h",
    "epsilon_cutoff",
    "eta_cutoff",
)
"""Settings without effect where nothing is sampled."""
_NEUTRAL = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "min_length": 0,
    "temperature": 1.0,
    "top_p": 1.0,
    "do_sample": False,
}
"""Values that change nothing."""

SETTINGS = (
    Setting("version", "the task's version", _version),
    Setting("data", "the data: its source and digest", _recorded("data"), applies="slung's tasks"),
    Setting("protocol", "the paper's protocol, or its released code's", _recorded("protocol"), applies="slung's tasks"),
    Setting("scorer", "the scorer of toxicity, and its version", _recorded("scorer"), applies="`slung_toxicity`"),
    Setting("judge", "the judge, and its version", _recorded("judge"), applies="`slung_tofu`"),
    Setting("names", "the names that count", _recorded("names"), applies="`slung_tofu`"),
    Setting("others", "the wrong answers of multiple choice", _recorded("others"), applies="`slung_tofu`"),
    Setting("samples", "the completions per prompt", _recorded("samples"), applies="`slung_toxicity`"),
    Setting("steer", "how steered completions were made: layer, pooling, comments", _steer, tasks=_generating,
            applies="`slung_toxicity`"),
    Setting("probe", "the probe: layer, pooling, draws, sizes", _recorded("probe"), applies="`slung_civilcomments`"),
    Setting("audit", "the audit: the config and the seed that it was drawn with", _recorded("audit"), tasks=_audit,
            applies="`slung_audit`"),
    Setting("forced", "the tokens of a span that are given (`SLUNG_AUDIT_FORCED`)", _recorded("forced"), tasks=_audit,
            applies="`slung_extraction`"),
    Setting(
        "reference", "the reference model of `auroc_reference`", _recorded("reference"), refused=False, tasks=_audit,
        applies="`slung_membership`",
    ),
    Setting("documents", "the number of documents (`--limit`)", _documents),
    Setting("few-shot", "the number of examples in the prompt", _few_shot),
    Setting(
        "generation", "the task's generation settings, with `--gen_kwargs`", lambda of: of.generation,
        tasks=_generating, applies="tasks that generate",
    ),
    Setting(
        "generation-config", "what of the model's own generation config takes effect, such as a repetition penalty",
        _own_generation, tasks=_generating, applies="tasks that generate",
    ),
    Setting(
        "chat-template", "a chat template (or a chat service) against none", _has_template, tasks=_with_prompt,
        applies="tasks with a prompt",
    ),
    Setting(
        "which-template", "two different chat templates", _which_template, refused=False,
        tasks=lambda of: _with_prompt(of) and _has_template(of) == "yes", applies="tasks with a prompt",
    ),
    Setting(
        "system-instruction", "the system instruction", _system, tasks=_with_prompt, applies="tasks with a prompt"
    ),
    Setting(
        "thinking", "`enable_thinking` and `chat_template_args`", _thinking,
        tasks=lambda of: _with_prompt(of) and _has_template(of) == "yes", applies="tasks with a prompt",
    ),
    Setting(
        "think-end-token", "`think_end_token`, which takes thoughts off", lambda of: of.arguments.get("think_end_token"),
        refused=False, tasks=_generating, applies="tasks that generate",
    ),
    Setting(
        "context-length", "the context length, which cuts long texts into windows", _context_length, tasks=_perplexity,
        applies="perplexity",
    ),
    Setting("bos", "`add_bos_token`", _bos),
    Setting("quantization", "`load_in_4bit`, `quantization_config` and the like", _quantization),
    Setting("dtype", "the type of the weights", _dtype, refused=False),
    Setting("backend", "lm_eval's class of the model: hf, vllm, a service", lambda of: of.backend or UNKNOWN, refused=False),
    Setting("model-args", "other arguments of the model", _other_arguments, refused=False),
    Setting(
        "lm-eval", "lm_eval's version", lambda of: of.content.get("lm_eval_version") or UNKNOWN, refused=False
    ),
)  # fmt: skip
"""All settings that are compared."""


def settings_of(measurement: Measurement) -> dict[str, object]:
    """The values of the settings that change the task's numbers, by name.

    What a task records beyond the table is a setting too, under the name of its key.
    """
    table = {setting.name: setting.read(measurement) for setting in SETTINGS if setting.tasks(measurement)}
    return {**measurement.about, **table}


def is_refused(name: str) -> bool:
    """Whether runs that differ in this setting are refused. One that is not in the table is."""
    return all(setting.refused for setting in SETTINGS if setting.name == name)
