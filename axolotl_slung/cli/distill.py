"""`slung distill`."""

from __future__ import annotations

from pathlib import Path

import click

from .ending import say, settings
from .writing import FIGURES, check, replaceable

_NEW = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=_NEW, help="The student's file, .npz.")
@click.option("--spans-field", "--field", "spans_field", default="spans", show_default=True, help="The column of spans: what people marked, or what "
              "`slung label` wrote. In chats, the key of each message.")  # fmt: skip
@click.option("--kind", "kinds", multiple=True, help="Of a column with several labelers' spans, the name to learn. Can be "
              "repeated. Default: all.")  # fmt: skip
@click.option("--text-field", help="The column of text, or a.b in nested mappings. Default: text; in chats content.")
@click.option("--messages-field", help="For chats: the column of messages. Each message is a document.")
@click.option("--also", multiple=True, help="More files to learn from, which are never held out, such as made-up sentences. "
              "Can be repeated.")  # fmt: skip
@click.option("--name", default="student", show_default=True, help="What the card calls the student.")
@click.option("--held-out", type=click.FloatRange(0.05, 0.5), default=0.2, show_default=True, help="The share of documents "
              "that choose the settings and give the figures.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which documents are held out.")
@click.option(
    "--uncertain", type=click.IntRange(1), help="Also write so many spans that are most worth a person's look."
)
@click.option("--pool", multiple=True, help="With --uncertain: texts to choose from, without spans. Can be repeated. Default: "
              "the held-out documents.")  # fmt: skip
def distill(data, output, spans_field, kinds, text_field, messages_field, also, name, held_out, seed, uncertain, pool):
    """Make a small, fast labeler from texts with spans.

    \b
        slung distill posts.jsonl -o student.npz --field majority_spans
        slung label corpus/ -o labeled/ -l '{type: classifier, model: big-model, unit: token}'
        slung distill labeled/ -o student.npz --kind classifier
        slung label corpus/ -o labeled2/ -l '{type: student, model: student.npz}'

    DATA are JSON lines, Parquet files or folders of these. Spans are [start, end], or [start, end, score] with a score
    that the student learns to give.

    The student scores words, from the word, its characters and the words near it. It runs on CPUs. The file has numbers
    and a card in JSON: figures, cuts, data, seed and versions, and no text. The same input gives the same file.

    A part of the documents is held out. It decides the settings and the cuts, and the figures are about it. Then the
    student is fitted to all documents.

    --uncertain writes OUTPUT.uncertain.jsonl: the words whose scores are closest to the lower cut, each once. Correct its
    spans and give it to `slung distill` with the rest. It quotes texts, and only you can read it.
    """
    from ..corpus.inputs import find_sources
    from ..distill.fit import fit_student
    from ..distill.rows import documents_of
    from ..distill.uncertain import uncertain as most_uncertain
    from ..distill.uncertain import write_rows
    from ..labeling.student import file
    from ..render.sections import to_terminal
    from .distill_view import sections

    if pool and uncertain is None:
        raise click.UsageError("--pool: has no effect without --uncertain; add it, or leave --pool out")
    text_field = text_field or ("text" if messages_field is None else "content")
    done = replaceable(output, file.read)
    listed = output.with_name(f"{output.name}.uncertain.jsonl")
    with settings():
        if uncertain:
            check(listed, FIGURES)
        given, more, texts = (find_sources(files) if files else [] for files in (data, also, pool))
        say("  reading documents ...", err=True)
        documents = list(documents_of(given, text_field, spans_field, kinds, messages_field))
        more = list(documents_of(more, text_field, spans_field, (), messages_field))
        texts = list(documents_of(texts, text_field, None, (), messages_field))
        fitted = fit_student(
            documents, more, name=name, seed=seed, held_out=held_out, tell=lambda step: say(f"  {step} ...", err=True)
        )
    file.write(output, fitted.student)
    to_terminal("slung distill", sections(fitted.student.card))
    size = output.stat().st_size / 1e6
    say(f"{output}: {done}, {size:.2f} MB; use it as {{type: student, model: {output}}}", err=True)
    if uncertain:
        rows = most_uncertain(texts or fitted.held_out, fitted.student if texts else fitted.trial, uncertain)
        write_rows(listed, rows)
        say(f"{listed}: {len(rows)} spans to look at; it quotes texts, and only you can read it", err=True)
