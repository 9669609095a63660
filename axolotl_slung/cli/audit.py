"""`slung audit`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from .warned import warned


@click.command()
@click.argument("config")
@click.option("-o", "--output", default="audit", show_default=True, type=click.Path(path_type=Path),
              help="The folder to write. An earlier audit in it is replaced.")  # fmt: skip
@click.option("--spans", type=click.IntRange(4), default=400, show_default=True, help="How many spans in all.")
@click.option("--decoys", type=click.IntRange(1), default=15, show_default=True, help="The most decoys of each span.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed draws other spans.")
@click.option(
    "--holdout",
    type=click.Path(),
    help="A file of rows that no model is trained on, read and labeled as the config's first data set is.",
)
@click.option(
    "--holdout-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Hold this share of the rows out. The configs that train have to say so as well: `slung.holdout_share`. "
    "Default: the config's.",
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="A trained model's folder. Its manifest has to name the same data."
)
def audit(config, output, spans, decoys, seed, holdout, holdout_share, model):
    """Draw spans of a config's data, to ask a trained model about them.

    \b
        slung audit config.yml -o audit/
        slung audit config.yml -o audit/ --holdout-share 0.1
        slung audit config.yml -o audit/ --holdout others.jsonl --model model-out/

    CONFIG is an Axolotl config with a `slung:` block. Its labels say what is risky.

    \b
    The folder gets:
      spans.jsonl     risky spans with the text around them and decoys, held-out spans, and low-risk stretches
      entities.jsonl  occurrences of the texts that the data names most often
      audit.json      what was drawn from which data, without texts

    The spans are drawn evenly over labelers, buckets, kinds and how often a text occurs. A quarter of them are low-risk
    stretches, and a quarter are held out if there are held-out rows.

    The folder holds risky text, and only you can read it. Do not publish it. The lm_eval tasks that read it write ids and
    numbers only.
    """
    from ..audit import draw
    from ..audit.folder import check
    from .block import read_block, read_yaml
    from .ending import say, settings
    from .looking import quiet

    with settings():
        check(output)
        if holdout is not None and not Path(holdout).is_file():
            raise click.UsageError(f"--holdout: {holdout}: is not a file; give a data file")
        block = read_block(config, (), holdout_share=holdout_share)
        _check(config, block, read_yaml(config), holdout)
    with quiet(), settings():
        cfg, trained, heldout, about = _opened(config, block, holdout, model)
    with _Progress([*trained, *heldout]) as progress:
        drawn = draw(
            trained,
            heldout,
            output,
            about.pop("buckets"),
            spans=spans,
            decoys=decoys,
            seed=seed,
            about=about,
            progress=progress.row,
        )
    if model is not None:
        _check_labels(model, about["provenance"], output)
    if cfg.get("val_set_size"):
        warned().say(
            f"val_set_size: {cfg['val_set_size']:g}: rows that Axolotl sets apart for evaluation count as trained here; "
            "use `holdout_share` or `test_datasets` in its place"
        )
    if drawn.dropped:
        warned().say(f"{drawn.dropped} held-out spans are left out: their text occurs in the training data as well")
    say(f"{output}: holds risky text, and only you can read it; do not publish it")
    for name, kinds in drawn.counts.items():
        found, sampled = (
            sum(one[key] for kind in kinds.values() for one in kind.values()) for key in ("found", "sampled")
        )
        say(
            f"  {name.replace('_', ' ')}: {sampled:,} spans of {found:,} distinct ones, kinds: {', '.join(sorted(kinds))}"
        )


def _check(path: str, block, content: dict, holdout: str | None) -> None:
    from ..errors import SlungError
    from ..training.args import check_config

    check_config(content)
    for key in ("random_control", "label_noise"):
        if getattr(block, key):
            raise SlungError(f"slung.{key}: {path}: its labels are made wrong; draw from the config without it")
    if holdout is not None and block.holdout_share:
        raise SlungError("--holdout: rows are held out by `holdout_share` already; leave out one of them")


def _opened(path: str, block, holdout: str | None, model: Path | None):
    """The config, its trained and held-out rows, and what audit.json says of them."""
    from axolotl.loaders import load_tokenizer

    from ..errors import SlungError
    from ..manifest import command
    from ..training.data.fingerprint import tokenizer_digest
    from ..training.data.look import data_set_of, data_sets
    from ..training.data.setup import Setup
    from ..training.manifest import provenance
    from .looking import axolotl_errors, open_config

    cfg, trained = open_config(path, block)
    rows = [one.size for one in trained]
    argv = _given()
    made = provenance(cfg, argv, None if None in rows else sum(rows))
    if model is not None:
        _check_model(model, made)
    with axolotl_errors(path):
        tokenizer = load_tokenizer(cfg)
        heldout = data_sets(cfg, tokenizer, rows="heldout") if block.holdout_share else []
        if holdout is not None:
            heldout = [data_set_of(holdout, cfg, tokenizer)]
    if heldout and all(one.size == 0 for one in heldout):
        raise SlungError("--holdout, slung.holdout_share: no row is held out; give a larger share or another file")
    about = {
        "tokenizer": {
            "name": str(cfg.get("tokenizer_config") or cfg.get("base_model")),
            "digest": tokenizer_digest(tokenizer),
        },
        "prefixes": [25, 50, 100, "whole"],
        "config": _digest(path),
        "provenance": made,
        "command": command(argv),
        "buckets": Setup(cfg).buckets,
    }
    return cfg, trained, heldout, about


def _given() -> list[str]:
    """The command line of this command."""
    context = click.get_current_context()
    found = [f"slung {context.info_name}"]
    for option in context.command.params:
        if context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            name = [option.opts[-1]] if isinstance(option, click.Option) else []
            found += [*name, str(context.params[option.name])]
    return found


def _digest(path: str) -> str:
    from ..storage import sha256_of

    return sha256_of(Path(path))


def _check_model(folder: Path, made) -> None:
    from ..errors import SlungError
    from ..manifest import NAME, differences, read

    manifest = read(folder)
    if manifest is None:
        raise SlungError(
            f"--model: {folder}: has no {NAME}, so its training data is not known; give the folder that training wrote, or "
            "leave it out"
        )
    if lines := differences(manifest, made):
        raise SlungError(*(f"--model: {folder}: {line}; draw from the config that trained it" for line in lines))


def _check_labels(folder: Path, made, output: str) -> None:
    """Warn if spans that were drawn may have been trained as any text. Only those that were drawn say which labelers matter."""
    from ..evals.audit_file import only_heldout, read_spans
    from ..manifest import other_labelers, read

    manifest = read(folder)
    if manifest is not None and (others := other_labelers(manifest, made, only_heldout(read_spans(output)))):
        warned().say(
            f"--model: {folder}: was trained with other labels than those of {', '.join(others)}, so that some spans may have been "
            "trained as any text; draw from the config that trained it"
        )


class _Progress:
    """A progress bar over the rows, which are read twice."""

    def __init__(self, data):
        sizes = [one.size for one in data]
        self._total, self._bar = None if None in sizes else 2 * sum(sizes), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def row(self) -> None:
        """One more row was read."""
        if self._bar is None:
            from tqdm import tqdm

            # not before: labelers that are opened write to the terminal. A log file needs fewer lines than a terminal
            every = 0.1 if sys.stderr.isatty() else 30
            self._bar = tqdm(total=self._total, unit=" rows", desc="two passes", mininterval=every)
        self._bar.update()
