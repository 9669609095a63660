"""A plugin of Axolotl that lets a run compute in float64."""

from axolotl.integrations.base import BasePlugin


class Float64Plugin(BasePlugin):
    """Turns the model's weights into float64."""

    def post_model_load(self, cfg, model):
        model.double()
