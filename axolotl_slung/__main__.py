"""`python -m axolotl_slung` is the command `slung`."""

from .cli import main

main(prog_name="slung")
