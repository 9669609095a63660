"""`slung mix`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("config")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to write to.")
@click.option("--verify", is_flag=True, help="Compare the folder with its manifest, and with the same mix built again.")
@click.option("-j", "--workers", type=click.IntRange(1), help="Number of processes. Default: one per core.")
def mix(config, output, verify, workers):
    """Build training streams of base documents and risky documents.

    \b
        slung mix mix.yml -o mix/
        slung mix mix.yml -o mix/ --verify

    CONFIG is a YAML file; docs/mixing.md describes its keys. Risky documents with stored scores are chosen by criteria.
    They replace base documents drawn at random, until they have as many tokens as the budget. There is one stream
    for each seed and budget, and the documents of a smaller budget are in every larger one.

    OUTPUT/seed-0/20M/part-00000.jsonl.zst and so on are the streams, in the order of training. OUTPUT/heldout has the
    partitions that share no text with them. OUTPUT/manifest.json says what they are made of. It is written last: a
    folder without it is not complete.

    You can stop or kill the run at any time. The same command resumes it, and the files are the same, whatever the
    number of processes. Lines that are not documents are left out, counted, and listed in OUTPUT/.slung/bad_lines.txt.
    """
    from ..mixing.make import make
    from ..mixing.make import verify as verify_mix
    from ..mixing.manifest import read_manifest
    from .ending import say, settings

    with settings():
        if verify:
            read_manifest(output)
        read = read_config(config, output)
    with _Bar() as bar:
        if verify:
            lines = verify_mix(*read, output, workers, bar.report)
        else:
            new = make(*read, output, workers, bar.report)
    if verify:
        if lines:
            for line in lines[:20]:
                say(f"  {line}", err=True)
            more = f" The first 20 of {len(lines)} are above." if len(lines) > 20 else ""
            raise click.ClickException(f"{output}: does not match; build it again into another folder.{more}")
        say(f"{output} is what its manifest says, and the same mix built again is equal to it")
        return
    manifest = read_manifest(output)
    say(f"{output}: {len(manifest['streams'])} streams" if new else f"nothing to do: {output} is complete")
    _tell(manifest, output)


def read_config(config: str, output: Path):
    """The mix of a YAML file, checked as far as it can be before anything long starts.

    Returns:
        The mix, its inputs, and its tokenizer.

    Raises:
        MixError: the mix is not valid, or cannot be built.
    """
    from ..mixing.config import read_mix
    from ..mixing.inputs import find_inputs
    from ..mixing.make import check_mix
    from .block import read_yaml

    mix = read_mix(read_yaml(config), config)
    inputs = find_inputs(mix, output)
    tokenizer = _tokenizer(mix.tokenizer)
    check_mix(mix, inputs, tokenizer)
    return mix, inputs, tokenizer


def _tell(manifest, output) -> None:
    from .ending import say

    chosen = manifest["criteria"]
    say(f"  {chosen['chosen']:,} of {chosen['documents']:,} risky documents meet the criteria")
    for one in manifest["streams"]:
        tokens, buckets = one["tokens"], ", ".join(f"{name} {count:,}" for name, count in one["risky_tokens"].items())
        say(f"  {one['path']}: {tokens['total']:,} tokens, of them {tokens['risky']:,} of risky documents ({buckets})")
    for one in manifest["heldout"].values():
        if one["files"]:
            say(f"  heldout/{one['files'][0]['name']}: {one['tokens']:,} tokens")
    files = [file for role in ("base", "risky") for entry in manifest["sources"][role] for file in entry["files"]]
    if bad := sum(file["bad_lines"] for file in files):
        say(f"{bad:,} lines are not documents and were left out; {output}/.slung/bad_lines.txt lists them", err=True)
    if also := sum(file["also_risky"] for file in files):
        say(f"{also:,} base documents have the text of a risky document and were left out", err=True)


def _tokenizer(name: str):
    from ..mixing.config import MixError
    from .block import read_tokenizer

    try:
        tokenizer = read_tokenizer(name)
    except click.UsageError as error:
        raise MixError(error.message.replace("--tokenizer", "tokenizer")) from None
    if not tokenizer.is_fast:
        raise MixError(f"tokenizer: {name}: is not a fast tokenizer; convert it with `tokenizers`, or name another")
    return tokenizer


class _Bar:
    """A progress bar for each step."""

    def __init__(self):
        self._bar, self._stage = None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def report(self, stage: str, unit: str, done: int, total: int | None) -> None:
        """Show how far a step is."""
        from tqdm import tqdm

        if stage != self._stage:
            self.__exit__()
            every = 0.1 if sys.stderr.isatty() else 30  # a log file needs fewer lines than a terminal
            self._bar = tqdm(
                total=total,
                desc=stage,
                unit=f" {unit}" if len(unit) > 1 else unit,
                unit_scale=True,
                mininterval=every,
                initial=done,
            )
            self._stage = stage
        elif self._bar is not None:
            self._bar.update(done - self._bar.n)
