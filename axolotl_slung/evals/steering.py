"""A new request type for lm_eval's models: completions while hidden states are moved along a probe's direction.

The direction is the one along which a probe tells toxic comments from others (see `measures/probe.py`). It is added to the
states of all tokens, of the prompt and of the completion. Padding is masked, and so changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook

from ..errors import SlungError, get_logger
from . import requests as hidden
from .comments import drawn
from .documents import identity
from .measures import probe
from .measures.steered import Steered
from .services.opened import check_read
from .services.options import Options

LOG = get_logger(__name__)

STEERED = "slung_steered"


@dataclass(frozen=True, repr=False)
class Steering:
    """What a direction is fitted to.

    Attributes:
        layer: the layer to steer, 0 for the embeddings and -1 for the last; several or "all" to choose from.
        pooling: see `hidden_states.pooled`.
        scaled: whether the probe scales its features.
        unread: the largest share of comments whose states may be NaN or infinite.
        texts: the comments.
        toxic: for each of them, whether it is toxic.
    """

    layer: int | tuple[int, ...] | str
    pooling: str
    scaled: bool
    unread: float
    texts: tuple[str, ...]
    toxic: tuple[bool, ...]

    def __repr__(self) -> str:
        return "<steered>"  # lm_eval writes it into the samples


def steering_of(options: Options) -> tuple[Steering, dict]:
    """What the options ask for, and what the results say of it. The comments are those that the first probe trains on.

    Raises:
        SlungError: the comments cannot be read.
    """
    found = drawn(options)
    docs = [found.docs[place] for place in found.draws[0].train]
    texts, toxic = (tuple(doc[name] for doc in docs) for name in ("text", "toxic"))
    scaled = options.protocol == "paper"
    layer = options.probe_layer
    about = {
        "strengths": list(options.steer or ()),
        "layer": list(layer) if isinstance(layer, tuple) else layer,
        "pooling": options.probe_pooling,
        "comments": identity(found.source, ({"text": doc["text"], "toxic": doc["toxic"]} for doc in docs)),
    }
    return Steering(layer, options.probe_pooling, scaled, options.max_unscored, texts, toxic), about


def attach() -> None:
    """Add the method to lm_eval's models. A second call changes nothing."""
    from lm_eval.api.model import LM
    from lm_eval.models.huggingface import HFLM

    hidden.attach()
    setattr(LM, STEERED, _not_steered)
    setattr(HFLM, STEERED, _steered)


def _not_steered(self, requests):
    raise SlungError(
        f"SLUNG_STEER: lm_eval's {type(self).__name__} does not let hidden states be changed; use --model hf, or unset "
        "SLUNG_STEER"
    )


def _steered(self, requests) -> list[Steered]:
    """A completion for each request, whose arguments are `(prompt, settings, strength, Steering)`."""
    if self.backend != "causal":
        raise SlungError("SLUNG_STEER: this is an encoder-decoder model; measure a causal model, or unset SLUNG_STEER")
    groups: dict[tuple[int, float], list[int]] = {}
    for place, request in enumerate(requests):
        _, _, strength, steering = request.args
        groups.setdefault((id(steering), strength), []).append(place)
    directions: dict[int, Direction] = {}
    found: list = [None] * len(requests)
    for (key, strength), places in groups.items():
        if key not in directions:
            directions[key] = _direction(self, requests[places[0]].args[3])
        direction = directions[key]
        each = [
            Instance("generate_until", {}, requests[place].args[:2], 0, metadata=(STEERED, place, 1))
            for place in places
        ]
        # lm_eval would take these completions for the unsteered ones of the same prompts
        hook, self.cache_hook = self.cache_hook, CacheHook(None)
        try:
            with _same_randomness(self), moved(direction.place, _shift(self, strength, direction)):
                texts = self.generate_until(each)
        finally:
            self.cache_hook = hook
        for place, text in zip(places, texts, strict=True):
            found[place] = Steered(text, direction.layer)
    return found


def _shift(self, strength: float, direction: Direction) -> np.ndarray:
    import torch

    with np.errstate(over="ignore"):
        shift = strength * direction.vector
    if not torch.from_numpy(shift).to(self.model.dtype).isfinite().all():
        raise SlungError(
            f"SLUNG_STEER: {strength:g}: is too large for the model's numbers ({self.model.dtype}); use a smaller strength"
        )
    return shift


class Place(NamedTuple):
    """Where a layer's states can be changed: what a module reads, or what it returns."""

    module: object
    reads: bool


class Direction(NamedTuple):
    """A place, its layer (0 for the embeddings), and a float32 `(width,)` as long as one standard deviation."""

    place: Place
    layer: int
    vector: np.ndarray


def _direction(self, steering: Steering) -> Direction:
    places = _places(self)
    asked = _layers(steering.layer, places)
    texts = [
        Instance(hidden.HIDDEN_STATES, {}, (text, asked, steering.pooling), 0, metadata=(STEERED, number, 1))
        for number, text in enumerate(steering.texts)
    ]
    states = getattr(self, hidden.HIDDEN_STATES)(texts)
    finite = [all(np.isfinite(vector).all() for vector in its.vectors) for its in states]
    check_read(Options(max_unscored=steering.unread), "SLUNG_STEER", [not its for its in finite])
    states = [its for its, kept in zip(states, finite) if kept]
    toxic = [its for its, kept in zip(steering.toxic, finite) if kept]
    layers = [np.stack([its.vectors[index] for its in states]) for index in range(len(states[0].layers))]
    best = 0 if len(layers) == 1 else probe.best(layers, toxic, steering.scaled)
    if best is None:
        raise SlungError("SLUNG_STEER: too few comments to choose a layer with; set SLUNG_PROBE_LAYER to one layer")
    vector, layer = probe.direction(layers[best], toxic, steering.scaled), states[0].layers[best]
    if not vector.any():
        raise SlungError(
            f"SLUNG_STEER: toxic comments and others have the same states at layer {layer}; steer another layer with "
            "SLUNG_PROBE_LAYER"
        )
    LOG.info("slung: steered at layer %d; a strength of 1 is a length of %.3g", layer, np.linalg.norm(vector))
    return Direction(places[layer], layer, vector)


def _layers(asked: int | Sequence[int] | str, places: Mapping[int, Place]) -> list[int]:
    """The layers that were asked for, from 0 on.

    Raises:
        SlungError: the model does not have one of them, or its states cannot be changed there.
    """
    count = max(places) + 1
    layers = range(count) if asked == "all" else [asked] if isinstance(asked, int) else asked
    for layer in layers:
        if not -count <= layer < count:
            raise SlungError(
                f"SLUNG_PROBE_LAYER: {layer}: this model does not have this layer; use 0 (the embeddings) to {count - 1}, "
                "or -1 (the last)"
            )
        if places[layer % count].module is None:
            raise SlungError(
                f"SLUNG_STEER: no place was found in this model where layer {layer} could be changed; steer another layer "
                "with SLUNG_PROBE_LAYER, or unset SLUNG_STEER"
            )
    return sorted({layer % count for layer in layers})


def _places(self) -> dict[int, Place]:
    """For each layer, where its states can be changed; a place without a module where none was found.

    One forward pass tells: a layer's states are what a block reads. The last layer's are what the final norm returns.
    """
    import torch

    modules = [module for module in self.model.modules() if module is not self.model]
    blocks = {block for module in modules if isinstance(module, torch.nn.ModuleList) for block in module}
    reads, returns, handles = [], [], []

    def before(module, args, kwargs):
        if module in blocks:
            reads.append((module, _first(args, kwargs)))

    def after(module, args, output):
        returns.append((module, output[0] if isinstance(output, tuple) and output else output))

    for module in modules:
        handles += [module.register_forward_pre_hook(before, with_kwargs=True), module.register_forward_hook(after)]
    try:
        ids = torch.tensor([self.tok_encode("The words of a text.")[:8] or [self.prefix_token_id]]).to(self.device)
        half = self.mixed_precision_dtype
        with torch.inference_mode(), torch.autocast(self.device.type, half, enabled=half is not None):
            states = self.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    finally:
        for handle in handles:
            handle.remove()
    last = len(states) - 1

    def found(layer: int) -> Place:
        # of modules that read the same the first is the outermost one, and of those that return the same the last
        seen = reversed(returns) if layer == last else reads
        return Place(next((module for module, its in seen if _is_same(its, states[layer])), None), layer != last)

    return {layer: found(layer) for layer in range(last + 1)}


def _first(args, kwargs):
    return args[0] if args else kwargs.get("hidden_states")


def _is_same(one, other) -> bool:
    import torch

    return isinstance(one, torch.Tensor) and one.shape == other.shape and torch.equal(one.to(other.device), other)


@contextmanager
def moved(place: Place, vector: np.ndarray) -> Iterator[None]:
    """Add a vector `(width,)` to the states of a layer, for all tokens."""
    import torch

    shift = torch.from_numpy(vector)

    def added(states):
        return states + shift.to(states)

    def before(module, args, kwargs):
        if args:
            return (added(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": added(kwargs["hidden_states"])}

    def after(module, args, output):
        return (added(output[0]), *output[1:]) if isinstance(output, tuple) else added(output)

    register = place.module.register_forward_pre_hook if place.reads else place.module.register_forward_hook
    handle = register(before, with_kwargs=True) if place.reads else register(after)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _same_randomness(self) -> Iterator[None]:
    """Leave torch's random numbers as they were, so that sampled completions are drawn alike at each strength."""
    import torch

    devices = [self.device] if self.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        yield
