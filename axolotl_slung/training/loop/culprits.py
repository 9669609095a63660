"""Names of the code in a run that bypasses slung's labels or loss. Errors name this code, and never quote data."""

from __future__ import annotations

import functools
from typing import Any

OURS = ("axolotl_slung.", "axolotl.", "transformers.", "accelerate.", "torch.", "peft.", "deepspeed.")


def base_of(model: Any) -> Any:
    """The causal language model below any adapter."""
    while hasattr(model, "get_base_model"):
        model = model.get_base_model()
    return model


def name_of(thing: Any) -> str:
    """Module and name of a function or class; for any other object, of its class."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    thing = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{thing.__module__}.{thing.__qualname__}"


def collator_name(collator: Any) -> str:
    """A collator's name, and the plugin's name if a plugin's module made it or a plugin returns its class."""
    while hasattr(collator, "data_collator"):
        collator = collator.data_collator  # Transformers' wrapper, which removes unused columns
    name = name_of(collator)
    plugin = _plugin_of(collator, name)
    return f"{name} (of the plugin {plugin})" if plugin else name


def _plugin_of(collator, name: str) -> str | None:
    from axolotl.integrations.base import PluginManager

    manager = PluginManager.get_instance()
    for listed, plugin in manager.plugins.items():
        if listed.startswith("axolotl_slung."):
            continue
        module = type(plugin).__module__
        if not module.startswith(OURS) and (
            name.startswith(f"{module}.") or module.startswith(f"{name.rpartition('.')[0]}.")
        ):
            return listed
        for is_eval in (False, True):
            brought = plugin.get_collator_cls_and_kwargs(manager.cfg, is_eval=is_eval) if manager.cfg else None
            if brought and brought[0] is type(collator):
                return listed
    return None


def replaced(trainer: Any) -> str:
    """Which methods of the trainer and the model were replaced, and the fix: the end of an error message."""
    base = base_of(trainer.model)
    places = [
        (trainer, name, vars(trainer).get(name)) for name in ("training_step", "compute_loss", "get_batch_samples")
    ]
    places += [
        (part, "forward", _own_forward(part)) for part in {id(part): part for part in (trainer.model, base)}.values()
    ]
    found = [
        f"{type(thing).__name__}.{name} is {name_of(own)}"
        for thing, name, own in places
        if own is not None and not name_of(own).startswith(OURS)
    ]
    if not name_of(type(base).forward).startswith(OURS):
        found.append(f"{type(base).__name__}.forward is {name_of(type(base).forward)}")
    callbacks = [name_of(type(c)) for c in trainer.callback_handler.callbacks]
    found += [f"the callback {name}" for name in callbacks if not name.startswith(OURS)]
    if not found:
        return "cause unknown; check the plugins in the config and the model's code"
    return f"{'; '.join(found)}; remove the plugin that added it"


def _own_forward(model):
    """A forward set on the model object itself, before or after slung's; None if there is none."""
    return vars(model).get("forward") or vars(model).get("_slung_forward")


def other_loss(model: Any) -> str:
    """What computes the loss instead of slung, and the fix: the end of an error message."""
    base = base_of(model)
    forward = _own_forward(base) or type(base).forward
    home = getattr(forward, "__module__", "")
    if "liger" in home:
        return "Liger's fused loss replaces it; set `liger_fused_linear_cross_entropy: false`"
    if "cut_cross_entropy" in home:
        return "Cut Cross-Entropy replaces it; set `cut_cross_entropy: false`"
    if "transformers_modules" in home:
        return "the model's remote code computes its own loss; use an architecture that is part of Transformers"
    return (
        f"{type(base).__name__}.forward ({home}) computes its own loss; use an architecture that calls "
        "`self.loss_function`, or remove the plugin that replaced its forward"
    )
