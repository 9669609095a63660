"""The demo's model is converted from GGUF: with each supported Transformers, to the weights that are in the file."""

import json

import gguf
import numpy as np
import pytest
from gguf import quants
from helpers.tiny import TEXT
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.demo.model import END, check, convert
from axolotl_slung.errors import SlungError

WIDTH, INNER, HEADS, LAYERS = 64, 96, 2, 2


def write_gguf(path):
    """A tiny Llama in blocks of 8 bits, as in the demo's file, with a byte-level tokenizer; the weights by their names."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|endoftext|>", "<|im_start|>", END]
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=letters, show_progress=False)
    )
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(vocabulary) - 3))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(1)  # as in the demo's file
    writer.add_unk_token_id(0)

    draws, weights = np.random.default_rng(1), {}

    def add(name, *shape, kind=gguf.GGMLQuantizationType.Q8_0):
        values = draws.normal(0, 0.2, shape).astype(np.float32)
        packed = quants.quantize(values, kind)
        weights[name] = quants.dequantize(packed, kind)
        writer.add_tensor(name, packed, raw_dtype=kind)

    add("token_embd.weight", len(vocabulary), WIDTH)
    for number in range(LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{number}.{part}.weight", WIDTH, WIDTH)
        add(f"blk.{number}.ffn_gate.weight", INNER, WIDTH)
        add(f"blk.{number}.ffn_up.weight", INNER, WIDTH)
        add(f"blk.{number}.ffn_down.weight", WIDTH, INNER)
        for part in ("attn_norm", "ffn_norm"):
            add(f"blk.{number}.{part}.weight", WIDTH, kind=gguf.GGMLQuantizationType.F32)
    add("output_norm.weight", WIDTH, kind=gguf.GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tokenizer, weights


def in_halves(weight):
    """GGUF's Llama has the two numbers that are rotated together side by side, Transformers has them half a head apart."""
    return weight.reshape(HEADS, -1, 2, WIDTH).swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    (folder / "gguf").mkdir()
    made = write_gguf(folder / "gguf" / "tiny.gguf")
    convert(folder / "gguf" / "tiny.gguf", folder / "model")
    return folder / "model", *made


def test_weights_are_those_of_the_file(converted):
    folder, _, weights = converted
    model = AutoModelForCausalLM.from_pretrained(folder)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert {str(tensor.dtype) for tensor in state.values()} == {"float32"}
    expected = {"model.embed_tokens.weight": weights["token_embd.weight"]}
    expected["lm_head.weight"] = expected["model.embed_tokens.weight"]  # the file has no other
    expected["model.norm.weight"] = weights["output_norm.weight"]
    names = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        **{f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"},
        "attn_output": "self_attn.o_proj",
        **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
    }
    for number in range(LAYERS):
        for theirs, ours in names.items():
            weight = weights[f"blk.{number}.{theirs}.weight"]
            turned = theirs in ("attn_q", "attn_k")
            expected[f"model.layers.{number}.{ours}.weight"] = in_halves(weight) if turned else weight
    assert state.keys() == expected.keys()
    for name, weight in expected.items():
        assert np.array_equal(state[name], weight), name


def test_it_trains_and_is_saved_as_a_plain_model(converted):
    folder, _, _ = converted
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert (
        getattr(model, "hf_quantizer", None) is None
        and "quantization_config" not in (folder / "config.json").read_text()
    )
    assert (model.config.rope_parameters["rope_theta"], model.config.num_hidden_layers) == (10000.0, LAYERS)
    model(input_ids=model.dummy_inputs["input_ids"], labels=model.dummy_inputs["input_ids"]).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())
    model.save_pretrained(folder.parent / "again")


def test_tokens_and_ends(converted):
    folder, source, _ = converted
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in TEXT:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == source.encode(text).ids
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.eos_token == tokenizer.pad_token == END
    ends = {model.config.eos_token_id, model.generation_config.eos_token_id, model.config.pad_token_id}
    assert ends == {source.token_to_id(END)}


def test_a_model_that_knows_nothing_is_refused(converted):
    with pytest.raises(SlungError, match="expected Paris"):
        check(converted[0])
