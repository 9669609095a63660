"""Lets lm_eval find the tasks of axolotl-slung by name, and `axolotl train` check a `slung:` block before it launches.

lm_eval searches its own folder and the folders that it is given; no release reads entry points. So Python imports this
module when it starts. Two files beside it cause that: `axolotl_slung_lm_eval.pth` up to Python 3.14, and
`axolotl_slung_lm_eval.start` (PEP 829) from Python 3.15.

On import this module adds a finder to `sys.meta_path`. The finder acts on three modules. When `lm_eval.tasks` is imported,
two methods of its class `TaskManager` are wrapped:

- The constructor gets one more folder to search, `axolotl_slung/lm_eval_tasks`. It comes after lm_eval's own folder and
  before the user's.
- lm_eval 0.4.11 does not pass `--metadata` to tasks that are classes. While a TaskManager loads a task,
  `metadata_of_manager()` returns that TaskManager's metadata.

When `lm_eval.models` is imported, lm_eval's list of models gets one more name, `slung_guided`
(`axolotl_slung/evals/guided.py`). The file is imported only if that model is asked for.

When `axolotl.cli.utils.train` is imported, its function `launch_training` is wrapped: an error of the block ends the
command at once, as its last line (`axolotl_slung/training/launch.py`).

It reads no other file, opens no connection and changes nothing else. SLUNG_LM_EVAL_HOOK=0 in the environment turns all of
it off. Then `--include_path "$(slung tasks-path)"` finds the tasks.
"""

import os
import sys

_loading = None  # a ContextVar: the metadata of the TaskManager that loads a task; set once lm_eval is imported


def metadata_of_manager():
    """The `--metadata` of the TaskManager that is loading a task, a dict; empty if none is loading."""
    return (_loading.get() if _loading is not None else None) or {}


def install():
    """Add the finder to `sys.meta_path`, once: Python 3.15 calls this twice in a virtual environment."""
    if _Finder not in sys.meta_path and not _turned_off():
        sys.meta_path.insert(0, _Finder)


def _turned_off():
    return os.environ.get("SLUNG_LM_EVAL_HOOK") == "0"


class _Finder:
    asking = False

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """For the three modules, the spec from the other finders, changed to wrap what is in them after the module runs."""
        wrap = _WRAPPED.get(name)
        if wrap is None or cls.asking or _turned_off():
            return None
        from importlib.util import find_spec

        cls.asking = True  # find_spec asks every finder, this one too
        try:
            spec = find_spec(name)
        finally:
            cls.asking = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            execute = spec.loader.exec_module

            def execute_and_wrap(module):
                execute(module)
                try:
                    wrap(module)
                except Exception as error:
                    hint = (
                        "; pass --include_path with what `slung tasks-path` prints" if name == "lm_eval.tasks" else ""
                    )
                    print(f"axolotl-slung: cannot prepare {name} of this version: {error}{hint}", file=sys.stderr)

            spec.loader.exec_module = execute_and_wrap
        return spec


def _wrap_launch(module):
    from functools import wraps
    from inspect import signature

    launch = module.launch_training
    parameters = signature(launch)

    @wraps(launch)
    def launch_checked(*args, **kwargs):
        from axolotl_slung.training.launch import before_launch

        call = parameters.bind(*args, **kwargs)
        call.apply_defaults()
        given = call.arguments
        given["launcher_args"] = before_launch(
            given["cfg_file"], given["launcher"], given["cloud"], given["kwargs"], given["launcher_args"] or []
        )
        return launch(*call.args, **call.kwargs)

    for name in ("cfg_file", "launcher", "cloud", "kwargs", "launcher_args"):
        parameters.parameters[name]  # a version without it is left as it is, and said
    module.launch_training = launch_checked


def _add_model(module):
    from lm_eval.api.registry import model_registry

    if "slung_guided" not in model_registry:
        model_registry.register("slung_guided", target="axolotl_slung.evals.guided:Guided")


def _wrap_tasks(module):
    global _loading
    manager = module.TaskManager
    from contextvars import ContextVar
    from functools import wraps
    from importlib.util import find_spec
    from inspect import signature

    construct, parameters = manager.__init__, signature(manager.__init__)
    (package,) = find_spec("axolotl_slung").submodule_search_locations
    folder = os.path.join(package, "lm_eval_tasks")

    @wraps(construct)
    def construct_with_tasks(*args, **kwargs):
        call = parameters.bind(*args, **kwargs)
        call.apply_defaults()
        if call.arguments.get("include_defaults"):
            given = call.arguments.get("include_path") or []
            given = [given] if isinstance(given, (str, os.PathLike)) else list(given)
            if not any(os.path.realpath(path) == os.path.realpath(folder) for path in given):
                call.arguments["include_path"] = [folder, *given]
        return construct(*call.args, **call.kwargs)

    manager.__init__ = construct_with_tasks

    # newer releases lack this method; they put the metadata into the config of each task
    if hasattr(manager, "_load_individual_task_or_group"):
        load = manager._load_individual_task_or_group
        _loading = ContextVar("axolotl_slung_metadata", default=None)

        @wraps(load)
        def load_with_metadata(self, *args, **kwargs):
            token = _loading.set(self.metadata)
            try:
                return load(self, *args, **kwargs)
            finally:
                _loading.reset(token)

        manager._load_individual_task_or_group = load_with_metadata


_WRAPPED = {
    "lm_eval.tasks": _wrap_tasks,
    "lm_eval.models": _add_model,
    "axolotl.cli.utils.train": _wrap_launch,
}


install()
