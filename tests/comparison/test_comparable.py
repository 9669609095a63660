"""What makes two results comparable: every setting that changes a number is refused or noted, and nothing else is."""

import re

import pytest
from click.testing import CliRunner
from helpers import ROOT
from helpers.reported import put, tofu, toxic, write

from axolotl_slung.cli import main
from axolotl_slung.comparison.gathered import evaluations
from axolotl_slung.comparison.results import parse_source
from axolotl_slung.comparison.settings import SETTINGS
from axolotl_slung.errors import SlungError

PERPLEXITY = {"slung_perplexity": {"token_perplexity": 10.0}}
COMMENTS = {"slung_civilcomments": {"auroc": 0.8}}
TOXICITY = {"slung_toxicity": {"toxicity": 0.1}}
ARGUMENTS = ("config", "model_args")
TEMPLATE = ("chat_template_sha",)
OWN = ("config", "model_generation_config")


def arguments(said):
    return put(*ARGUMENTS, value=said)


def both(*changes):
    def change(content):
        for each in changes:
            each(content)

    return change


def sampled(content):
    content["configs"]["slung_toxicity"]["generation_kwargs"]["do_sample"] = True


def compared(tmp_path, tasks, ours, theirs=None, allowed=()):
    """The notes on two results with these changes; the error, if they are refused."""
    sources = []
    for name, change in (("a", ours), ("b", theirs)):
        write(tmp_path / name, name, tasks, change=change)
        sources.append(parse_source(str(tmp_path / name)))
    try:
        return "\n".join(evaluations(sources, allowed).notes)
    except SlungError as error:
        return f"refused: {error}"


@pytest.mark.parametrize(
    ("tasks", "ours", "theirs", "name"),
    [
        (PERPLEXITY, put("max_length", value=512), put("max_length", value=64), "context-length"),
        (PERPLEXITY, arguments("pretrained=a,max_length=512"), arguments({"max_model_len": 64}), "context-length"),
        (TOXICITY, put(*TEMPLATE, value="c0ffee"), None, "chat-template"),
        (TOXICITY, put("chat_template", value=""), None, "chat-template"),
        (TOXICITY, put("model_source", value="local-chat-completions"), None, "chat-template"),
        (tofu(0.1, recall=0.1), put("model_source", value="openai-chat-completions"), None, "chat-template"),
        (TOXICITY, put("system_instruction_sha", value="c0ffee"), None, "system-instruction"),
        (TOXICITY, arguments("add_bos_token=True,pretrained=a"), arguments("add_bos_token=False"), "bos"),
        (COMMENTS, arguments({"add_bos_token": True}), None, "bos"),
        (PERPLEXITY, arguments({"load_in_4bit": True}), None, "quantization"),
        (COMMENTS, arguments("pretrained=a,load_in_8bit=True"), None, "quantization"),
        (TOXICITY, arguments({"quantization_config": {"bits": 4}}), arguments({"quantization_config": {"bits": 8}}),
         "quantization"),
        (TOXICITY, put(*OWN, value={"repetition_penalty": 1.3}), put(*OWN, value={}), "generation-config"),
        (TOXICITY, both(sampled, put(*OWN, value={"min_p": 0.1})), both(sampled, put(*OWN, value={})),
         "generation-config"),
        (TOXICITY, put(*OWN, value={"repetition_penalty": 1.3}),
         both(put("model_source", value="vllm"), put(*OWN[:1], value={"model": "vllm"})), "generation-config"),
        (TOXICITY, both(put(*TEMPLATE, value="c0"), arguments({"enable_thinking": False})), put(*TEMPLATE, value="c0"),
         "thinking"),
        (TOXICITY, put("n-shot", value={"slung_toxicity": 0}), put("n-shot", value={"slung_toxicity": 5}), "few-shot"),
        (TOXICITY, put("configs", "slung_toxicity", "metadata", "slung", "samples", value=3), None, "samples"),
        (COMMENTS, put("configs", "slung_civilcomments", "metadata", "slung", "probe", value={"layer": 3}), None, "probe"),
        (TOXICITY, put("configs", "slung_toxicity", "metadata", "slung", "later", value=3), None, "later"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_and_can_be_allowed_by_name(tmp_path, tasks, ours, theirs, name):
    said = compared(tmp_path, tasks, ours, theirs)
    assert said.startswith("refused: ") and f"{name}" in said and f"--allow {name}" in said
    assert f" in {tmp_path / 'a'}" in said and f" in {tmp_path / 'b'}" in said
    # the only one that differs
    assert said.count("--allow") == 1
    allowed = compared(tmp_path, tasks, ours, theirs, allowed=[name])
    assert (
        not allowed.startswith("refused") and f"allowed by --allow {name}" in allowed and str(tmp_path / "b") in allowed
    )


@pytest.mark.parametrize(
    ("tasks", "ours", "theirs", "name"),
    [
        (TOXICITY, put(*TEMPLATE, value="c0ffee"), put(*TEMPLATE, value="beef"), "which-template"),
        (TOXICITY, put("model_source", value="vllm"), None, "backend"),
        (PERPLEXITY, put("model_source", value="local-completions"), None, "backend"),
        (TOXICITY, arguments("dtype=bfloat16"), None, "dtype"),
        (TOXICITY, put("config", "model_dtype", value="torch.float16"), put("config", "model_dtype", value="torch.bfloat16"),
         "dtype"),
        (TOXICITY, arguments({"dtype": "float32", "think_end_token": "</think>"}), None, "think-end-token"),
        (TOXICITY, put("lm_eval_version", value="0.4.11"), put("lm_eval_version", value="0.4.13"), "lm-eval"),
        (TOXICITY, put(*OWN, value={"repetition_penalty": 1.3}), None, "generation-config"),
        (TOXICITY, arguments({"dtype": "float32", "truncation": True}), None, "model-args"),
    ],
)  # fmt: skip
def test_what_may_be_meant_is_a_note(tmp_path, tasks, ours, theirs, name):
    said = compared(tmp_path, tasks, ours, theirs)
    assert not said.startswith("refused") and f"measured with different {name}: " in said
    assert f" in {tmp_path / 'a'}" in said and f" in {tmp_path / 'b'}" in said


@pytest.mark.parametrize(
    ("tasks", "ours", "theirs"),
    [
        # comments and texts are read as they are
        ({**COMMENTS, **PERPLEXITY}, put(*TEMPLATE, value="c0ffee"), put(*TEMPLATE, value="beef")),
        ({**COMMENTS, **PERPLEXITY}, put(*TEMPLATE, value="c0ffee"), None),
        ({**COMMENTS, **PERPLEXITY}, put("system_instruction_sha", value="c0ffee"), None),
        ({**COMMENTS, **PERPLEXITY}, put(*OWN, value={"repetition_penalty": 1.3}), put(*OWN, value={})),
        ({**TOXICITY, **COMMENTS}, put("max_length", value=512), put("max_length", value=64)),
        # greedy: the settings of sampling do nothing, nor do a penalty of 1 or one that --gen_kwargs sets
        (TOXICITY, put(*OWN, value={"temperature": 0.7, "top_k": 20, "repetition_penalty": 1.0}), put(*OWN, value={})),
        (TOXICITY, both(put(*OWN, value={"repetition_penalty": 1.3}), put("model_source", value="hf")),
         put(*OWN, value={"repetition_penalty": 1.3})),
        (TOXICITY, arguments({"dtype": "float32", "load_in_4bit": False, "enable_thinking": True}), None),
        (TOXICITY, arguments("dtype=float32,batch_size=8,device=cpu,pretrained=a"), None),
        (TOXICITY, put("model_source", value="huggingface"), None),
    ],
)  # fmt: skip
def test_what_changes_no_number_is_not_compared(tmp_path, tasks, ours, theirs):
    assert compared(tmp_path, tasks, ours, theirs) == ""


def test_a_rescored_chat_is_still_a_chat(tmp_path):
    # neither key: a file that does not say
    def unsaid(content):
        del content["chat_template"], content["chat_template_sha"]

    said = compared(tmp_path, TOXICITY, put(*TEMPLATE, value="c0ffee"), unsaid)
    assert not said.startswith("refused") and "chat-template: yes in" in said and "not known in" in said


def test_all_that_differs_is_in_one_error(tmp_path):
    change = both(put("max_length", value=9), put(*TEMPLATE, value="c0"), arguments({"load_in_4bit": True}))
    said = compared(tmp_path, {**TOXICITY, **PERPLEXITY}, change, put("max_length", value=8))
    for name in ("context-length", "chat-template", "quantization"):
        assert f"--allow {name}" in said
    assert "slung_toxicity: runs were" in said and "slung_perplexity: runs were" in said


def test_files_of_one_folder_are_named(tmp_path):
    for number, said in enumerate((False, True)):
        name, change = f"results_2026-01-0{number + 1}T00-00-00.json", arguments({"load_in_4bit": said})
        write(tmp_path, "o/m", TOXICITY, name=name, change=change)
    with pytest.raises(SlungError) as error:
        evaluations([parse_source(str(tmp_path))])
    assert "nothing in " in str(error.value) and "01T00-00-00.json, True in " in str(error.value)


def test_a_name_that_is_no_setting(tmp_path):
    write(tmp_path / "a", "a", toxic(0.1, 0.8))
    with pytest.raises(
        SlungError, match="--allow: 'context-lenght': not a setting; did you mean context-length?"
    ) as error:
        evaluations([parse_source(str(tmp_path / "a"))], ["context-lenght"])
    assert all(setting.name in str(error.value) for setting in SETTINGS)


def test_help_and_docs_list_every_setting():
    shown = CliRunner().invoke(main, ["report", "--help"]).output
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", page.split("### Comparable runs")[1], re.MULTILINE))
    for setting in SETTINGS:
        kind = "refused" if setting.refused else "note"
        assert f"  {setting.name} " in shown
        assert rows.pop(setting.name) == f"{setting.what} | {setting.applies} | {kind}"
    assert not rows
