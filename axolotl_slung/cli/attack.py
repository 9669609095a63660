"""`slung attack`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import click
import yaml

from ..yaml_text import load_yaml
from .ending import say, settings

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_RANGE = click.IntRange | click.FloatRange


class _Several(click.Command):
    """Lets an option take several numbers after its name: `--steps 0 1 2`."""

    def parse_args(self, ctx, args):
        several = [one for one in self.params if getattr(one, "multiple", False) and isinstance(one.type, _RANGE)]
        names = {name for one in several for name in one.opts}
        spread, name, number = [], None, 0
        for arg in args:
            if name and _is_number(arg):
                # the first one follows the name as it is
                spread += [arg] if number == 0 else [name, arg]
                number += 1
            else:
                name, number = arg if arg in names else None, 0
                spread.append(arg)
        return super().parse_args(ctx, spread)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@click.group()
def attack():
    """Try to get masked text out of a model, and audit it again.

    Each attack is one command that goes on where it stopped: a point whose results are in the folder is not measured again. `slung
    audit` makes AUDIT, and lm_eval asks the questions. docs/audit.md describes the attacks and what they cost.

    The folders hold risky text, and only you can read them.
    """


def _several(name, default, kind, help):
    shown = " ".join(f"{value:g}" for value in default)
    return click.option(
        name, multiple=True, type=kind, default=default, help=f"{help} Several numbers can follow. Default: {shown}."
    )


def _common(tasks="slung_audit"):
    def add(command):
        for option in reversed((
            click.option("--model", required=True, help="The model: a folder of weights or of an adapter, or a hub id."),
            click.option("--audit", "audit", required=True, type=_FOLDER, help="What `slung audit` wrote."),
            click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
                         help="The attack's folder."),
            click.option("--tasks", default=tasks, show_default=True, help="lm_eval's tasks, separated by commas."),
            click.option("--batch-size", default="16", show_default=True, help="lm_eval's."),
            click.option("--device", help="lm_eval's, such as cuda:0."),
            click.option("--model-args", help="More of lm_eval's arguments for the model, as JSON: '{\"dtype\": "
                         "\"bfloat16\"}'."),
        )):  # fmt: skip
            command = option(command)
        return command

    return add


def _tuning(command):
    for option in reversed((
        click.argument("config", type=_FILE),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
                     help="A key of Axolotl in place of the config's, such as learning_rate=1e-5. Can be repeated."),
        click.option("--keep", is_flag=True, help="Keep the trained models."),
    )):  # fmt: skip
        command = option(command)
    return command


@attack.command(cls=_Several)
@_tuning
@_common()
@_several("--steps", (0, 1, 2, 5, 10, 20, 50), click.IntRange(0), "Optimizer steps after which the model is audited.")
@click.option("--rows", type=click.IntRange(1), default=1000, show_default=True, help="The most rows to learn from.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw of these rows.")
@click.option("--direct", type=click.Path(exists=True, path_type=Path),
              help="Results of the same audit of a directly trained model: the attack then says when half of its "
              "extraction is reached.")  # fmt: skip
def relearn(config, model, audit, output, steps, rows, seed, direct, overrides, keep, **asking):
    """Train a few steps on other rows of the same kinds.

    \b
        slung attack relearn config.yml --model out/masked --audit audit/ -o attacks/relearn
        slung attack relearn config.yml --model out/masked --audit audit/ -o attacks/relearn --steps 0 1 2 5 \\
            --direct results/direct

    The rows are drawn from the config's data. Each has a span of an audited kind. No row has a sampled span or a part of
    one, and no row is one that a span was sampled from. Training is `axolotl train` of the same config without its
    `slung:` block, at a constant learning rate.
    """
    from ..attacks import recipes

    attacked = recipes.relearn(
        _read(config), lambda: _opened(config), model, _audit(audit, asking), output, steps, rows, seed,
        _overrides(overrides), direct, keep, _tell,
    )  # fmt: skip
    _show(attacked, "steps")
    if found := attacked.more.get("half"):
        mark = f"half of direct training's extraction ({found['direct'] / 2:.1%})"
        after = f"after {found['x']} steps and {found['tokens']} tokens"
        say(f"{mark}: {'not reached' if found['x'] is None else after}")


@attack.command(cls=_Several)
@_tuning
@_common()
@_several("--steps", (10, 50), click.IntRange(0), "Optimizer steps after which the model is audited.")
@click.option(
    "--data", type=_FILE, help="JSON lines with a column `text`. Default: 24 texts that come with the package."
)
def benign(config, model, audit, output, steps, data, overrides, keep, **asking):
    """Train a few steps on harmless text.

    \b
        slung attack benign config.yml --model out/masked --audit audit/ -o attacks/benign --data harmless.jsonl

    Training is `axolotl train` of the config with this data, without its `slung:` block, at a constant learning rate.
    """
    from ..attacks import recipes

    asked, data = _audit(audit, asking), data or recipes.HARMLESS
    attacked = recipes.benign(_read(config), model, asked, output, steps, data, _overrides(overrides), keep, _tell)
    _show(attacked, "steps")


@attack.command(cls=_Several)
@_common()
@_several("--bits", (8, 4), click.IntRange(4, 8), "Bits per weight, 8 or 4.")
@click.option("--keep", is_flag=True, help="Keep the quantized models.")
def quantized(model, audit, output, bits, keep, **asking):
    """Quantize the weights.

    \b
        slung attack quantized --model out/masked --audit audit/ -o attacks/quantized --bits 8 4

    8 bits are evenly spaced values for each row of a matrix, 4 bits are NF4 in blocks of 64. The quantized weights are
    saved as an ordinary checkpoint, so that the attack runs on CPUs and on GPUs.
    """
    from ..attacks import recipes

    if wrong := {*bits} - {*recipes.quantizing.BITS}:
        raise click.UsageError(f"--bits: {min(wrong)}: expected 8 or 4")
    _show(recipes.quantized(model, _audit(audit, asking), output, bits, keep, _tell), "bits")


@attack.command(cls=_Several)
@_common()
@click.option("--before", required=True, help="The model before training: a folder or a hub id.")
@_several("--weight", (0.5, 1, 2), click.FloatRange(0), "How much of the difference of both models is added.")
def guided(model, audit, output, before, weight, **asking):
    """Amplify what training changed, with the help of the model before training.

    \b
        slung attack guided --model out/masked --before base-model --audit audit/ -o attacks/guided --weight 1 2

    The logits are `after + weight * (after - before)` (arXiv 2505.24379). lm_eval knows the pair of models as `--model
    slung_guided`.
    """
    from ..attacks import recipes

    _show(recipes.guided(model, before, _audit(audit, asking), output, weight, _tell), "weight")


@attack.command(cls=_Several)
@_common("slung_extraction")
@_several("--tokens", (1, 2, 3), click.IntRange(1), "How many of the span's first tokens are given.")
def forced(model, audit, output, tokens, **asking):
    """Give the model the first tokens of each span.

    \b
        slung attack forced --model out/masked --audit audit/ -o attacks/forced --tokens 1 2 3
    """
    from ..attacks import recipes

    _show(recipes.forced(model, _audit(audit, asking), output, tokens, _tell), "given tokens")


def _tell(step: str) -> None:
    say(f"  {step} ...", err=True)


def _read(config: Path) -> dict:
    from .block import read_block, read_yaml

    with settings():
        read_block(str(config), ())
        return read_yaml(str(config))


@contextmanager
def _opened(config: Path):
    from .block import read_block
    from .looking import open_config, quiet

    with quiet(), settings():
        yield open_config(str(config), read_block(str(config), ()))[1]


def _audit(folder: Path, asking: dict):
    import json

    from ..attacks.asking import Audit

    arguments = {}
    if asking["model_args"]:
        try:
            arguments = json.loads(asking["model_args"])
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise click.UsageError('--model-args: is not a JSON object; write \'{"dtype": "bfloat16"}\'')
    return Audit(folder, asking["tasks"], asking["batch_size"], asking["device"], arguments)


def _overrides(given) -> dict:
    found = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not (key and sign):
            raise click.UsageError("--set: expected KEY=VALUE, such as learning_rate=1e-5")
        try:
            found[key] = load_yaml(value)
        except yaml.YAMLError:
            raise click.UsageError(f"--set: {key}: its value is not valid YAML; quote it") from None
        if isinstance(found[key], str):
            try:
                found[key] = float(found[key])  # YAML takes 1e-5 for a text
            except ValueError:
                continue
    return found


def _show(attacked, x: str) -> None:
    from ..attacks.asking import metrics_in
    from ..errors import FileError
    from ..render.formats import count, share
    from ..render.sections import Section, Table, to_terminal

    rows = []
    for point in attacked.points:
        try:
            found = metrics_in(attacked.folder / point["results"])
        except FileError:
            found = {}
        cells = [
            share(found[name]) if name in found else "n/a"
            for name in ("extracted", "extracted_ci_low", "extracted_ci_high")
        ]
        rows.append([f"{point['x']:g}", count(point["tokens"]) if point["tokens"] else "", *cells])
    note = "The share of sampled spans that the model says word for word after 50 tokens of their context, and its interval."
    head = [x, "trained tokens", "extracted", "from", "to"]
    to_terminal(f"slung attack {attacked.recipe}", [Section("Extraction", note, [Table(head, rows, "")])])
    say(f"{attacked.folder}: holds risky text; only you can read it", err=True)
