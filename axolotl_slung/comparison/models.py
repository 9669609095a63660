"""Which model a results file is about: spellings of one path, and revisions or quantizations of one model."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from .settings import arguments_of

_CACHED = re.compile(r"(?:.*/)?models--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/[^/]+")
_VARIANTS = (
    "revision", "subfolder", "peft", "lora_local_path", "delta", "gguf_file", "load_in_4bit", "load_in_8bit",
    "quantization", "quantization_config", "autogptq", "gptqmodel",
)  # fmt: skip


def name_of(content: Mapping) -> str:
    """The model's name or path as the file spells it; empty if it has none."""
    arguments = arguments_of(content)
    return str(content.get("model_name") or arguments.get("pretrained") or arguments.get("model") or "")


def variant_of(content: Mapping) -> str:
    """What of the model was measured, such as `revision=step1000`; empty for the model as it is.

    An adapter or a folder that is part of the model's name is not repeated.
    """
    arguments, name = arguments_of(content), name_of(content)
    given = {key: arguments[key] for key in _VARIANTS if key in arguments}
    if given.get("revision") == "main":
        del given["revision"]
    said = {key: value for key, value in given.items() if spelled(str(value)) != spelled(name)}
    return ", ".join(key if value is True else f"{key}={value}" for key, value in said.items())


def spelled(model: str) -> str:
    """One spelling of a model's path: `./out//a/` is `out/a`, and a snapshot in the hub's cache is `owner/name`."""
    path = model.replace("\\", "/")
    if cached := _CACHED.fullmatch(path.rstrip("/")):
        return f"{cached['owner']}/{cached['name']}"
    return posixpath.normpath(path) if path else ""


def is_same(one: str, other: str) -> bool:
    """Whether two spellings may be of one model: a relative path may be the end of an absolute one."""
    one, other = spelled(one), spelled(other)
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    rooted = long.startswith(("/", "~")) or re.match(r"[A-Za-z]:", long) is not None
    return rooted and bool(short.lstrip("./")) and long.endswith(f"/{_without_dots(short)}")


def _without_dots(path: str) -> str:
    return re.sub(r"^(?:\.\./)+", "", path)
