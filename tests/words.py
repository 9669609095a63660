"""The word list of `make check`: prose says the plain word, and is spelled in the American way.

    python tests/words.py           findings, as file:line: what stands there: what to write
    python tests/words.py --shrink  takes the files that have no findings any more out of NOT_YET

Read are the Markdown files, the tasks' and examples' YAML, and the comments and strings of the package. A line that has to
say one of the words ends in a comment `words: ok`.
"""

import io
import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOUNS = (
    "one|batches|bytes|characters|documents|examples|ids|integers?|labels|lines|names|numbers?|ranks|rows|samples|scores?"
    "|seconds|sentences|spans|steps|texts|times|tokens|values|vectors?|windows|words"
)
UNITS = "batch|character|core|document|group|hour|label|line|minute|name|rank|row|second|sentence|step|text|token|word"
ROOTS = (
    "generali|initiali|maximi|memori|minimi|normali|optimi|organi|penali|quanti|randomi|recogni|seriali|speciali|standardi"
    "|summari|tokeni|utili"
)
INSTEAD = {
    r"mend(s|ed|ing)?": "fix",
    r"anew": "again",
    r"as ever": "as usual",
    r"by way of": "through",
    r"(hang|hangs|hung) on": "depends on",
    r"(go|goes|went|going|pass|passes|passed|passing) (past|by)": "bypass",
    r"of the user's": "the user's",
    r"(?<!there )(?<!there's )(is|are|was|were) no(?! (longer|more|less|fewer|one|such)\b)": "is not a",
    r"(?<!let )(?<!left )(?<!leave )(?<!leaves )(?<!leaving )(?<!stand )(?<!stands )alone": "only",
    rf"({NOUNS}) an? ({UNITS})": "per",
    rf"\w*({ROOTS})s(e|es|ed|er|ers|ing|ation|ations)": "-ize",
    r"(un|re|mis)?labell(ed|ing|er|ers)": "labeled, labeling",
    r"modell(ed|ing)|travell(ed|ing)|cancell(ed|ing)|signall(ed|ing)": "one l",
    r"(colour|behaviour|favour|neighbour|honour|flavour)\w*": "-or",
    r"centre[sd]?|grey|catalogue|judgement|whilst": "the American spelling",
}
LIST = [(re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE), plain) for words, plain in INSTEAD.items()]

# Files whose prose has not been rewritten yet. Take a file out when it is done; put none in.
NOT_YET = """

""".split()  # noqa: SIM905 - one file per line, which merges well


def files():
    """What is read."""
    for pattern in (
        "*.md",
        "docs/*.md",
        "example_configs/**/*.yml",
        "axolotl_slung/**/*.py",
        "axolotl_slung/**/*.yaml",
        "lm_eval_tasks/*",
    ):
        yield from sorted(path for path in ROOT.glob(pattern) if path.suffix in (".md", ".py", ".yml", ".yaml"))


def pieces(path):
    """`(line number, text)`: the lines of a file, of Python only comments and strings."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(source.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if tokenize.tok_name[token.type] in ("COMMENT", "STRING", "FSTRING_MIDDLE"):
            yield from enumerate(token.string.splitlines(), token.start[0])


def findings(path):
    """The findings of a file, one line each."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, text in pieces(path):
        if "words: ok" in lines[number - 1]:
            continue
        for pattern, plain in LIST:
            for match in pattern.finditer(text):
                yield f"{path.relative_to(ROOT)}:{number}: {match[0].strip()}: write {plain}"


def main():
    """Print what is found, and end with 1 if there is any."""
    found = {str(path.relative_to(ROOT)): list(findings(path)) for path in dict.fromkeys(files())}
    if "--shrink" in sys.argv:
        here = Path(__file__)
        done = {name for name in NOT_YET if not found.get(name)}
        here.write_text("".join(line for line in here.read_text().splitlines(True) if line.strip() not in done))
        return 0
    wrong = [line for name, some in found.items() if name not in NOT_YET for line in some]
    wrong += [
        f"tests/words.py: {name} is done; take it out with python tests/words.py --shrink"
        for name in NOT_YET
        if not found.get(name)
    ]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
