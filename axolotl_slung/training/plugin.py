"""Axolotl's hooks, and nothing else.

From Axolotl 0.21 on this file is imported in every run on the machine (entry point `axolotl.plugins`), so the rest of
the package is only imported for a config with a `slung:` block.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from axolotl.utils.dict import DictDefault
from axolotl.utils.logging import get_logger

LOG = get_logger(__name__)

NAME = "axolotl_slung.SlungPlugin"


class SlungPlugin(BasePlugin):
    """Selective loss. Does nothing at all for a config without a `slung:` block."""

    def register(self, cfg: dict) -> None:
        if cfg.get("slung") is None:
            if NAME in (cfg.get("plugins") or []):
                raise ValueError(
                    f"plugins: {NAME} is listed and there is no `slung:` block; add one, such as\n"
                    "slung:\n  method: masked\n  labelers:\n    - {type: entities, path: names.txt}\n"
                    "or take the plugin out"
                )
            return
        from .data import hooks

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
            setup.labelers  # noqa: B018 - open and check every file before anything expensive
            LabelReader(setup.buckets)  # tries objectives of the user's
            if (cfg.streaming or cfg.pretraining_dataset) and cfg.seed is None:
                # Axolotl would shuffle the stream in another order on every rank, and once more on resuming
                cfg.seed = 42
                LOG.info("slung: `seed` is not set; a stream is shuffled by 42, the seed of training")

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

        setup = Setup(cfg)
        if setup.fused_loss:
            LOG.info("slung: %s computes the loss; its labels are token ids and -100 alone", setup.fused_loss)
            return
        while hasattr(model, "get_base_model"):
            model = model.get_base_model()
        config = setup.config
        loss = SelectiveCausalLMLoss(setup.buckets, config.normalize_by, config.weight_start, config.weight_warmup)
        loss.attach(model, config.fused)
        LOG.info("slung: the loss is computed %s", loss.place)

    def get_trainer_cls(self, cfg: DictDefault) -> type | None:
        if not cfg.slung:
            return None
        from axolotl.core.trainers.base import AxolotlTrainer

        from .trainer import SlungTrainerMixin

        return type("SlungTrainer", (SlungTrainerMixin, AxolotlTrainer), {})

    def post_trainer_create(self, cfg: DictDefault, trainer: Any) -> None:
        if cfg.slung and not hasattr(trainer, "slung_loss"):
            raise ValueError(
                f"slung: {type(trainer).__name__} trains this model type, without slung's loss; take the `slung:` "
                "block out, or use a causal language model"
            )

    def get_training_args(self, cfg: DictDefault) -> dict | None:
        return {"average_tokens_across_devices": True} if cfg.slung else None
