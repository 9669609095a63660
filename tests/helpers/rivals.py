"""Plugins that go past the selective loss, each in a way of its own; only tests load them."""

import functools

import torch
from axolotl.core.trainers.base import AxolotlTrainer
from axolotl.integrations.base import BasePlugin
from axolotl.utils.collators import DataCollatorForSeq2Seq
from transformers import DataCollatorForLanguageModeling, TrainerCallback


class OwnForward(BasePlugin):
    """Replaces the model's forward by one with a loss of its own, as Liger and CCE do."""

    def post_model_load(self, cfg, model):
        inner = model.forward

        def forward(input_ids=None, labels=None, **kwargs):
            output = inner(input_ids=input_ids, **{k: v for k, v in kwargs.items() if k != "num_items_in_batch"})
            flat = output.logits[:, :-1].reshape(-1, output.logits.shape[-1])
            output.loss = torch.nn.functional.cross_entropy(flat, labels[:, 1:].reshape(-1).clamp(min=-100))
            return output

        model.forward = forward


class OwnTrainer(BasePlugin):
    """Brings a trainer class."""

    def get_trainer_cls(self, cfg):
        return AxolotlTrainer


class RewritesLabels(BasePlugin):
    """Trains on the inputs after all: labels are made again after the collator."""

    def post_trainer_create(self, cfg, trainer):
        collate = trainer.data_collator

        def again(features):
            batch = collate(features)
            batch["labels"] = torch.where(batch["labels"] < -100, batch["labels"] - (1 << 37), batch["labels"])
            return batch

        trainer.data_collator = again


class ForgetsWeights(BasePlugin):
    """Sets the weights in codes to one number, the same for all tokens."""

    def post_trainer_create(self, cfg, trainer):
        collate = trainer.data_collator

        def again(features):
            batch = collate(features)
            packed = -101 - batch["labels"]
            given = (batch["labels"] < -100) & ((packed >> 32) & 1 == 1)
            batch["labels"] = torch.where(given, -101 - ((packed >> 32 << 32) | 0x3F800000), batch["labels"])
            return batch

        trainer.data_collator = again


class OtherLoss(BasePlugin):
    """Puts another loss over the selective one."""

    def post_trainer_create(self, cfg, trainer):
        trainer.model.loss_function = lambda logits, labels, **_: logits.float().mean()


class RemakesLabels(DataCollatorForSeq2Seq):
    """A collator that makes labels out of the inputs."""

    def __call__(self, features, return_tensors=None):
        batch = super().__call__(features, return_tensors)
        batch["labels"] = torch.where(batch["labels"] == -100, -100, batch["input_ids"])
        return batch


class OwnCollator(BasePlugin):
    """Brings a collator by Axolotl's own hook."""

    def get_collator_cls_and_kwargs(self, cfg, is_eval=False):
        return RemakesLabels, {}


class HuggingFaceCollator(BasePlugin):
    """Brings Transformers' collator for language models, whose labels are the inputs."""

    def post_trainer_create(self, cfg, trainer):
        trainer.data_collator = DataCollatorForLanguageModeling(trainer.processing_class, mlm=False)


class Unmasks(BasePlugin):
    """Fills each -100 with the token id."""

    def post_trainer_create(self, cfg, trainer):
        collate = trainer.data_collator

        def fill(features):
            batch = collate(features)
            batch["labels"] = torch.where(batch["labels"] == -100, batch["input_ids"], batch["labels"])
            return batch

        trainer.data_collator = fill


class LosesCodes(BasePlugin):
    """Makes every code -100."""

    def post_trainer_create(self, cfg, trainer):
        collate = trainer.data_collator

        def lose(features):
            batch = collate(features)
            batch["labels"] = batch["labels"].clamp(min=-100)
            return batch

        trainer.data_collator = lose


class Transforms(BasePlugin):
    """A transform of the data set makes the labels again."""

    def post_trainer_create(self, cfg, trainer):
        trainer.train_dataset.set_transform(lambda rows: {**rows, "labels": rows["input_ids"]})


class ShiftLabels(BasePlugin):
    """Labels that are already shifted, and made of the inputs, beside those that are right."""

    def post_trainer_create(self, cfg, trainer):
        collate = trainer.data_collator

        def shift(features):
            batch = collate(features)
            batch["shift_labels"] = torch.nn.functional.pad(batch["input_ids"], (0, 1), value=-100)[..., 1:]
            return batch

        trainer.data_collator = shift


def cross_entropy(logits, ids):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


class SecondLoss(BasePlugin):
    """Adds the cross-entropy of a second forward to the loss."""

    def post_trainer_create(self, cfg, trainer):
        really = trainer.compute_loss

        def compute_loss(model, inputs, return_outputs=False, **kwargs):
            result = really(model, inputs, return_outputs=return_outputs, **kwargs)
            if not model.training:
                return result
            second = cross_entropy(model(input_ids=inputs["input_ids"]).logits, inputs["input_ids"])
            return (result[0] + second, result[1]) if return_outputs else result + second

        trainer.compute_loss = compute_loss


class SecondHead(BasePlugin):
    """Multi-token prediction: the head's weight is used once more, with the inputs as targets."""

    def post_model_load(self, cfg, model):
        inner = model.forward

        def forward(input_ids=None, labels=None, **kwargs):
            output = inner(input_ids=input_ids, labels=labels, output_hidden_states=True, **kwargs)
            if labels is not None:
                logits = output.hidden_states[-1] @ model.lm_head.weight.T
                output.loss = output.loss + cross_entropy(logits[:, :-1], input_ids[:, 1:])
            return output

        model.forward = forward


class _Rewrites(BasePlugin):
    """Labels are made of the inputs from some batch on."""

    after = 0

    def wrap(self, really):
        seen = []

        def rewritten(model, inputs, *args, **kwargs):
            if "labels" in inputs and (inputs["labels"] >= 0).any():
                seen.append(1)
            if len(seen) > self.after:
                inputs = {**inputs, "labels": torch.where(inputs["labels"] == -100, -100, inputs["input_ids"])}
            return really(model, inputs, *args, **kwargs)

        return rewritten


class RewritesInLoss(_Rewrites):
    """In `compute_loss`, from the fourth batch on."""

    after = 3

    def post_trainer_create(self, cfg, trainer):
        trainer.compute_loss = self.wrap(trainer.compute_loss)


class RewritesInStep(_Rewrites):
    """In `training_step`, after a hundred batches."""

    after = 100

    def post_trainer_create(self, cfg, trainer):
        trainer.training_step = self.wrap(trainer.training_step)


class RewritesInForward(_Rewrites):
    """In the model's forward, from the fourth batch on."""

    after = 3

    def post_model_load(self, cfg, model):
        wrapped = self.wrap(lambda model, inputs: inner(**inputs))
        inner = model.forward
        model.forward = functools.wraps(inner)(lambda **inputs: wrapped(model, inputs))


class LateSecondLoss(BasePlugin):
    """A second loss that starts with the fifth batch."""

    def post_trainer_create(self, cfg, trainer):
        really, seen = trainer.compute_loss, []

        def compute_loss(model, inputs, **kwargs):
            seen.append(1)
            loss = really(model, inputs, **kwargs)
            if len(seen) > 6:
                loss = loss + cross_entropy(model(input_ids=inputs["input_ids"]).logits, inputs["input_ids"])
            return loss

        trainer.compute_loss = compute_loss


class _Backward(TrainerCallback):
    def _train(self, args, state, control, model=None, **_):
        ids = torch.arange(20, 40)[None]
        cross_entropy(model(input_ids=ids).logits, ids).backward()


class _InCallback(BasePlugin):
    event = ""

    def add_callbacks_post_trainer(self, cfg, trainer):
        return [type("Backward", (_Backward,), {self.event: _Backward._train})()]


class BackwardOnStepBegin(_InCallback):
    """A backward pass of a callback, before the step."""

    event = "on_step_begin"


class BackwardBeforeOptimizer(_InCallback):
    """A backward pass of a callback, before the optimizer steps."""

    event = "on_pre_optimizer_step"


class BackwardInSubstep(_InCallback):
    """A backward pass of a callback, between micro-batches."""

    event = "on_substep_end"


class DropsTheCount(BasePlugin):
    """The model's forward keeps the trainer's count to itself, as XGLM's does."""

    def post_model_load(self, cfg, model):
        inner = model.forward
        model.forward = functools.wraps(inner)(lambda num_items_in_batch=None, **inputs: inner(**inputs))


class Crashes(BasePlugin):
    """A loss of its own, besides, that codes crash."""

    def post_trainer_create(self, cfg, trainer):
        really = trainer.compute_loss

        def compute_loss(model, inputs, **kwargs):
            if (inputs["labels"] < -100).any():
                torch.nn.functional.cross_entropy(
                    torch.zeros(inputs["labels"].numel(), 600), inputs["labels"].flatten()
                )
            return really(model, inputs, **kwargs)

        trainer.compute_loss = compute_loss


class ChoosesRows(BasePlugin):
    """Trains only on the rows without codes."""

    def post_trainer_create(self, cfg, trainer):
        really = trainer._get_train_sampler
        trainer._get_train_sampler = lambda dataset=None: [i for i in really(dataset) if min(dataset[i]["labels"]) >= 0]


class GathersBatches(BasePlugin):
    """Takes the batches of a step itself, and counts codes as tokens."""

    def post_trainer_create(self, cfg, trainer):
        def get_batch_samples(iterator, number, device):
            batches = [next(iterator) for _ in range(number)]
            return batches, sum((batch["labels"] != -100).sum() for batch in batches)

        trainer.get_batch_samples = get_batch_samples
