# The data of the studies on names: answers of TOFU's authors as text, their questions, and their names.
#
# `data` is a file of JSON lines with author, question and answer. The authors are taken in the order of the file: the first ones
# are trained on. GROUPS says which further groups, each as large, a study needs.


def check_people():
    rows = check_file("data", ("author", "question", "answer"))
    for number, row in enumerate(rows, start=1):
        if len(row["author"].split("\n")) > 1 or not row["author"].strip():
            refuse(f"data: {SETTINGS['data']}: row {number}: its author is blank or has a line break; write a name in one line")
    authors = list(dict.fromkeys(row["author"] for row in rows))
    needed = SETTINGS["authors"] * len(GROUPS)
    if rows and len(authors) < needed:
        refuse(f"data: {SETTINGS['data']}: {len(authors)} authors; `authors: {SETTINGS['authors']}` needs {needed}")


check_people()


localrules:
    people,


rule people:
    input:
        SETTINGS["data"],
        ancient(f"{OUT}/tools.txt"),
    output:
        names=f"{OUT}/data/names.txt",
        questions=f"{OUT}/data/questions.jsonl",
        texts=[f"{OUT}/data/{group}.jsonl" for group in GROUPS],
    params:
        authors=SETTINGS["authors"],
        groups=GROUPS,
    run:
        rows = [row for _, row in read_rows("data", input[0])]
        names = list(dict.fromkeys(row["author"] for row in rows))
        for number, path in enumerate(output.texts):
            chosen = set(names[number * params.authors : (number + 1) * params.authors])
            of_group = [row for row in rows if row["author"] in chosen]
            write_rows(path, [{"text": row["answer"]} for row in of_group])
            if number == 0:
                write_rows(output.questions, of_group)
        write(output.names, "\n".join(names[: len(params.groups) * params.authors]) + "\n")


NAMES = {"labelers": [{"type": "entities", "path": f"{OUT}/data/names.txt", "parts": True}]}
TEXTS = [{"path": f"{OUT}/data/train.jsonl", "ds_type": "json", "type": "completion"}]
DATA = DIGESTED = [f"{OUT}/data/train.jsonl", f"{OUT}/data/names.txt"]
BASE = base_config(TEXTS, slung=NAMES)
