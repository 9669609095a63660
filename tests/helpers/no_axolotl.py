"""A plugin of pytest for `make unit`: Axolotl cannot be imported, as if it were not installed."""

import sys


class _Blocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "axolotl":
            raise ModuleNotFoundError(f"{name}: tests of `make unit` run without Axolotl", name=name)


sys.meta_path.insert(0, _Blocked)
