"""The `slung:` block that a command works with: read from a config, or built from options."""

from __future__ import annotations

import click
import yaml

from ..config import SlungConfig
from ..errors import FileError, closest, os_problem, yaml_problem
from ..faults import checked
from ..yaml_text import load_yaml


def read_block(config: str | None, labelers: tuple[str, ...], **others) -> SlungConfig:
    """Read the block of a YAML file. Labelers given on the command line replace its own.

    Args:
        config: a YAML file with a `slung:` block, such as an Axolotl config; or None.
        labelers: entries for `slung.labelers`, each as YAML or the name of a type.
        others: values for keys of the block. A value of None leaves the key unchanged.

    Raises:
        click.UsageError: neither a config nor a labeler is given.
        SlungError: there is no block, or it is not valid. The message has a line for each fault.
    """
    if config is None and not labelers:
        raise click.UsageError(
            "--labeler: no labeler given; pass --config FILE (YAML with a `slung:` block) or --labeler TYPE"
        )
    block = {}
    if config is not None:
        content = read_yaml(config)
        block = content.get("slung") if isinstance(content, dict) else None
        if block is None:
            raise FileError(f"{config}: {_no_block(content)}")
        if not isinstance(block, dict):
            return checked(block)
    if labelers:
        block["labelers"] = [_labeler(text) for text in labelers]
    block.update({key: value for key, value in others.items() if value is not None})
    return checked(block)


def _no_block(content) -> str:
    """What to say of a config without a block."""
    keys = [key for key in content if isinstance(key, str)] if isinstance(content, dict) else []
    if meant := closest("slung", keys):
        return f"{meant}: unknown key; did you mean `slung`?"
    if own := [key for key in ("labelers", "buckets") if key in keys]:
        return f"{own[0]}: is a key of the `slung:` block; write `slung:` above it and indent it"
    return "no `slung:` block in it; add one, or pass another file"


def read_yaml(path: str):
    """The content of a YAML file.

    Raises:
        FileError: the file cannot be read, or is not valid YAML. The message names the line, and quotes none.
    """
    try:
        with open(path, "rb") as file:
            return load_yaml(file.read().decode("utf-8"))
    except OSError as error:
        raise FileError(os_problem(error, path)) from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 (at byte {error.start}); save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise FileError(f"{path}: {yaml_problem(error)}; fix this line") from None


def read_tokenizer(name: str):
    """The Transformers tokenizer of a folder or hub id.

    Raises:
        click.UsageError: there is none.
    """
    from transformers import AutoTokenizer, logging

    logging.set_verbosity_error()  # no warning about documents longer than the model's context
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError):
        raise click.UsageError(
            f"--tokenizer: {name!r}: no tokenizer in this folder or on the hub; pass a tokenizer's folder or hub id"
        ) from None


def _labeler(text: str):
    try:
        entry = load_yaml(text)
    except yaml.YAMLError:
        raise click.UsageError("--labeler: not valid YAML; write --labeler '{type: profanity}'") from None
    return {"type": entry} if isinstance(entry, str) else entry
