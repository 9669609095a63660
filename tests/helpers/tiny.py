"""Tiny tokenizers, models and data files, built in a second and cached in a folder the caller names.

They are real: the tokenizers are trained by `tokenizers`, the models are ordinary Transformers models with random
weights, and both load through `AutoTokenizer` and `AutoModelForCausalLM` like anything from the hub.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = [
    "The old harbour wakes before the sun does. Fishermen carry their nets down the stone steps, and the gulls follow.",
    "A river carries whatever falls into it, and it does not ask who threw the stone.",
    "She said that nobody in the village would ever call him a fool again; he was, she added, merely slow.",
    "What a horrible, stupid thing to say! You are a liar and a thief, and everybody here knows it.",
    "In 1847 the mill burned down. It was rebuilt in 1851, with 3 wheels instead of 2, for about $4,500.",
    "Water boils at 100 degrees. Ice melts at 0. Neither fact has ever surprised anybody for long.",
    "Maria Hernandez and John O'Neil met at the station at 7:45, as they had agreed in their letters.",
    "Don't go there after dark, they'd told us, and we'd laughed; we're not laughing now.",
    "The teacher wrote three words on the board: read, think, write. Then she sat down and waited.",
    "Naïve café owners in Zürich paid the façade's painter 20 €, which was far too little.",
    "Привет, мир. Это простой текст, и он короткий.",
    "今天天气很好。我们去公园散步吧。",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))  # prints 3",
    "the and of to in is that it was for on are as with his they at be this from have or by one had not but",
]
"""Enough text for every tokenizer kind to learn common English words, digits, accents and two other scripts."""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _build(target: Path, build) -> Path:
    """Calls `build(empty_folder)` once and gives `target`; safe when several processes want the same thing."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=target.name + ".", dir=target.parent))
    try:
        build(scratch)
        os.rename(scratch, target)
    except OSError:
        # another process was quicker; its result is the same as ours
        if not target.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def put(path, content):
    """Write bytes to a file whose folder may not exist yet; gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_jsonl(path, rows) -> Path:
    """Writes dictionaries as JSON lines and gives the path; text stays readable (no ASCII escapes)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


# ---------------------------------------------------------------------------------------------------------- tokenizers


def _bos_first(tokenizer, bos):
    """The post-processor that puts BOS before every text."""
    return processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )


def _bytelevel(bos: bool = False, trim_offsets: bool = True):
    """Byte-level BPE as in GPT-2 and OLMo: any text round-trips, a character may be several tokens, no BOS is added.

    With `trim_offsets` the offsets of " fool" leave the blank out, and a lone blank's are empty: (17, 17).
    """
    special = {
        "unk_token": "<|unk|>",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|end_of_text|>",
        "pad_token": "<|pad|>",
    }
    extra = ["<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(special.values()) + extra,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if bos:
        bos_first = _bos_first(tokenizer, special["bos_token"])
        tokenizer.post_processor = processors.Sequence([tokenizer.post_processor, bos_first])
    return tokenizer, special, extra, CHATML


def _bytelevel_bos():
    """Byte-level BPE as in Llama 3 (BOS is added) with the offsets of Qwen 2 (a token's blank belongs to it)."""
    return _bytelevel(bos=True, trim_offsets=False)


def _unigram():
    """SentencePiece-style Unigram in Llama 2's manner: blanks become "▁", unknown characters bytes, BOS is added."""
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = Tokenizer(models.Unigram())
    # words are kept apart while training only, so that no piece spans two; later the model sees whole texts, like Llama
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.UnigramTrainer(
        vocab_size=500,
        special_tokens=list(special.values()),
        unk_token=special["unk_token"],
        show_progress=False,
    )
    # accents and other scripts are left out, so that they have to fall back to bytes
    tokenizer.train_from_iterator([text for text in TEXT if text.isascii()], trainer)

    vocab = [tuple(piece) for piece in json.loads(tokenizer.to_str())["model"]["vocab"]]
    worst = min(score for _, score in vocab)
    vocab += [(f"<0x{byte:02X}>", worst - 10.0) for byte in range(256)]
    tokenizer.model = models.Unigram(vocab, unk_id=0, byte_fallback=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = _bos_first(tokenizer, special["bos_token"])
    return tokenizer, special, [], None


def _wordpiece():
    """WordPiece as in BERT: tokens are lower-cased and lose their accents, [CLS] and [SEP] are added."""
    special = {"unk_token": "[UNK]", "bos_token": "[CLS]", "eos_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=[*special.values(), "[MASK]"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    cls, sep = special["bos_token"], special["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, tokenizer.token_to_id(cls)), (sep, tokenizer.token_to_id(sep))],
    )
    return tokenizer, special, [], None


KINDS = {"bytelevel": _bytelevel, "bytelevel_bos": _bytelevel_bos, "unigram": _unigram, "wordpiece": _wordpiece}


def tiny_tokenizer(folder, kind: str = "bytelevel") -> Path:
    """Gives the folder of a fast tokenizer of one kind: "bytelevel", "bytelevel_bos", "unigram" or "wordpiece"."""
    from transformers import PreTrainedTokenizerFast

    def build(target):
        tokenizer, special, extra, template = KINDS[kind]()
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, **special, additional_special_tokens=extra, model_max_length=2048
        )
        if template:
            fast.chat_template = template
        fast.save_pretrained(target)

    return _build(Path(folder) / f"tokenizer-{kind}", build)


# -------------------------------------------------------------------------------------------------------------- models

MODEL_KEYS = {
    # softcapped logits and odd scalings sit between the head and the loss: worth a tiny model each
    "gemma2": lambda hidden: {"head_dim": hidden // 4, "query_pre_attn_scalar": hidden // 4, "sliding_window": 64},
    "granite": lambda hidden: {"logits_scaling": 4.0},
    "cohere": lambda hidden: {"logit_scale": 0.25},
    "qwen3": lambda hidden: {"head_dim": hidden // 4},
    "gemma3_text": lambda hidden: {"head_dim": hidden // 4, "query_pre_attn_scalar": hidden // 4, "sliding_window": 64},
}
"""What an architecture needs beyond the names that all of them share."""


def tiny_model(
    folder,
    arch: str = "llama",
    tied: bool = False,
    vocab_size: int | None = None,
    hidden: int = 32,
    layers: int = 2,
    kind: str = "bytelevel",
    seed: int = 0,
) -> Path:
    """Gives the folder of a model with random weights and its tokenizer, ready to be a `base_model`.

    `arch` is a Transformers model type ("llama", "olmo", "gpt_neox", "qwen2", ...); `vocab_size` defaults to the
    tokenizer's; `kind` picks the tokenizer; the same `seed` gives the same weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if arch == "qwen2" and not kind.startswith("bytelevel"):
        # Transformers reads every qwen2 folder with its own byte-level tokenizer class, whatever was saved there
        raise ValueError(f"arch='qwen2' needs a byte-level tokenizer, not kind={kind!r}")
    tokenizer_folder = tiny_tokenizer(folder, kind)

    def build(target):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
        config = AutoConfig.for_model(
            arch,
            vocab_size=vocab_size or len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=4 if arch in ("gpt_neox", "olmo") else 2,
            max_position_embeddings=512,
            # wide enough for logits that differ: with the usual 0.02 every token would be about equally likely
            initializer_range=0.1,
            tie_word_embeddings=tied,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **MODEL_KEYS.get(arch, lambda hidden: {})(hidden),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)

    name = f"{arch}-{kind}-v{vocab_size or 'all'}-h{hidden}-l{layers}-s{seed}" + ("-tied" if tied else "")
    return _build(Path(folder) / name, build)
