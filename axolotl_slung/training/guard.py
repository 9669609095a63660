"""Notices a `slung:` block in a config whose run does not load the plugin.

Axolotl drops top-level keys that it does not know, so that such a run would train on everything. On Axolotl 0.21 the
plugin loads by itself; before, only `plugins:` does it, and nothing else of this package takes part. This file is a
plugin of pydantic's (entry point `pydantic`), which lets it look at the configs of two classes of Axolotl as they are
validated, and at nothing else. `PYDANTIC_DISABLE_PLUGINS=axolotl_slung.training.guard` turns it off.

Every process that uses pydantic imports it: keep it small.
"""

_AXOLOTL_CONFIGS = {"AxolotlInputConfig", "AxolotlConfigWCapabilities"}


class _Guard:
    def on_enter(self, input, *, self_instance=None, **_):
        block = input.get("slung") if isinstance(input, dict) else None
        if block is not None and self_instance is not None and "slung" not in type(self_instance).model_fields:
            raise ValueError(
                "`slung:` stands in the config and its plugin does not run; add\n"
                "plugins:\n  - axolotl_slung.SlungPlugin"
            )


class _Plugin:
    def new_schema_validator(self, schema, schema_type, schema_type_path, schema_kind, config, plugin_settings):
        """Pydantic asks for `(on_validate_python, on_validate_json, on_validate_strings)` handlers."""
        watched = schema_kind == "BaseModel" and schema_type_path.name in _AXOLOTL_CONFIGS
        return (_Guard() if watched else None), None, None


plugin = _Plugin()
