"""Fixtures that several test files share."""

import os
import signal
import sys
import tempfile

import absl.logging
import pytest
from helpers.browser import chromium, open_page  # noqa: F401 - fixtures
from helpers.rendered import prepare  # noqa: F401 - a fixture
from hypothesis import settings

# nothing in the tests may reach a network or send telemetry
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", AXOLOTL_DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="false")

# a shell's background jobs ignore Ctrl-C, and so would the processes that tests start and interrupt
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# absl (of rouge_score) logs to the sys.stderr of its import, which is pytest's, and closes it when Axolotl sets up logging
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

# one folder for all processes of a run, which is not the user's
os.environ.setdefault("AXOLOTL_SLUNG_CACHE", tempfile.mkdtemp(prefix="axolotl-slung-tests-"))
# the first example of a test may wait for a compilation
settings.register_profile("slung", deadline=None)
settings.load_profile("slung")

PLUGIN = "axolotl_slung.SlungPlugin"


@pytest.fixture
def slung(tmp_path):
    """Makes the two keys of a config: the plugin, and a block with names (or with other labelers)."""

    def keys(names=("Maria Hernandez",), labelers=None, **block):
        if labelers is None:
            path = tmp_path / "names.txt"
            path.write_text("\n".join(names), encoding="utf-8")
            labelers = [{"type": "entities", "path": str(path)}]
        return {"plugins": [PLUGIN], "slung": {"labelers": labelers, **block}}

    return keys
