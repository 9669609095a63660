"""`label_noise` in a config: the labels are those of the spans that it leaves and adds, wherever they are looked at."""

import json
import re

import pytest
import yaml
from click.testing import CliRunner
from helpers.axolotl_run import as_if_fresh, base_config, prepare_in_process, write_config
from helpers.chats import INSULT, NAME
from helpers.rendered import masked
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.config import SlungConfig
from axolotl_slung.errors import SlungError
from axolotl_slung.faults import checked
from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.codec import FIRST_CODE, encode
from axolotl_slung.labels.noise import FALSE
from axolotl_slung.training.data.row_labels import SlungDataError

ENTITIES = {"type": "entities", "names": [NAME]}
PHRASES = {"type": "custom", "class_path": "helpers.chats:PhraseLabeler"}
BUCKETS = [{"name": "safe", "below": 0.5, "action": "train"}, {"name": "risky", "action": "mask"}]
DROPPING = [BUCKETS[0], {"name": "risky", "action": "drop_span"}]
NOISE = {"miss": 0.5, "false": 0.1, "seed": 2}
BLOCK = {"buckets": BUCKETS, "label_noise": NOISE}
TEXTS = [f"{n}. {NAME} met {NAME} by the {INSULT} of the river, and then {NAME} slept." for n in range(12)]
CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"{NAME}, who is it? {n}"},
            {"role": "assistant", "content": f"{n}. {NAME} is the {INSULT} by the old mill. Ask {NAME}."},
        ]
    }
    for n in range(8)
]


def noised(text, phrases=(NAME,), noise=NOISE, buckets=BUCKETS):
    """The spans of a text after noise, as `(kept and false, missed)`."""
    block = SlungConfig.model_validate({"labelers": [ENTITIES], "buckets": buckets, "label_noise": noise})
    spans = sorted(
        Span(match.start(), match.end(), 1.0, phrase) for phrase in phrases for match in re.finditer(phrase, text)
    )
    return block.noise().of_text(text, spans)


def column(text, **options):
    return [list(span[:3]) for span in noised(text, **options)[0]]


def labels(prepared):
    return [row["labels"] for row in prepared[0]]


def test_labels_are_those_of_the_spans_that_are_left_and_added(prepare):
    keys = {"kind": "bytelevel", "type": "completion", "template": "chatml"}
    rows = [{"text": text} for text in TEXTS]
    with_noise = prepare(rows, ENTITIES, block=BLOCK, **keys)
    expected = prepare(
        [{"text": text, "spans": column(text)} for text in TEXTS], {"type": "spans"}, block={"buckets": BUCKETS}, **keys
    )
    assert labels(with_noise) == labels(expected) != labels(prepare(rows, ENTITIES, block={"buckets": BUCKETS}, **keys))
    # the order of the rows, and what else is in the data, do not matter
    assert labels(prepare(rows[::-2], ENTITIES, block=BLOCK, **keys)) == labels(with_noise)[::-2]
    nothing = {"buckets": BUCKETS, "label_noise": {"miss": 0, "false": 0}}
    plain = prepare(rows, ENTITIES, block={"buckets": BUCKETS}, **keys)
    assert labels(prepare(rows, ENTITIES, block=nothing, **keys)) == labels(plain)


def test_each_text_of_a_chat_has_its_own_noise(prepare):
    chats = [
        {"messages": [{**one, "spans": column(one["content"], phrases=(NAME, INSULT))} for one in row["messages"]]}
        for row in CHATS
    ]
    with_noise = prepare(CHATS, ENTITIES, PHRASES, block=BLOCK)
    expected = prepare(chats, {"type": "spans"}, block={"buckets": BUCKETS})
    assert labels(with_noise) == labels(expected)
    missed = [s for row in CHATS for s in noised(row["messages"][1]["content"], (NAME, INSULT))[1]]
    assert 4 < len(missed) < 20
    nothing = {"buckets": BUCKETS, "label_noise": {}}
    plain = prepare(CHATS, ENTITIES, PHRASES, block={"buckets": BUCKETS})
    assert labels(prepare(CHATS, ENTITIES, PHRASES, block=nothing)) == labels(plain)


def test_what_noise_drops_stays_in_the_text(prepare):
    """Also where a labeler searches the whole prompt again after an edit."""
    rows, tokenizer = prepare(CHATS, ENTITIES, PHRASES, block={**BLOCK, "buckets": DROPPING})
    assert masked((rows, tokenizer)) == [[]] * len(rows)
    left = 0
    for row, made in zip(CHATS, rows):
        trained = tokenizer.decode([token for token, label in zip(made["input_ids"], made["labels"]) if label >= 0])
        text = row["messages"][1]["content"]
        _, missed = noised(text, (NAME, INSULT), buckets=DROPPING)
        for phrase in (NAME, INSULT):
            number = sum(text[span.start : span.end] == phrase for span in missed)
            assert trained.count(phrase) == number
            left += number
    assert left > 4


def test_a_control_token_stands_before_what_is_left_and_added(prepare):
    buckets = [BUCKETS[0], {"name": "risky", "action": "control_token", "token": "<|im_start|>"}]
    keys = {"type": "completion", "template": "chatml"}
    rows, tokenizer = prepare([{"text": t} for t in TEXTS], ENTITIES, block={**BLOCK, "buckets": buckets}, **keys)
    for text, row in zip(TEXTS, rows):
        spans = sorted(noised(text, buckets=buckets)[0], reverse=True)
        for span in spans:
            text = f"{text[: span.start]}<|im_start|>{text[span.start :]}"
        assert text in tokenizer.decode(row["input_ids"], skip_special_tokens=False)


def test_false_spans_are_replaced_like_finds_of_their_kind(prepare):
    buckets = [BUCKETS[0], {"name": "risky", "action": "replace", "text": "<{KIND}>"}]
    noise = {**NOISE, "kind": "person"}
    keys = {"type": "completion", "template": "chatml"}
    block = {"buckets": buckets, "label_noise": noise}
    rows, tokenizer = prepare([{"text": t} for t in TEXTS], {**ENTITIES, "name": "person"}, block=block, **keys)
    false = 0
    for text, row in zip(TEXTS, rows):
        for span in sorted(noised(text, buckets=buckets, noise=noise)[0], reverse=True):
            text, false = f"{text[: span.start]}<PERSON>{text[span.end :]}", false + (span.labeler == FALSE)
        assert text in tokenizer.decode(row["input_ids"], skip_special_tokens=False)
    assert false > 2


def test_token_spans_get_noise_and_codes_are_refused(tmp_path, slung):
    ids = [[40 + n, 41, 42, 43, 44, 45] for n in range(60)]
    model = str(tiny_model(tmp_path))

    def run(folder, labeler, rows, **block):
        path = write_jsonl(tmp_path / folder / "rows.jsonl", rows)
        data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
        keys = slung(labelers=[labeler], buckets=BUCKETS, **block)
        config = base_config(tmp_path / folder, base_model=model, shuffle_merged_datasets=False, **data, **keys)
        return [row["labels"] for row in prepare_in_process(config).train_dataset]

    rows = [{"input_ids": i, "attention_mask": [1] * 6, "labels": i, "spans": [[1, 3, 1.0]]} for i in ids]
    found = run("a", {"type": "spans"}, rows, label_noise={"miss": 0.5, "false": 0.1})
    assert 15 < sum(row[1] == 41 for row in found) < 45
    assert all((row[1] == 41) == (row[2] == 42) for row in found)
    assert 5 < sum(label <= FIRST_CODE for row in found for label in (row[0], *row[3:])) < 50
    coded = [
        {"input_ids": i, "attention_mask": [1] * 6, "labels": [*encode(i[:1], 1, 1.0).tolist(), *i[1:]]} for i in ids
    ]
    for key, value in (("label_noise", NOISE), ("random_control", True)):
        with pytest.raises(SlungDataError, match=rf"slung.{key}: datasets\[0\] is already tokenized and its `labels`"):
            run(key, ENTITIES, coded, **{key: value})


def test_a_random_control_moves_the_scores_that_noise_leaves(prepare):
    keys = {"type": "completion", "template": "chatml"}
    rows = [{"text": text} for text in TEXTS]
    noise = labels(prepare(rows, ENTITIES, block=BLOCK, **keys))
    control = labels(prepare(rows, ENTITIES, block={**BLOCK, "random_control": True}, **keys))
    assert [sum(x <= FIRST_CODE for x in row) for row in control] == [
        sum(x <= FIRST_CODE for x in row) for row in noise
    ]
    assert control != noise


@pytest.fixture
def written(tmp_path, slung):
    """A config as a user writes it: YAML reads the key `false` as a truth value."""
    path = write_jsonl(tmp_path / "rows.jsonl", [{"id": str(n), "text": text} for n, text in enumerate(TEXTS)])
    data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
    keys = slung(labelers=[ENTITIES], buckets=BUCKETS)
    write_config(base_config(tmp_path, **data, **keys, sequence_len=256), tmp_path)
    config = tmp_path / "config.yml"
    text = config.read_text().replace("slung:\n", "slung:\n  label_noise: {miss: 0.5, false: 0.1, seed: 2}\n")
    assert False in yaml.safe_load(text)["slung"]["label_noise"]
    config.write_text(text)
    with as_if_fresh(tmp_path):
        yield str(config)


def run(*arguments):
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_view_shows_the_noise(written, tmp_path):
    spans, missed = zip(*map(noised, TEXTS))
    false = [[span for span in of_text if span.labeler == FALSE] for of_text in spans]
    shown = " ".join(run("inspect", written, "-n", "20", "--terminal").replace("~", "").split())
    assert re.search(rf"\[train, its span was dropped by label_noise: ?{NAME}\]", shown)
    for text, of_text in zip(TEXTS, false):
        for span in of_text:
            inside = re.escape(text[span.start : span.end])
            assert re.search(rf"\[mask, in a false span of label_noise: ?{inside}", shown)
    page = tmp_path / "page.html"
    run("inspect", written, "-n", "20", "--output", str(page))
    data = re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)
    documents = json.loads(data[1])["documents"]
    assert {kind for one in documents for kind in one["noise"][::2]} == {0, 1, 2}
    statistics = " ".join(run("stats", written, "-n", "20").split())
    assert f"{sum(map(len, missed))} spans dropped by label_noise, with" in statistics
    assert f"{sum(map(len, false))} spans added by label_noise, with" in statistics
    # labeled files show the noise that training on them will have
    rows = [
        {"id": n, "text": text, "spans": [[m.start(), m.end(), 1.0] for m in re.finditer(NAME, text)]}
        for n, text in enumerate(TEXTS)
    ]
    files = write_jsonl(tmp_path / "labeled.jsonl", rows)
    assert " ".join(run("inspect", str(files), "--config", written, "-n", "20", "--terminal").split()).count(
        "its span was dropped by label_noise:"
    ) == sum(map(len, missed))


def test_the_doctor_names_the_noise(written):
    from axolotl_slung.doctor.run import examine

    findings = {one.check: one for one in examine(written, 2, lambda stage: None)}
    assert "label_noise dropped 0.5 of the risky spans and put 0.1 of the other words into false ones" in (
        findings["labels"].text
    )
    assert findings["labels in the batches"].verdict == "ok"


@pytest.mark.parametrize(
    "noise, said",
    [
        ({"mis": 0.2}, "slung.label_noise.mis: unknown key; did you mean `miss`?"),
        ({"rate": 0.2}, "slung.label_noise.rate: unknown key; the keys of label_noise are miss, false, seed, kind"),
        ({"miss": 1.2}, "slung.label_noise.miss: 1.2: expected a number at most 1"),
        ({False: 0.7}, "slung.label_noise.false: 0.7: expected a number at most 0.5"),
        ({"miss": True}, "slung.label_noise.miss: expected a number, got true"),
        (0.2, "slung.label_noise: expected a mapping, got 0.2"),
        ({"false": 0.2, "kind": "email"}, "`label_noise.kind` has no effect without `false` above 0 and a last bucket"),
    ],
    ids=str,
)
def test_faults_are_named(noise, said):
    with pytest.raises(SlungError) as caught:
        checked({"labelers": [ENTITIES], "label_noise": noise})
    assert said in str(caught.value)
    with pytest.raises(SlungError, match=r"miss: is a key of label_noise, not of the block itself"):
        checked({"labelers": [ENTITIES], "miss": 0.2})


@pytest.mark.parametrize(
    "text, noise, said",
    [
        ("<{KIND}>", {"false": 0.2}, "`label_noise.kind` is required: '<{KIND}>' of the last bucket"),
        ("<REDACTED>", {"false": 0.2, "kind": "email"}, "`label_noise.kind` has no effect"),
        ("<{KIND}>", {"miss": 0.2, "kind": "email"}, "`label_noise.kind` has no effect"),
        ("<{KIND}>", {"miss": 0.2}, None),
        ("<REDACTED>", {"false": 0.2}, None),
    ],
)
def test_a_kind_is_asked_for_where_it_is_used(text, noise, said):
    buckets = [BUCKETS[0], {"name": "risky", "action": "replace", "text": text}]
    block = {"labelers": [ENTITIES], "buckets": buckets, "label_noise": noise}
    if said is None:
        checked(block)
        return
    with pytest.raises(SlungError) as caught:
        checked(block)
    assert said in str(caught.value)


@pytest.mark.parametrize("form", [{}, {"sample_packing": True, "attn_implementation": "sdpa"}], ids=["plain", "packed"])
def test_a_stream_has_the_noise_of_its_whole_documents(tmp_path, slung, form):
    texts = [f"{n} {text} " * 9 for n, text in enumerate(TEXTS)]  # windows are shorter
    model, found = str(tiny_model(tmp_path)), []
    for number, labeler in enumerate([ENTITIES, {"type": "spans"}]):
        rows = [{"text": text, "spans": column(text)} for text in texts]
        path = write_jsonl(tmp_path / str(number) / "rows.jsonl", rows)
        keys = slung(labelers=[labeler], buckets=BUCKETS, **({} if number else {"label_noise": NOISE}))
        config = base_config(
            tmp_path / str(number),
            base_model=model,
            pretraining_dataset=[{"path": "json", "data_files": str(path)}],
            streaming=True,
            streaming_multipack_buffer_size=4,
            **form,
            **keys,
        )
        found.append([list(map(int, row["labels"])) for row in prepare_in_process(config).train_dataset])
    assert found[0] == found[1] and sum(label <= FIRST_CODE for row in found[0] for label in row) > 20
