"""The `slung:` block as pydantic models: the keys that YAML may have, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator, model_validator

from .errors import SlungError
from .labeling.blocks import Block, Float, Int, LabelerConfig, SpansConfig
from .labeling.registry import LABELERS, names_of
from .labeling.scores import ANY, PAPER_CUTS, Cuts, Pair, first_pair, missing
from .labels.buckets import PRESETS, Action, Bucket, preset
from .labels.codec import MAX_BUCKETS
from .labels.noise import MOST_FALSE, Noise
from .labels.replacement import check_template, makes_up, names_kind

_OPTIONS = tuple(dict.fromkeys(key for a in Action for key in (a.traits.needs, a.traits.takes) if key is not None))
"""The keys of buckets that only some actions have."""


class BucketConfig(Block):
    """A range of scores, and the action for its tokens."""

    name: str = Field(min_length=1, description="The name in messages and metrics.")
    below: Float | None = Field(
        None, gt=0, le=1, description="Upper bound of the scores, exclusive. Only the last bucket has none."
    )
    action: Action = Field(description="What the loss does with the bucket's tokens.")
    weight: Float | None = Field(
        None,
        ge=-1000,
        le=1000,
        description="Factor of the action's loss, above 0. With `action: weighted` it may be negative: then the loss is "
        "unlikelihood of that size. Default: 1.",
    )
    token: str | None = Field(
        None,
        min_length=1,
        description="The token before each span of `action: control_token`, or in place of each token of "
        "`action: hidden_token`. One token of the tokenizer.",
    )
    threshold: Float | None = Field(
        None, gt=0, lt=1, description="The probability below which `action: hinge` adds no loss."
    )
    objective: str | None = Field(
        None,
        pattern=r"^(dft|[\w.]+:[^\W\d]\w*)$",
        description="The function of `action: custom`: dft, or package.module:function, whose code is run.",
    )
    k: Int | None = Field(None, ge=2, description="`action: goldfish` masks one token in k.")
    text: str | None = Field(
        None,
        min_length=1,
        description="What `action: replace` puts in place of a span. {kind} and {KIND} are the span's kind, such as "
        "email and EMAIL, {made_up} is a made-up value of that kind. A brace is written {{ or }}.",
    )
    seed: Int | None = Field(
        None,
        ge=0,
        lt=1 << 53,
        description="Chooses the made-up values of `action: replace`: equal originals and seeds give equal values.",
    )

    @field_validator("text")
    @classmethod
    def _placeholders(cls, text):
        if text is not None:
            check_template(text)
        return text

    @model_validator(mode="after")
    def _fits_its_action(self):
        if self.weight is not None and not self.action.traits.coded:
            raise ValueError(f"`weight` has no effect with action: {self.action.value}; remove it")
        if self.weight == 0:
            raise ValueError("`weight: 0` leaves no loss; write action: mask")
        if self.weight is not None and self.weight < 0 and self.action is not Action.WEIGHTED:
            raise ValueError(
                f"`weight: {self.weight:g}` with action: {self.action.value}: only `weighted` takes a weight below 0; "
                "write one above 0"
            )
        own = (self.action.traits.needs, self.action.traits.takes)
        for key in _OPTIONS:
            if key in own or getattr(self, key) is None:
                continue
            bound = "; the bound of the scores is `below`" if key == "threshold" else ""
            others = " and ".join(
                action.value for action in Action if key in (action.traits.needs, action.traits.takes)
            )
            raise ValueError(
                f"`{key}` has no effect with action: {self.action.value}, only with {others}{bound}; remove it"
            )
        needed = self.action.traits.needs
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"`{needed}` is required by action: {self.action.value}; add it")
        if self.text is not None and makes_up(self.text) and self.seed is None:
            raise ValueError("`seed` is required by {made_up}; add any whole number, such as seed: 20250")
        if self.seed is not None and not makes_up(self.text or ""):
            raise ValueError("`seed` has no effect without {made_up} in `text`; remove it")
        return self


class LabelNoiseConfig(Block):
    """Errors of labels, made at random."""

    miss: Float = Field(0.0, ge=0, le=1, description="The share of risky spans that are dropped.")
    false: Float = Field(
        0.0, ge=0, le=MOST_FALSE, description="The expected share of the other words that are put into false spans."
    )
    seed: Int = Field(0, ge=0, description="Another seed draws other spans.")
    kind: str | None = Field(
        None,
        min_length=1,
        description="The kind of the false spans, such as email. For `action: replace` with {kind}, {KIND} or {made_up}.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_by_yaml(cls, block):
        # YAML reads the key `false` as a truth value
        if isinstance(block, dict) and False in block and "false" not in block:
            return {"false" if key is False else key: value for key, value in block.items()}
        return block


class SlungConfig(Block):
    """The `slung:` block."""

    labelers: list[LabelerConfig] = Field(
        min_length=1, description="What is risky. Where spans overlap, the highest score counts."
    )
    buckets: list[BucketConfig] | None = Field(
        None,
        min_length=2,
        max_length=MAX_BUCKETS,
        description="Score ranges in ascending order, instead of a method. They apply to the labelers' own scores.",
    )
    method: (
        Literal[
            "masked",
            "unlikelihood",
            "toxic_baseline",
            "low_risk",
            "control",
            "drop_documents",
            "control_token",
            "replace",
        ]
        | None
    ) = Field(
        None,
        description="A preset of buckets: the paper's five methods, and three to compare them with. Default: masked. "
        "Not with `buckets`.",
    )
    cache: bool = Field(
        True,
        description="Cache the spans of slow labelers for the next run, in ~/.cache/axolotl-slung or "
        "$AXOLOTL_SLUNG_CACHE. Keys are digests of the texts.",
    )
    overlap: Literal["any", "majority", "all"] = Field(
        "any", description="How many of a token's characters must be risky for the token to be risky."
    )
    normalize_by: Literal["loss_tokens", "train_tokens", "all_tokens"] = Field(
        "loss_tokens",
        description="The count that divides the summed loss, over the accumulation window and all ranks. Tokens with "
        "any loss, trained tokens, or all tokens that Axolotl would train without slung.",
    )
    mask_document_starts: bool = Field(
        False, description="No loss on a document's first token. Packing predicts it from another document."
    )
    eos: Literal["train", "mask", "inherit"] = Field(
        "train", description="End-of-sequence tokens are trained, masked, or treated as the token before them."
    )
    monitor_masked: bool | None = Field(
        None,
        description="Log the nll of masked tokens, without gradient. Default: true, except with Liger's or CCE's "
        "fused loss, which support only -100.",
    )

    train_objective: Literal["cross_entropy", "dft"] = Field(
        "cross_entropy",
        description="The objective of trained tokens, those of the actions train, goldfish and control_token. dft: "
        "cross-entropy times the token's probability, without a gradient of the latter.",
    )
    weight_start: Int = Field(
        0, ge=0, description="Number of optimizer steps before the buckets' `weight` takes effect."
    )
    weight_warmup: Int = Field(
        0,
        ge=0,
        description="Number of optimizer steps after `weight_start` over which the weight grows to its full value.",
    )
    random_control: bool = Field(
        False,
        description="Control run: move each text's scores to random tokens, keeping the number of tokens per action.",
    )
    label_noise: LabelNoiseConfig | None = Field(
        None,
        description="A study of wrong labels: drop and add spans at random. The choice depends only on the seed and the "
        "texts.",
    )
    holdout_share: Float = Field(
        0.0,
        ge=0,
        lt=1,
        description="The share of the rows of `datasets:` that is left out of training, chosen by digests of the rows. "
        "`slung audit` asks about them to compare.",
    )
    fused: bool = Field(
        True,
        description="Compute the loss in the model's head, without storing the logits, if the head allows it. "
        "false: compute it from the model's logits.",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_splitter(cls, block):
        if isinstance(block, dict) and "sentence_splitter" in block:
            raise ValueError(
                "`sentence_splitter` was removed: blingfire always splits the sentences, as in the paper; remove it"
            )
        return block

    @field_validator("method")
    @classmethod
    def _method_or_buckets(cls, method, info):
        if method is not None and info.data.get("buckets"):
            raise ValueError(f"{method}: has no effect with `buckets`; remove one of them")
        return method

    @model_validator(mode="after")
    def _consistent(self):
        named = [labeler.name for labeler in self.labelers if labeler.name is not None]
        if len(set(named)) < len(named):
            raise ValueError(f"`labelers`: expected a different `name` for each, got {named}")
        bounds = [bucket.below for bucket in self.buckets or []]
        if bounds:
            for index, labeler in enumerate(self.labelers):
                if labeler.cuts is not None:
                    raise ValueError(f"`labelers[{index}].cuts` has no effect with `buckets`; remove one of them")
            if bounds[-1] is not None:
                raise ValueError("`buckets`: the last bucket takes all remaining scores; remove its `below`")
            if None in bounds[:-1]:
                name = self.buckets[bounds.index(None)].name
                raise ValueError(f"`buckets`: bucket {name!r} has no `below`; add it (only the last bucket has none)")
            if any(low >= high for low, high in pairwise(bounds[:-1])):  # pyright: ignore[reportOperatorIssue]
                raise ValueError(f"`buckets`: `below` must ascend; got {bounds[:-1]}")
            names = [bucket.name for bucket in self.buckets]
            if len(set(names)) < len(names):
                raise ValueError(f"`buckets`: names must differ; got {names}")
        for index, labeler in enumerate(self.labelers):
            if not isinstance(labeler, SpansConfig) or labeler.weights_field is None:
                continue
            if labeler.weights_field == labeler.field:
                raise ValueError(
                    f"`labelers[{index}]`: {labeler.field!r} is both `field` and `weights_field`; name two columns"
                )
            if Action.SOFT in self.actions:
                raise ValueError(
                    f"`labelers[{index}].weights_field` cannot be used with action: soft: a label has room for one number, and "
                    "soft needs the score; use the action weighted or unlikelihood"
                )
        self._check_kind_of_noise()
        if (self.weight_start or self.weight_warmup) and not self.trains_codes:
            raise ValueError(
                "`weight_start` and `weight_warmup` have no effect: no bucket's action has a `weight`; remove them"
            )
        if self.normalize_by == "all_tokens" and self.monitor_masked is False:
            raise ValueError(
                "`normalize_by: all_tokens` counts masked tokens, but with `monitor_masked: false` they look like "
                "padding; remove `monitor_masked` or set it to true"
            )
        return self

    def _check_kind_of_noise(self) -> None:
        """Check `label_noise.kind`. False spans are in the last bucket, whose `text` may ask for it."""
        last = self.buckets[-1] if self.buckets else preset(self.method or "masked")[-1]
        noise, text = self.label_noise, last.text
        if noise is None:
            return
        asked = noise.false > 0 and text is not None and names_kind(text)
        if asked and noise.kind is None:
            raise ValueError(
                f"`label_noise.kind` is required: {text!r} of the last bucket depends on the kind of false spans; add what "
                "they are taken for, such as kind: email"
            )
        if noise.kind is not None and not asked:
            raise ValueError(
                "`label_noise.kind` has no effect without `false` above 0 and a last bucket whose `text` has {kind}, {KIND} "
                "or {made_up}; remove it"
            )

    @property
    def actions(self) -> tuple[Action, ...]:
        """The action of each bucket, in ascending order."""
        given = tuple(bucket.action for bucket in self.buckets or ())
        return given or PRESETS[self.method or "masked"]

    @property
    def trains_codes(self) -> bool:
        """Whether any bucket has an objective other than cross-entropy."""
        return any(action.traits.coded for action in self.actions)

    @property
    def reads_weights(self) -> bool:
        """Whether a labeler reads weights from the data."""
        return any(isinstance(one, SpansConfig) and one.weights_field is not None for one in self.labelers)

    def scale(self) -> Pair | None:
        """The cuts of the preset's buckets: those of the first labeler that has a pair, otherwise the paper's.

        The scores of other labelers are moved to this scale. None with `buckets`, where scores count as they are.

        Raises:
            SlungError: the scores of a labeler have no cuts.
        """
        if self.buckets is not None:
            return None
        made = [labeler.cuts_made() for labeler in self.labelers]
        for index, (labeler, cuts) in enumerate(zip(self.labelers, made)):
            if cuts is None and labeler.type != "spans":  # a column may have no scores, and says so when it is read
                why = f"what the scores of this {labeler.type} mean is not known"
                raise SlungError(missing(f"slung.labelers[{index}]", why))
        return first_pair(made) or PAPER_CUTS

    def cuts_by_name(self, fixed: bool = True) -> dict[str, Cuts]:
        """The known cuts of each name that spans can have: those of the labelers, and of names in columns.

        Args:
            fixed: whether labelers that accept no `cuts` are included.
        """
        found: dict[str, Cuts] = {}
        for name, labeler in zip(names_of(self.labelers), self.labelers):
            cuts = labeler.cuts_made() if fixed or LABELERS[labeler.type].cuts != ANY else None
            found |= cuts if isinstance(cuts, dict) else {} if cuts is None else {name: cuts}
        return found

    def of_a_column(self) -> SlungConfig:
        """This block with one labeler, `spans`: for files that `slung label` wrote with its labelers."""
        given = [labeler.cuts for labeler in self.labelers if isinstance(labeler, SpansConfig)]
        cuts = next((cuts for cuts in given if isinstance(cuts, (list, str))), None)
        return self.model_copy(update={"labelers": [SpansConfig.model_validate({"type": "spans", "cuts": cuts})]})

    def with_recorded(self, cuts: Mapping[str, Cuts]) -> SlungConfig:
        """This block, where a `spans` labeler without `cuts` has those that were recorded beside labeled files."""
        if self.buckets is not None or not cuts:
            return self
        written = {name: one if one == ANY else list(one) for name, one in cuts.items()}
        labelers = [
            labeler.model_copy(update={"cuts": written}) if labeler.type == "spans" and not labeler.cuts else labeler
            for labeler in self.labelers
        ]
        return self.model_copy(update={"labelers": labelers})

    def noise(self) -> Noise | None:
        """What `label_noise` does to spans, or None. Raises `SlungError`, see `scale`."""
        return self.label_noise and Noise(self.resolved_buckets(), **self.label_noise.model_dump(exclude_none=True))

    def resolved_buckets(self) -> tuple[Bucket, ...]:
        """The given buckets, or the method's preset if there are none.

        Raises:
            SlungError: see `scale`.
        """
        if self.buckets is None:
            return preset(self.method or "masked", self.scale() or PAPER_CUTS)
        # keys that the YAML leaves out take the defaults of `Bucket`
        return tuple(Bucket(**{"below": None, **bucket.model_dump(exclude_none=True)}) for bucket in self.buckets)


def json_schema() -> dict:
    """The JSON schema of the `slung:` block, for editors and checks outside Python."""
    return SlungConfig.model_json_schema()
