"""Everything that knows Axolotl: the plugin, the data sets, the trainer, and the proof that labels reach the loss."""
