"""`python -m axolotl_slung.cli` is the command `slung`."""

from . import main

main()
