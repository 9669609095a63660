"""`slung qa`."""

from __future__ import annotations

import click

from .block import read_block, read_tokenizer
from .ending import settings
from .showing import report_options, show


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-c", "--config", help="A YAML file with a `slung:` block. Its labelers are measured.")
@click.option("-l", "--labeler", "labelers", multiple=True, help="A labeler, as YAML or by its type. Can be repeated.")
@click.option("--gold", "gold_field", help="The column of spans that people marked: [[start, end], ...].")
@click.option("--names", "names_field", help="Instead of --gold: the column of names that are the truth.")
@click.option("--gold-label", help="Instead of both: what labels whole documents. COLUMN (true or false, 1 or 0), "
              "COLUMN=VALUE or COLUMN>=NUMBER.")  # fmt: skip
@click.option("--parts/--no-parts", default=True, help="Whether a first or last name by itself also counts as truth.")
@click.option("--text-field", "text_fields", multiple=True,
              help="A column of text, or a.b in nested mappings. Can be repeated. Default: text; in chats content, the "
              "key of each message.")  # fmt: skip
@click.option("--messages-field", help="For chats: the column of messages. Each message is measured as a document.")
@click.option("--tokenizer", help="A tokenizer (folder or hub id), to measure tokens as well as characters.")
@click.option("-t", "--threshold", "thresholds", multiple=True, type=click.FloatRange(0, 1, min_open=True),
              help="Also measure at this score. Can be repeated.")  # fmt: skip
@click.option("-n", "--documents", "limit", type=click.IntRange(1), help="Number of rows, from the beginning.")
@report_options()
def qa(
    inputs,
    config,
    labelers,
    gold_field,
    names_field,
    gold_label,
    parts,
    text_fields,
    messages_field,
    tokenizer,
    thresholds,
    limit,
    html,
    figures,
    words,
):
    """Measure labels against spans that people marked.

    \b
        slung qa posts.jsonl --gold spans -l toxic_spans --html quality.html
        slung qa facts.jsonl --names author --text-field question --text-field answer \\
            -l '{type: entities, path: names.txt, parts: true}' --tokenizer allenai/OLMo-1B-hf
        slung qa hatecheck.jsonl --gold-label label_gold=hateful --text-field test_case -l profanity
        slung qa chats.jsonl --gold spans --messages-field messages -l presidio

    The report gives precision, recall and F1 of characters and tokens, for each labeler and for all combined. It gives
    them at the buckets' bounds and at the best threshold. It also gives average precision and calibration: whether
    scores are probabilities.

    --names finds names with its own rules, which are not the labeler's. docs/labelers.md lists them.
    """
    from ..corpus.inputs import find_sources
    from ..label_stats.gold import qa_files
    from ..label_stats.qa_view import sections

    given = [option for option in (gold_field, names_field, gold_label) if option is not None]
    if len(given) != 1:
        raise click.UsageError(
            "--gold, --names, --gold-label: expected one of them; give a column of spans, a column of names, or what "
            "labels whole documents"
        )
    with settings():
        block = read_block(config, labelers)
        sources = find_sources(inputs)
    tokenizer = read_tokenizer(tokenizer) if tokenizer else None
    report = qa_files(
        sources,
        block,
        text_fields=text_fields or (("text",) if messages_field is None else ("content",)),
        gold_field=gold_field,
        names_field=names_field,
        gold_label=gold_label,
        messages_field=messages_field,
        parts=parts,
        tokenizer=tokenizer,
        limit=limit,
        thresholds=thresholds,
        words=40 if words else 0,
    )
    show(report, sections(report), "slung qa", html, figures)
