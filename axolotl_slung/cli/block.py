"""The `slung:` block that a command works with: out of a config, or put together from options."""

from __future__ import annotations

import click
import yaml
from pydantic import ValidationError

from ..config import SlungConfig
from ..errors import validation_lines


def read_block(config: str | None, labelers: tuple[str, ...], **others) -> SlungConfig:
    """The block of a YAML file, with its labelers replaced by those of the command line, if there are any.

    Args:
        config: a YAML file with a `slung:` block, such as an Axolotl config; or None.
        labelers: entries for `slung.labelers`, each as YAML or the name of a type.
        others: replace the block's keys of the same names, unless None.

    Raises:
        click.UsageError: neither, or no valid block.
    """
    if config is None and not labelers:
        raise click.UsageError(
            "say what is risky: a YAML file with a `slung:` block (--config), or --labeler profanity"
        )
    block = {}
    if config is not None:
        content = read_yaml(config)
        block = content.get("slung") if isinstance(content, dict) else None
        if not isinstance(block, dict):
            raise click.UsageError(f"--config: {config} has no `slung:` block")
    if labelers:
        block["labelers"] = [_labeler(text) for text in labelers]
    block.update({key: value for key, value in others.items() if value is not None})
    try:
        return SlungConfig.model_validate(block)
    except ValidationError as error:
        raise click.UsageError("\n".join(validation_lines(error, "slung."))) from None


def read_yaml(path: str):
    """A YAML file, or a `click.UsageError` that says where it is broken."""
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.safe_load(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise click.UsageError(f"{path}: cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise click.UsageError(f"{path}{where}: no YAML: {getattr(error, 'problem', '')}") from None


def read_tokenizer(name: str):
    """A tokenizer of Transformers, or a `click.UsageError`."""
    from transformers import AutoTokenizer, logging

    logging.set_verbosity_error()  # its warning that a document is longer than the model's context
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError):
        raise click.UsageError(
            f"--tokenizer: {name!r}: no tokenizer in such a folder, nor on the hub by this name"
        ) from None


def _labeler(text: str):
    try:
        entry = yaml.safe_load(text)
    except yaml.YAMLError:
        raise click.UsageError(f"--labeler: {text!r} is no YAML; write --labeler '{{type: profanity}}'") from None
    return {"type": entry} if isinstance(entry, str) else entry
