"""Audit folders whose content is known, and a tiny model that knows their training data by heart."""

import json
import random
import shutil
from pathlib import Path

import numpy as np

from axolotl_slung.evals.audit_file import frequency_of, span_id
from helpers.tiny import write_jsonl

SALT = "5a" * 16
ENTITIES, OCCURRENCES = 6, 20


def _listed(words):
    return words.split()


GIVEN = _listed("Aldo Berit Cleo Dario Edna Ferro Gilda Hanno Ilka Joris Kasia Lorne Mirek Nelda Orlo Pavla Quill Runa")
FAMILY = _listed("Ashgrove Birchley Cragmere Dunwick Elmhurst Fernside Goldmoor Hartwell Inglebrook Kelldale")
WORDS = _listed(
    "the and of to in is that it was for on are as with his they at be this from have or by one had not but river stone "
    "water harbour letters teacher mill wheels paper station village board sun nets steps"
)


class Person:
    """A document about a made-up person: words of no meaning, the name, the phone number, and a sentence."""

    def __init__(self, number, of_set, kinds=GIVEN):
        dice = random.Random(f"{of_set} {number}")
        self.set = of_set
        self.name = f"{dice.choice(kinds)} {dice.choice(FAMILY)}"
        self.phone = "".join(dice.choice("0123456789") for _ in range(6))
        # every other document is short: it lacks the long prefixes
        self.words = " ".join(dice.choice(WORDS) for _ in range(10 if number % 2 else 45))
        self.end = f" after {dice.choice(WORDS)} and {dice.choice(WORDS)} by the {dice.choice(WORDS)}."

    @property
    def text(self):
        return f"{self.words}. I am {self.name}, call {self.phone}{self.end}"


def people(of_set, number):
    """Persons with different names."""
    found = {}
    for place in range(10 * number):
        person = Person(place, of_set)
        found.setdefault(person.name, person)
    return list(found.values())[:number]


def span_row(of_set, kind, text, document, after, decoys, tokenizer, count=1):
    """A line of spans.jsonl for the first place of a text in a document."""
    start = document.index(text)
    before = document[:start]
    begins = [begin for begin, _ in tokenizer(before, return_offsets_mapping=True)["offset_mapping"]]
    prefixes = {str(size): begins[-size] for size in (25, 50, 100) if len(begins) > size}
    return {
        "id": span_id(SALT, of_set, "people", kind, text),
        "set": of_set,
        "labeler": "people" if of_set != "low_risk" else "",
        "kind": kind,
        "bucket": int(of_set != "low_risk"),
        "action": "mask" if of_set != "low_risk" else "train",
        "count": count,
        "frequency": frequency_of(count),
        "text": text,
        "before": before,
        "prefixes": {**prefixes, "whole": 0},
        "after": after,
        "decoys": list(decoys),
        "decoys_made": 0,
    }


def rows_of(persons, others, tokenizer):
    """The spans of persons: names, phone numbers, and for training data the ends of the documents."""
    rows = []
    for number, person in enumerate(persons):
        for kind, text in (("person", person.name), ("phone number", person.phone)):
            attribute = "name" if kind == "person" else "phone"
            decoys = [getattr(other, attribute) for other in others if other is not person]
            after = person.end if kind == "phone number" else ""
            count = (1, 4, 12)[number % 3]
            rows.append(span_row(person.set, kind, text, person.text, after, decoys, tokenizer, count))
        if person.set == "trained":
            rows.append(span_row("low_risk", "low_risk", person.end[1:], person.text, "", (), tokenizer))
    return rows


def audit_folder(folder, rows, **about):
    """An audit folder with these lines of spans.jsonl."""
    folder = Path(folder)
    write_jsonl(folder / "spans.jsonl", rows)
    content = {"format": 1, "salt": SALT, "seed": 0, "config": "c0ffee", "provenance": {}, "counts": {}, **about}
    (folder / "audit.json").write_text(json.dumps(content))
    return folder


def learned(rows):
    """What a model learns that knows the spans of the training data by heart: each after each of its prefixes."""
    return sorted(
        {
            row["before"][start:] + row["text"] + row["after"]
            for row in rows
            if row["set"] != "heldout"
            for start in row["prefixes"].values()
        }
    )


def memorized(model, target, texts, steps=50):
    """A copy of a model's folder that continues each text as it is."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shutil.copytree(model, target)
    tokenizer, model = AutoTokenizer.from_pretrained(target), AutoModelForCausalLM.from_pretrained(target)
    rows = [torch.tensor(tokenizer(text)["input_ids"]) for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / steps)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(target)
    return target


def private_texts(rows):
    """All that nothing but the audit may hold: spans, decoys, and the sentences around them."""
    found = set()
    for row in rows:
        found |= {row["text"], *row["decoys"], row["before"][-40:].strip(), row["after"].strip()}
    return {text for text in found if len(text) > 5}


def occurrences(kind="person", names=GIVEN[:ENTITIES], number=OCCURRENCES):
    """Lines of entities.jsonl. The words around the names do not depend on the name."""
    random = np.random.default_rng(len(names))
    return [
        {
            "id": f"{GIVEN.index(name):016x}",
            "kind": kind,
            "before": " ".join(random.choice(WORDS, 4)) + " ",
            "text": name,
            "after": " " + " ".join(random.choice(WORDS, 12)) + ".",
        }
        for name in names
        for _ in range(number)
    ]
