# The data of the studies on toxicity: risky documents with scores, in place of some of the base documents (`slung mix`).
#
# `base_text` and `risky_text` are files or folders. With `labelers`, the risky documents are labeled here. Without, they have scores
# already: a column of spans, or Dolma attributes, which `risky_scores` names.


def check_text(key):
    """Refuse to start without the documents. Their columns are checked by the first step that reads them, and of one file here."""
    path = SETTINGS[key]
    if not path:
        refuse(f"{key}: not given; add `--config {key}=PATH`, documents with a column text")
    if not here():
        return
    if not os.path.exists(path):
        refuse(f"{key}: {path}: no such file or folder; give it with `--config {key}=PATH`")
    if path.endswith(".jsonl"):
        check_file(key, ("text",), most=1000)


check_text("base_text")
check_text("risky_text")
LABELERS = SETTINGS["labelers"]
RISKY = f"{OUT}/labeled" if LABELERS else SETTINGS["risky_text"]
MIX = {
    "tokenizer": MODEL,
    "base": [{"path": SETTINGS["base_text"]}],
    "risky": [{"path": RISKY, **(SETTINGS["risky_scores"] or {})}],
    **{key: SETTINGS[key] for key in ("criteria", "tokens", "budgets", "heldout")},
    "seeds": SEEDS,
    "format": "jsonl",
}
TEXTS = [{"path": f"{OUT}/mix", "ds_type": "json", "type": "completion"}]
SPANS = {"labelers": [{"type": "spans", "field": "spans", "cuts": SETTINGS["cuts"]}]}
BASE = base_config(TEXTS, slung=SPANS)
DATA = [f"{OUT}/mix"]
DIGESTED = [f"{OUT}/mix/manifest.json"]  # it has the digests of all files of the mix
ARMS_FILE.update(data=f"{OUT}/mix/seed-{{seed}}/{{budget}}/*.jsonl", budgets=BUDGETS)
HELDOUT = f"{OUT}/mix/heldout/base.jsonl"


localrules:
    labelers_file,
    mix_file,


rule labelers_file:
    output:
        f"{OUT}/labelers.yml",
    params:
        content=lambda wildcards: {"slung": {"labelers": LABELERS}},
    run:
        write_yaml(output[0], params.content)


# `slung label` and `slung mix` go on where they were killed. What they began with other settings is thrown away.
rule label:
    input:
        SETTINGS["risky_text"],
        f"{OUT}/labelers.yml",
        ancient(f"{OUT}/tools.txt"),
    output:
        directory(f"{OUT}/labeled"),
    params:
        risky=SETTINGS["risky_text"],
    log:
        f"{OUT}/logs/label.log",
    threads: threads_of("label")
    resources:
        **resources_of("label"),
    shell:
        """
        mkdir -p {OUT}/logs {OUT}/unfinished
        work={OUT}/unfinished/labeled
        {{ cat {OUT}/labelers.yml; find {params.risky:q} -type f -printf '%p %s %T@\\n' | sort; }} > $work.now
        cmp -s $work.now $work.of || rm -rf $work
        mv $work.now $work.of
        slung label {params.risky:q} -c {OUT}/labelers.yml -o $work -j {threads} > {OUT}/logs/label.log 2>&1
        rm -rf {OUT}/labeled
        mv $work {OUT}/labeled
        """


rule mix_file:
    output:
        f"{OUT}/mix.yml",
    params:
        content=MIX,
    run:
        write_yaml(output[0], params.content)


rule mix:
    input:
        SETTINGS["base_text"],
        RISKY,
        f"{OUT}/mix.yml",
        [f"{OUT}/model.txt"] if DEMO else [],
        ancient(f"{OUT}/tools.txt"),
    output:
        directory(f"{OUT}/mix"),
    params:
        text=[SETTINGS["base_text"], RISKY],
    log:
        f"{OUT}/logs/mix.log",
    threads: threads_of("label")
    resources:
        **resources_of("label"),
    shell:
        """
        mkdir -p {OUT}/logs {OUT}/unfinished
        work={OUT}/unfinished/mix
        {{ cat {OUT}/mix.yml; find {params.text:q} -type f -printf '%p %s %T@\\n' | sort; }} > $work.now
        cmp -s $work.now $work.of || rm -rf $work
        mv $work.now $work.of
        slung mix {OUT}/mix.yml -o $work -j {threads} > {OUT}/logs/mix.log 2>&1
        rm -rf {OUT}/mix
        mv $work {OUT}/mix
        """


TASKS = SETTINGS["tasks"].split(",")
FILES = [f"{OUT}/mix", *(SETTINGS[key] for key in ("prompts", "comments") if SETTINGS[key])]
for key, columns, values in (("prompts", (), ("prompt",)), ("comments", ("text",), ("toxicity",))):
    if SETTINGS[key]:
        check_file(key, columns, values)
OPTIONS = {
    "SLUNG_TOXICITY_PROMPTS": SETTINGS["prompts"],
    "SLUNG_CIVILCOMMENTS": SETTINGS["comments"],
    "SLUNG_PERPLEXITY_TEXT": HELDOUT,
    "SLUNG_SCORER": SETTINGS["scorer"],
}
for key in OPTIONS.keys() & (SETTINGS["options"] or {}).keys():
    refuse(f"options: {key}: the study sets it; remove it, and use the settings prompts, comments, heldout and scorer")
OPTIONS.update(SETTINGS["options"] or {})
