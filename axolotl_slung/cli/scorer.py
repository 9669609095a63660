"""`slung scorer`."""

from __future__ import annotations

from pathlib import Path

import click

from .showing import report_options, show
from .writing import replaceable

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW = click.Path(dir_okay=False, path_type=Path)
_DATA = click.option(
    "--data",
    required=True,
    type=_FILE,
    help="RealToxicityPrompts as JSON lines: prompts and continuations with Perspective's scores.",
)
_SPEC = click.argument("spec")
_SERVICE = (
    click.option("--url", help="URL of the scorer's service."),
    click.option("-n", "--rows", type=click.IntRange(1), help="So many rows, drawn at random (seed 0). Default: all."),
)


def _of_scorers(command):
    for option in (_SERVICE[1], _SERVICE[0], _DATA, _SPEC):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def scorer():
    """Compare scorers of toxicity with frozen scores, calibrate them, and fit new ones.

    \b
        slung scorer check profanity --data rtp.jsonl
        slung scorer calibrate detoxify --data rtp.jsonl -o detoxify.json
        slung scorer fit --data rtp.jsonl -o mine.npz

    Perspective ends on 2026-12-31. RealToxicityPrompts has its scores of prompts and continuations, which stay.
    """


@scorer.command()
@_of_scorers
@report_options(words=False)
def check(spec, data, url, rows, html, figures):
    """Compare a scorer with frozen scores.

    \b
        slung scorer check fitted --data rtp.jsonl
        slung scorer check classifier:s-nlp/roberta_toxicity_classifier --data rtp.jsonl --json roberta.json

    SPEC is a scorer as in SLUNG_SCORER. The SLUNG_... variables apply, such as SLUNG_CONCURRENCY.

    The figures are AUROC, average precision, bias (the mean difference), mean absolute error, and recall and precision
    at 0.5. They have 95 % intervals and what chance gives. Prompts and continuations, toxic and harmless prompts are also
    listed apart. Texts without a frozen score are left out and counted.
    """
    from ..evals.scorer_check import check as compared
    from .scorer_view import sections

    opened, frozen = _opened(spec, url, data, rows)
    report = compared(opened, frozen)
    show(report, sections(report), "slung scorer check", html, figures)


@scorer.command()
@_of_scorers
@click.option("-o", "--output", required=True, type=_NEW, help="The map's file, JSON.")
def calibrate(spec, data, url, rows, output):
    """Fit a map from a scorer's scores to the frozen scale. It never falls, so it keeps the order of scores.

    \b
        slung scorer calibrate detoxify --data rtp.jsonl -o detoxify.json
        SLUNG_SCORER=detoxify+detoxify.json lm_eval ... --tasks slung_toxicity

    The map belongs to this version of this scorer, and is refused for any other. Results name the map's digest. The
    figures after the map are of prompts that it was not made from (five folds).
    """
    from ..evals.calibration import calibrate as fitted
    from ..evals.calibration import read_map, write_map
    from ..evals.scorer_check import described, score, seen
    from ..render.sections import to_terminal
    from .ending import say
    from .scorer_view import before_and_after

    done = replaceable(output, read_map)
    opened, frozen = _opened(spec, url, data, rows)
    scored = score(opened, frozen)
    about = {**frozen.about, "unscored": scored.unscored, "seen": seen(opened, frozen)}
    found = fitted(scored.scores, scored.frozen, scored.prompts, described(opened), about)
    to_terminal("slung scorer calibrate", before_and_after(described(opened), about, found))
    write_map(output, found)
    say(f"{output}: {done}; use it as SLUNG_SCORER={spec}+{output}", err=True)


@scorer.command()
@_DATA
@click.option("--also", multiple=True, type=_FILE, help="More texts: JSON lines with text, toxicity (0 to 1) and optionally "
              "weight. Can be repeated.")  # fmt: skip
@click.option(
    "--model", help="Fit to the hidden states of this Hugging Face model (folder or hub id). Default: to n-grams."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which prompts are held out.")
@click.option("-o", "--output", required=True, type=_NEW, help="The scorer's file, .npz.")
def fit(data, also, model, seed, output):
    """Fit a scorer to frozen scores.

    \b
        slung scorer fit --data rtp.jsonl -o mine.npz
        slung scorer fit --data rtp.jsonl --model HuggingFaceTB/SmolLM2-135M -o states.npz
        SLUNG_SCORER=fitted:mine.npz lm_eval ... --tasks slung_toxicity

    It is a logistic regression on hashed n-grams of words and characters, or on hidden states. The penalty, layer and
    pooling are chosen on a fifth of the prompts. Then all texts are fitted.

    The file has numbers and a card in JSON: data, digests, settings, seed and versions. The same input gives the same file.
    """
    from ..evals.fitted import file
    from ..evals.fitted.fit import fit_ngrams, fit_states
    from ..render.sections import to_terminal
    from .ending import say, settings
    from .scorer_view import of_card

    done = replaceable(output, file.read)
    with settings():
        fitted = fit_states(model, data, also, seed) if model else fit_ngrams(data, also, seed)
    file.write(output, fitted)
    to_terminal("slung scorer fit", of_card(fitted.card))
    say(f"{output}: {done}, {output.stat().st_size / 1e6:.2f} MB; use it as SLUNG_SCORER=fitted:{output}", err=True)


def _opened(spec: str, url: str | None, data: Path, rows: int | None):
    """The scorer, and the frozen texts."""
    from ..errors import SlungError
    from ..evals.frozen import read_frozen
    from ..evals.services.opened import scorers_of
    from ..evals.services.options import read_options
    from .ending import settings

    with settings():
        frozen = read_frozen("--data", data, rows)
        options = read_options({"slung_scorer": spec, **({} if url is None else {"slung_scorer_url": url})})
        if len(options.scorer) != 1:
            raise SlungError(f"SPEC: {spec}: {len(options.scorer)} scorers; give one")
        (opened,) = scorers_of(options).values()
        return opened, frozen
