"""What tests share: tiny models, real runs of Axolotl, slow references, small servers."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
HELPERS = TESTS / "helpers"
