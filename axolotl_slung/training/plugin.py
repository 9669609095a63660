"""Axolotl's hooks, and nothing else.

From Axolotl 0.21 on, every run on the machine imports this file (entry point `axolotl.plugins`). The rest of the
package is therefore imported only for a config with a `slung:` block.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from axolotl.utils.dict import DictDefault

from .log import get_logger

LOG = get_logger(__name__)

NAME = "axolotl_slung.SlungPlugin"


class SlungPlugin(BasePlugin):
    """Selective loss. Does nothing at all for a config without a `slung:` block."""

    def register(self, cfg: dict) -> None:
        if cfg.get("slung") is None:
            if NAME in (cfg.get("plugins") or []):
                from ..errors import SlungError, end_without_traceback

                end_without_traceback()
                raise SlungError(
                    f"plugins: {NAME}: the config has no `slung:` block; add one, such as",
                    "slung:",
                    "  method: masked",
                    "  labelers:",
                    "    - {type: entities, path: names.txt}",
                    "or remove the plugin",
                )
            return
        from ..errors import end_without_traceback
        from .args import check_config
        from .data import hooks

        end_without_traceback()
        check_config(cfg)  # pydantic would print its errors among those of the whole config
        hooks.install()

    def get_input_args(self) -> str:
        return "axolotl_slung.SlungArgs"

    def load_datasets(self, cfg: DictDefault, preprocess: bool = False) -> None:
        if cfg.slung:
            from ..loss.reader import LabelReader
            from .conflicts import check_run
            from .data.setup import Setup

            setup = Setup(cfg)
            check_run(cfg, setup.config)
            setup.open_labelers()  # before anything expensive
            LabelReader(setup.buckets)  # tries custom objectives
            if (cfg.streaming or cfg.pretraining_dataset) and cfg.seed is None:
                # otherwise Axolotl shuffles the stream differently on every rank, and again when it resumes
                cfg.seed = 42
                LOG.info("slung: `seed` is not set; the stream is shuffled with seed 42 (the training default)")

    def pre_model_load(self, cfg: DictDefault) -> None:
        if cfg.slung:
            from .conflicts import check_run
            from .data.setup import Setup

            check_run(cfg, Setup(cfg).config)

    def post_model_load(self, cfg: DictDefault, model: Any) -> None:
        if not cfg.slung:
            return
        from ..loss.causal_lm import SelectiveCausalLMLoss
        from .data.setup import Setup
        from .loop.culprits import base_of

        setup = Setup(cfg)
        if setup.fused_loss:
            LOG.info("slung: %s computes the loss; its labels are only token ids and -100", setup.fused_loss)
            return
        config = setup.config
        loss = SelectiveCausalLMLoss(
            setup.buckets, config.normalize_by, config.weight_start, config.weight_warmup, config.train_objective
        )
        loss.attach(base_of(model), config.fused, model)
        LOG.info("slung: the loss is computed %s", loss.place)

    def get_trainer_cls(self, cfg: DictDefault) -> type | None:
        if not cfg.slung:
            return None
        from axolotl.core.trainers.base import AxolotlTrainer

        from .trainer import SlungTrainerMixin

        return type("SlungTrainer", (SlungTrainerMixin, AxolotlTrainer), {})

    def post_trainer_create(self, cfg: DictDefault, trainer: Any) -> None:
        if cfg.slung and not hasattr(trainer, "slung_loss"):
            from ..errors import SlungError

            raise SlungError(
                f"slung: {type(trainer).__name__} trains this model type and bypasses slung's loss; remove the "
                "`slung:` block, or use a causal language model"
            )

    def add_callbacks_post_trainer(self, cfg: DictDefault, trainer: Any) -> list:
        if not cfg.slung:
            return []
        from .manifest import ManifestCallback

        return [ManifestCallback(cfg, trainer.train_dataset)]

    def get_training_args(self, cfg: DictDefault) -> dict | None:
        return {"average_tokens_across_devices": True} if cfg.slung else None
