"""The attacks. Each goes through its points, and leaves out those that its folder has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..errors import SlungError, os_errors
from ..evals.audit_file import ABOUT, SPANS, read_spans
from . import quantizing, tuning
from .asking import Audit, arguments_of, metrics_in
from .record import Attack, digest_of, identity_of, opened
from .rows import NAME as ROWS
from .rows import Sample, kept_rows

Tell = Callable[[str], None]
"""Gets the name of each step as it begins."""

HARMLESS = Path(__file__).parent.parent / "evals" / "embedded" / "perplexity.jsonl"
"""24 texts on everyday matters, for `benign`."""


def relearn(
    config: Mapping[str, Any],
    open_sets: Callable[[], AbstractContextManager],
    model: str,
    audit: Audit,
    folder: Path,
    steps: Sequence[int],
    rows: int = 1000,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    direct: Path | None = None,
    keep: bool = False,
    tell: Tell = print,
) -> Attack:
    """Train on other rows with spans of the same kinds, without slung, and audit after each number of steps.

    Args:
        config: the user's config, not validated.
        open_sets: opens its data sets (`training.data.look.DataSet`).
        model: the model to attack.
        audit: how it is asked.
        folder: of the attack.
        steps: numbers of optimizer steps; 0 is the model as it is.
        rows: the most rows to learn from.
        seed: of the draw of these rows.
        overrides: keys of Axolotl that replace the config's.
        direct: results of direct training, whose extraction gives the mark to reach: half of it.
        keep: whether the trained models stay.
        tell: gets the name of each step as it begins.

    Raises:
        SlungError: an argument, the audit or the folder cannot be used, or a step failed.
    """
    settings = _settings(model, audit) | {"config": _digest(config), "rows": rows, "seed": seed}
    overrides = dict(overrides or {})
    tuning.check_overrides(overrides)
    reached = metrics_in(direct)["extracted"] if direct else None
    spans = read_spans(audit.folder)
    attack = _opened(folder, "relearn", model, settings | {"set": overrides})
    drawn = folder / ROWS
    if drawn.exists():
        found = json.loads(drawn.read_text(encoding="utf-8"))
    elif any(steps):
        tell("choosing rows to learn from")
        with open_sets() as sets:
            found = kept_rows(sets, Sample(spans), folder, rows, seed)
    else:
        found = {"entries": []}
    attack.more |= {"rows": {key: found[key] for key in ("rows", "read") if key in found}}
    _tuned(attack, config, model, audit, steps, found["entries"], overrides, keep, tell)
    if reached is not None:
        attack.more["half"] = half(attack, reached)
        attack.save()
    return attack


def benign(
    config: Mapping[str, Any],
    model: str,
    audit: Audit,
    folder: Path,
    steps: Sequence[int],
    data: Path = HARMLESS,
    overrides: Mapping[str, Any] | None = None,
    keep: bool = False,
    tell: Tell = print,
) -> Attack:
    """Train on harmless text, without slung, and audit after each number of steps.

    Args:
        config, model, audit, folder, steps, overrides, keep, tell: see `relearn`.
        data: JSON lines with a column `text`.

    Raises:
        SlungError: as `relearn`; also if the data shows a sampled span.
    """
    overrides = dict(overrides or {})
    tuning.check_overrides(overrides)
    _check_harmless(data, Sample(read_spans(audit.folder)))
    settings = _settings(model, audit) | {"config": _digest(config), "data": digest_of([data]), "set": overrides}
    attack = _opened(folder, "benign", model, settings)
    entries = [{"path": str(data.resolve()), "ds_type": "json", "type": "completion"}]
    _tuned(attack, config, model, audit, steps, entries, overrides, keep, tell)
    return attack


def quantized(
    model: str, audit: Audit, folder: Path, bits: Sequence[int], keep: bool = False, tell: Tell = print
) -> Attack:
    """Quantize the weights (see `quantizing`), and audit. Of a model with an adapter, the base model is quantized.

    Args:
        model, audit, folder, keep, tell: see `relearn`.
        bits: numbers of bits, of `quantizing.BITS`.

    Raises:
        SlungError: as `relearn`.
    """
    attack = _opened(folder, "quantized", model, _settings(model, audit))
    given = arguments_of(model)
    for number, point in _left(attack, "bits", bits):
        made = point / "model"
        shutil.rmtree(made, ignore_errors=True)
        tell(f"quantizing to {number} bits")
        quantizing.quantize(given["pretrained"], made, number)
        tell(f"auditing at {number} bits")
        attack.add(number, 0, audit.ask(point, given | {"pretrained": str(made)}))
        _clear(made, keep)
    return attack


def guided(model: str, before: str, audit: Audit, folder: Path, weights: Sequence[float], tell: Tell = print) -> Attack:
    """Amplify what training changed (`evals.guided`), and audit.

    Args:
        model, audit, folder, tell: see `relearn`.
        before: the model before training.
        weights: how much of the difference is added.

    Raises:
        SlungError: as `relearn`.
    """
    attack = _opened(folder, "guided", model, _settings(model, audit) | {"before": identity_of(before)})
    for weight, point in _left(attack, "weight", weights):
        tell(f"auditing with the weight {weight:g}")
        arguments = arguments_of(model) | {"before": before, "weight": weight}
        attack.add(weight, 0, audit.ask(point, arguments, "slung_guided"))
    return attack


def forced(model: str, audit: Audit, folder: Path, tokens: Sequence[int], tell: Tell = print) -> Attack:
    """Give the model the first tokens of each span, and see whether it says the rest.

    Args:
        model, audit, folder, tell: see `relearn`.
        tokens: how many tokens are given.

    Raises:
        SlungError: as `relearn`.
    """
    attack = _opened(folder, "forced", model, _settings(model, audit))
    for number, point in _left(attack, "tokens", tokens):
        tell(f"auditing with {number} given tokens")
        attack.add(number, 0, audit.ask(point, arguments_of(model), variables={"SLUNG_AUDIT_FORCED": str(number)}))
    return attack


def half(attack: Attack, direct: float) -> dict[str, Any]:
    """The first point at which extraction is at least half of direct training's: its `x` and `tokens`, or None.

    Args:
        attack: `relearn`, measured.
        direct: the extraction of direct training.
    """
    for point in attack.points:
        if metrics_in(attack.folder / point["results"])["extracted"] >= direct / 2 > 0:
            return {"direct": direct, "x": point["x"], "tokens": point["tokens"]}
    return {"direct": direct, "x": None, "tokens": None}


def _tuned(attack: Attack, config, model, audit, steps, entries, overrides, keep, tell) -> None:
    for number, point in _left(attack, "steps", steps):
        made, tokens, arguments = point / "model", 0, arguments_of(model)
        if number:
            tell(f"training {number} steps")
            changed = tuning.derived(config, model, entries, number, made, attack.folder / "prepared", overrides)
            tokens = tuning.train(changed, point, audit.run)
            arguments = arguments_of(str(made))
        tell(f"auditing after {number} steps")
        attack.add(number, tokens, audit.ask(point, arguments))
        _clear(made, keep)
        if not keep:
            (point / tuning.TRAINED).unlink(missing_ok=True)


def _left(attack: Attack, name: str, values: Sequence[float]):
    """The values that have not been measured, with the folder of each."""
    for value in sorted(set(values)):
        if attack.point(value) is None:
            point = attack.folder / f"{name}-{value:g}"
            with os_errors(point):
                point.mkdir(mode=0o700, exist_ok=True)
            yield value, point


def _clear(made: Path, keep: bool) -> None:
    if not keep and made.exists():
        shutil.rmtree(made)


def _opened(folder: Path, recipe: str, model: str, settings: Mapping[str, Any]) -> Attack:
    attack = opened(folder, recipe, settings)
    attack.more["model"] = model
    return attack


def _settings(model: str, audit: Audit) -> dict[str, Any]:
    files = [audit.folder / name for name in (SPANS, ABOUT)]
    return {
        "model": identity_of(model),
        "audit": digest_of(files),
        "tasks": audit.tasks,
        "arguments": dict(audit.arguments or {}),
    }


def _digest(config: Mapping[str, Any]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _check_harmless(data: Path, sample: Sample) -> None:
    with os_errors(data):
        lines = data.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(filter(None, lines), 1):
        try:
            text = json.loads(line)["text"]
            shown = sample.shows_in(text)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise SlungError(f"--data: {data}: row {number}: has no text in a column `text`; give JSON lines") from None
        if shown:
            raise SlungError(
                f"--data: {data}: row {number}: a sampled span is in it, so it is not harmless; remove the row, or use relearn"
            )
