"""Plugins that go past the selective loss, each in a way of its own; only tests load them."""

import torch
from axolotl.core.trainers.base import AxolotlTrainer
from axolotl.integrations.base import BasePlugin


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
    """Trains on the inputs after all: labels are made anew behind the collator."""

    def post_trainer_create(self, cfg, trainer):
        collate = trainer.data_collator

        def again(features):
            batch = collate(features)
            batch["labels"] = torch.where(batch["labels"] < -100, batch["labels"] - (1 << 28), batch["labels"])
            return batch

        trainer.data_collator = again


class OtherLoss(BasePlugin):
    """Puts another loss over the selective one."""

    def post_trainer_create(self, cfg, trainer):
        trainer.model.loss_function = lambda logits, labels, **_: logits.float().mean()
