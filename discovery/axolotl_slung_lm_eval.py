"""Lets lm_eval find the tasks of axolotl-slung by name, without `--include_path`.

lm_eval looks for tasks in its own folder and in those it is given; no release reads entry points. So
`axolotl_slung_lm_eval.pth`, beside this file, is a line that Python runs when it starts: a finder that knows of one module,
`lm_eval.tasks`, and imports this file when that is imported. Then one folder is added to those that `lm_eval.tasks.TaskManager`
searches: after lm_eval's own tasks and before the user's. Nothing else is read or changed, and nothing at all where the
environment has SLUNG_LM_EVAL_HOOK=0. `slung tasks-path` prints the folder for `--include_path`.
"""

import os
import sys

metadata = None
"""`--metadata` of the newest TaskManager, which lm_eval 0.4.11 does not hand to tasks that are classes."""

_asking = False


def find_spec(name):
    """The module's own spec, made to wrap its TaskManager once it is executed; None for other finders to find it."""
    global _asking
    if _asking or os.environ.get("SLUNG_LM_EVAL_HOOK") == "0":
        return None
    from importlib.util import find_spec as find

    _asking = True  # all finders, the one that asks here too
    try:
        spec = find(name)
    finally:
        _asking = False
    if spec is not None and hasattr(spec.loader, "exec_module"):
        execute = spec.loader.exec_module

        def execute_and_wrap(module):
            execute(module)
            try:
                _wrap(module.TaskManager)
            except Exception as error:
                print(f"axolotl-slung: its tasks need --include_path with this lm_eval ({error})", file=sys.stderr)

        spec.loader.exec_module = execute_and_wrap
    return spec


def _wrap(manager):
    from functools import wraps
    from importlib.util import find_spec
    from inspect import signature

    construct, parameters = manager.__init__, signature(manager.__init__)
    (package,) = find_spec("axolotl_slung").submodule_search_locations
    folder = os.path.join(package, "lm_eval_tasks")

    @wraps(construct)
    def construct_with_tasks(*args, **kwargs):
        global metadata
        call = parameters.bind(*args, **kwargs)
        call.apply_defaults()
        metadata = call.arguments.get("metadata")
        if call.arguments.get("include_defaults"):
            given = call.arguments.get("include_path") or []
            given = [given] if isinstance(given, (str, os.PathLike)) else list(given)
            if not any(os.path.realpath(path) == os.path.realpath(folder) for path in given):
                call.arguments["include_path"] = [folder, *given]
        return construct(*call.args, **call.kwargs)

    manager.__init__ = construct_with_tasks
