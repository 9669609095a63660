"""Stops a run whose config has a `slung:` block but does not load the plugin.

Axolotl drops unknown top-level keys, so such a run would train on everything. Axolotl 0.21 loads the plugin by itself.
Earlier versions load it only from `plugins:`; otherwise no other part of this package runs. This file is a pydantic
plugin (entry point `pydantic`). It checks the configs of two Axolotl classes as they are validated, and nothing else.
`PYDANTIC_DISABLE_PLUGINS=axolotl_slung` turns it off.

Every process that uses pydantic imports this file: keep it small.
"""

_AXOLOTL_CONFIGS = {"AxolotlInputConfig", "AxolotlConfigWCapabilities"}


class _Guard:
    def on_enter(self, input, *, self_instance=None, **_):
        block = input.get("slung") if isinstance(input, dict) else None
        if block is not None and self_instance is not None and "slung" not in type(self_instance).model_fields:
            from ..errors import SlungError, end_without_traceback

            end_without_traceback()
            raise SlungError(
                "slung: the config has this block, but its plugin is not loaded; add",
                "plugins:",
                "  - axolotl_slung.SlungPlugin",
            )


class _Plugin:
    def new_schema_validator(self, schema, schema_type, schema_type_path, schema_kind, config, plugin_settings):
        """Pydantic asks for `(on_validate_python, on_validate_json, on_validate_strings)` handlers."""
        watched = schema_kind == "BaseModel" and schema_type_path.name in _AXOLOTL_CONFIGS
        return (_Guard() if watched else None), None, None


plugin = _Plugin()
