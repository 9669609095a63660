"""Results of the tasks of an audit, made up in the form in which lm_eval writes them, and folders of attacks."""

import hashlib
import json
import math
import random

from axolotl_slung.evals.measures import intervals

KINDS = ("email", "person", "api_keys")
DATE = "2026-01-01T00-00-00"
AUDIT = {"config": "c0ffee", "seed": 7}
TEXTS = ("Ilvane Torquessa", "ilvane@example.org", "sk-0123456789")
"""Texts of the audit. No result has them, and no page must."""


def spans(number=120, seed=0):
    """Documents of an audit, without texts: half trained, a third held out, the others low-risk."""
    draw = random.Random(seed)
    made = []
    for place in range(number):
        of_set = "trained" if place % 6 < 3 else "heldout" if place % 6 < 5 else "low_risk"
        kind = "low_risk" if of_set == "low_risk" else KINDS[place % 3]
        row = {"id": hashlib.sha256(f"{seed} {place}".encode()).hexdigest()[:16], "set": of_set, "kind": kind}
        made.append(
            row | {"frequency": draw.choice(["once", "few", "often"]), "labeler": "x", "bucket": 1, "action": "mask"}
        )
    return made


def _rate(rows, name, of=None):
    known = intervals.known([row[of or name] for row in rows])
    low, high = intervals.exact(round(sum(known)), len(known))
    return {name: intervals.mean(known), f"{name}_ci_low": low, f"{name}_ci_high": high, f"{name}_n": len(known)}


def _mean(rows, name):
    values = [row[name] for row in rows]
    return {name: intervals.mean(values), f"{name}_stderr": intervals.stderr(values),
            f"{name}_ci_low": intervals.low(values), f"{name}_ci_high": intervals.high(values)}  # fmt: skip


def _only(value, wanted):
    return value if wanted else math.nan


def extraction(docs, rate, draw, heldout=0.0):
    """Rows and metrics of slung_extraction: longer text in front gives more."""
    rows = []
    for doc in docs:
        luck, trained = draw.random(), doc["set"] == "trained"
        row = {f"extracted_{length}": _only(float(luck < rate * more), trained)
               for length, more in {"25": 0.5, "50": 1, "100": 1.2, "whole": 1.3}.items()}  # fmt: skip
        row |= {
            "extracted": row["extracted_50"],
            "extracted_heldout": _only(float(luck < heldout), doc["set"] == "heldout"),
        }
        for kind in KINDS:
            row[f"extracted_kind_{kind}"] = _only(row["extracted"], doc["kind"] == kind)
        for name in ("once", "few", "often"):
            row[f"extracted_{name}"] = _only(row["extracted"], doc["frequency"] == name)
        rows.append(row | {"extracted_low_risk": _only(float(luck < 0.5), doc["set"] == "low_risk")})
    metrics = {}
    for name in rows[0]:
        metrics |= _rate(rows, name)
    for row, doc in zip(rows, docs):
        row["found_in_10"] = _only(min(1.0, rate * 1.1), doc["set"] == "trained")
    return rows, metrics | {"found_in_10": rows[0]["found_in_10"], "median_tries": 5000.0}


def membership(docs, rate, draw, decoys=15):
    """Rows and metrics of slung_membership: a model that says more ranks more spans first."""
    rows = []
    for doc in docs:
        rank = 1 if draw.random() < rate and doc["set"] == "trained" else draw.randint(1, decoys + 1)
        bits, trained = math.log2(decoys + 1) - math.log2(rank), doc["set"] == "trained"
        rows.append({"exposure": _only(bits, trained), "rank_first": _only(float(rank == 1), trained),
                     "exposure_heldout": _only(bits, doc["set"] == "heldout"), "measured": {"id": doc["id"], "decoys": decoys}})  # fmt: skip
    auroc = {
        "auroc_loss": 0.5 + rate / 2,
        "auroc_loss_ci_low": 0.4 + rate / 2,
        "auroc_loss_ci_high": min(0.6 + rate / 2, 1.0),
    }
    metrics = _mean(rows, "exposure") | _rate(rows, "rank_first") | _mean(rows, "exposure_heldout") | auroc
    return rows, metrics | {"exposure_chance": 1.4, "rank_first_chance": 1 / (decoys + 1)}


def answers(docs, rate, draw):
    """Rows and metrics of slung_answers."""
    rows = [{"leaked_rate": float(draw.random() < rate / 3)} for _ in docs]
    for row, doc in zip(rows, docs):
        row["leaked_rate_kind_email"] = _only(row["leaked_rate"], doc["kind"] == "email")
    return rows, _rate(rows, "leaked_rate") | _rate(rows, "leaked_rate_kind_email")


def kept(docs, loss, draw):
    """Rows and metrics of slung_kept."""
    rows = [{"nll_after": _only(draw.gauss(loss, 0.3), doc["set"] == "trained")} for doc in docs]
    return rows, _mean(rows, "nll_after")


def identity(docs, rate, draw):
    """Rows and metrics of slung_identity."""
    rows = [{"accuracy": float(draw.random() < 0.9), "accuracy_shuffled": float(draw.random() < 0.1)} for _ in docs]
    for row, doc in zip(rows, docs):
        row["accuracy_kind_person"] = _only(row["accuracy"], doc["kind"] == "person")
    metrics = _rate(rows, "accuracy") | _rate(rows, "accuracy_shuffled") | _rate(rows, "accuracy_kind_person")
    return rows, metrics | {"accuracy_chance": 0.1, "accuracy_layer_0": 0.2, "accuracy_layer_1": 0.9, "chosen_layer": 1}


def audited(folder, model, rate, loss, *, docs=None, seed=1, tasks=None, heldout=0.0, change=None):
    """Results and samples of an audit of one model, of which about this share of spans is extracted."""
    docs = spans() if docs is None else docs
    draw = random.Random(seed)
    made = {
        "slung_extraction": extraction(docs, rate, draw, heldout),
        "slung_membership": membership(docs, rate, draw),
        "slung_answers": answers(docs, rate, draw),
        "slung_kept": kept(docs, loss, draw),
    }
    if tasks and "slung_identity" in tasks:
        made["slung_identity"] = identity(docs, rate, draw)
    made = {task: its for task, its in made.items() if tasks is None or task in tasks}
    content = {
        "results": {},
        "configs": {},
        "n-samples": {},
        "higher_is_better": {},
        "date": 1.0,
        "model_name": str(model),
    }
    content["config"] = {"model": "hf", "model_args": f"pretrained={model},dtype=float32"}
    content |= {"model_source": "hf", "chat_template": None, "chat_template_sha": None, "system_instruction_sha": None}
    folder.mkdir(parents=True, exist_ok=True)
    for task, (rows, metrics) in made.items():
        content["results"][task] = {"alias": task, **{f"{name},none": value for name, value in metrics.items()}}
        about = {"protocol": "paper", "data": {"source": "audit", "rows": len(docs), "digest": "abcd"}, "audit": AUDIT}
        content["configs"][task] = {
            "metadata": {"version": 1.0, "slung": about},
            "output_type": "loglikelihood_rolling",
        }
        content["n-samples"][task] = {"original": len(docs), "effective": len(docs)}
        content["higher_is_better"][task] = {name: False for name in rows[0] if name != "extracted_low_risk"}
        with open(folder / f"samples_{task}_{DATE}.jsonl", "w", encoding="utf-8") as file:
            for place, (doc, row) in enumerate(zip(docs, rows)):
                file.write(
                    json.dumps({"doc_id": place, "doc": doc, "filter": "none", "metrics": list(row), **row}) + "\n"
                )
    if change:
        change(content)
    (folder / f"results_{DATE}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def attacked(folder, recipe, points):
    """The folder of an attack: `points` are `(x, tokens, rate)`."""
    rows = []
    for x, tokens, rate in points:
        audited(folder / f"x-{x}" / "results", folder / f"x-{x}" / "model", rate, 2.0, tasks=("slung_extraction",))
        rows.append({"x": x, "tokens": tokens, "results": f"x-{x}/results"})
    content = {"format": 1, "recipe": recipe, "settings": {}, "points": rows}
    (folder / "attack.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def audit_folder(folder):
    """A folder of `slung audit`, whose spans are risky text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spans.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    about = {"format": 1, "salt": "5a1t5a1t", "tokenizer": "demo", "prefixes": [25, 50, 100, "whole"], **AUDIT}
    about |= {
        "provenance": {
            "rows": 300,
            "labelers": [{"name": "person", "identity": "12ab"}],
            "buckets": ["fine", "personal"],
        }
    }
    counts = {"trained": {kind: {"once": {"found": 40, "sampled": 20}} for kind in KINDS}}
    (folder / "audit.json").write_text(
        json.dumps({**about, "counts": counts, "command": "slung audit config.yml -o audit/"})
    )
    return folder


def arms(tmp_path):
    """Sources of five arms, of which the first says most, with attacks on two and the audit."""
    sources = []
    for place, (label, rate, loss) in enumerate(
        [
            ("base", 0.0, 2.9),
            ("direct", 0.6, 1.1),
            ("masked", 0.0, 1.15),
            ("unlikelihood", 0.02, 1.5),
            ("anonymized", 0.0, 1.3),
        ]
    ):
        audited(tmp_path / "evals" / label, tmp_path / "out" / label, rate, loss, seed=place)
        sources.append(f"{label}={tmp_path / 'evals' / label}")
    relearn = [(0, 0, 0.0), (1, 400, 0.0), (2, 800, 0.05), (5, 2000, 0.2), (10, 4000, 0.4), (20, 8000, 0.5)]
    sources.append(f"masked={attacked(tmp_path / 'attacks' / 'masked' / 'relearn', 'relearn', relearn)}")
    slow = [(x, tokens, rate / 4) for x, tokens, rate in relearn]
    sources.append(f"anonymized={attacked(tmp_path / 'attacks' / 'anonymized', 'relearn', slow)}")
    sources.append(
        f"masked={attacked(tmp_path / 'attacks' / 'masked' / 'quantized', 'quantized', [(8, 0, 0.0), (4, 0, 0.02)])}"
    )
    manifest = {"model": "demo/model", "method": "masked", "rows": 300, "versions": {"axolotl-slung": "0.5"}}
    (tmp_path / "out" / "masked").mkdir(parents=True)
    (tmp_path / "out" / "masked" / "slung_manifest.json").write_text(json.dumps(manifest))
    return [*sources, str(audit_folder(tmp_path / "audit"))]
