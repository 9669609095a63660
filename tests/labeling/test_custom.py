import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from axolotl_slung.config import SlungConfig
from axolotl_slung.labeling import CustomLabeler, LabelerError, RowError
from axolotl_slung.labeling.build import build

KEY = "slung.labelers[0]"
SHOUTING = '''
class Shouting:
    """Words in capitals."""

    def __init__(self, letters=2, score=0.9):
        self.letters, self.score = letters, score

    def label(self, texts, rows):
        labeled = []
        for text in texts:
            spans, start = [], 0
            for word in text.split(" "):
                if word.isupper() and len(word) >= self.letters:
                    spans.insert(0, (start, start + len(word), self.score))
                start += len(word) + 1
            labeled.append(spans)
        return labeled
'''


def test_a_plain_class_in_a_file(write, tmp_path):
    labeler = write(SHOUTING, "Shouting", letters=3)
    labeler.check()
    assert labeler.label(["STOP it NOW or", ""], [{}, {}]) == [[(0, 4, 0.9, "", ""), (8, 11, 0.9, "", "")], []]
    assert labeler.annotate(["NOW"], [{}])[0][0].labeler == "labeler"
    assert labeler.files() == [tmp_path / "labelers/mine.py"]
    assert (labeler.scope, labeler.reads_row, labeler.cached, labeler.packages) == ("document", False, False, ())


def test_modules_of_the_current_folder(write):
    write(SHOUTING, "Shouting", "my_shouting_labelers.py")
    labeler = CustomLabeler(KEY, "my_shouting_labelers:Shouting")
    labeler.check()
    assert labeler.files() == [Path("my_shouting_labelers.py").resolve()]
    assert len(labeler.label(["STOP it"], [{}])[0]) == 1


def test_a_console_script_finds_the_current_folder_too(write, tmp_path):
    """Its sys.path begins with the folder of the script."""
    write(SHOUTING, "Shouting", "my_labelers.py")
    script = tmp_path / "bin" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "from axolotl_slung.labeling import CustomLabeler\n"
        "print(len(CustomLabeler('slung.labelers[0]', 'my_labelers:Shouting').label(['STOP'], [{}])[0]))"
    )
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout == "1\n"


def test_a_class_derived_from_labeler(write, tmp_path):
    (tmp_path / "words.txt").write_text("fool")
    code = """
from pathlib import Path
from axolotl_slung.labeling import Labeler, LabelerError, Span

class Words(Labeler):
    scope = "text"
    cached = True
    packages = ("regex",)

    def __init__(self, key, path):
        super().__init__(key)
        self.path = Path(path)

    def check(self):
        if not self.path.read_text():
            raise LabelerError(f"{self.key}.options.path: {self.path} is empty")

    def files(self):
        return [self.path]

    def label(self, texts, rows):
        word = self.path.read_text()
        return [[Span(text.index(word), text.index(word) + len(word), 1, "word")] for text in texts]
"""
    labeler = write(code, "Words", path="words.txt")
    labeler.check()
    assert (labeler.scope, labeler.cached, labeler.packages) == ("text", True, ("regex",))
    assert labeler.files() == [tmp_path / "labelers/mine.py", Path("words.txt")]
    assert labeler.label(["a fool"], [{}]) == [[(2, 6, 1.0, "word", "")]]
    (tmp_path / "words.txt").write_text("")
    with pytest.raises(LabelerError, match=r"^slung\.labelers\[0\]\.options\.path: words\.txt is empty"):
        write(code, "Words", path="words.txt").check()
    with pytest.raises(LabelerError, match=r"Words: check\(\) failed: FileNotFoundError in mine\.py, line 15$"):
        write(code, "Words", path="none.txt").check()


@pytest.mark.parametrize(
    ("traits", "reads"),
    [
        ("", False),
        ("scope = 'text'", True),
        ("scope = 'text'; reads_escapes = False", False),
        ("reads_escapes = True", True),
        ("scope = 'text'; reads_row = True", False),
    ],
)
def test_escaped_texts_are_read_where_the_characters_alone_count(write, traits, reads):
    labeler = write(f"{SHOUTING}\n    {traits}\n", "Shouting", letters=3)
    labeler.check()
    text = r"so\nSTOP now"
    assert labeler.label([text], [{}]) == [[]]
    assert labeler.annotate([text, "NOW"], [{}, {}]) == [[], [(0, 3, 0.9, "labeler", "")]]
    text = r"so \u0053TOP now"
    assert labeler.annotate([text], [{}]) == [[(3, 12, 0.9, "labeler", "")] if reads else []]


def test_a_class_that_reads_a_column(write):
    code = """
class Flags:
    reads_row = True
    text_field = "body"

    def label(self, texts, rows):
        return [[(0, len(text), row["risk"])] for text, row in zip(texts, rows)]
"""
    labeler = write(code, "Flags")
    labeler.check()
    assert (labeler.reads_row, labeler.text_field) == (True, "body")
    assert labeler.label(["abc"], [{"risk": 0.25}]) == [[(0, 3, 0.25, "", "")]]


def test_worker_processes_make_their_own(write):
    labeler = write(SHOUTING, "Shouting")
    labeler.check()
    pickled = pickle.dumps(labeler)
    assert len(pickled) < 500
    assert pickle.loads(pickled).label(["STOP"], [{}]) == [[(0, 4, 0.9, "", "")]]


def test_a_file_is_read_anew(write):
    assert write(SHOUTING, "Shouting").label(["STOP"], [{}])[0][0].score == 0.9
    assert write(SHOUTING.replace("0.9", "0.4"), "Shouting").label(["STOP"], [{}])[0][0].score == 0.4


def test_what_changes_the_labels_changes_the_digest(write):
    def digest(code, **options):
        write(code, "Shouting")
        entry = {"type": "custom", "class_path": "labelers/mine.py:Shouting", "options": options, "cuts": [1e-4, 0.99]}
        return build(SlungConfig(labelers=[entry]))[0].digest

    assert digest(SHOUTING) == digest(SHOUTING)
    assert len({digest(SHOUTING), digest(SHOUTING + "\n"), digest(SHOUTING, letters=3)}) == 3


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        ("None", r"expected one list of spans for each of 2 texts, got a NoneType$"),
        ("[[]]", r"expected one list of spans for each of 2 texts, got length 1$"),
        ("[[], [], []]", r"texts, got length 3$"),
        ("([] for text in texts)", r"texts, got a generator$"),
        ("[[], (x for x in texts)]", r"expected a list of spans for each text, got a generator$"),
        ("[[], 'secret']", r"expected a list of spans for each text, got a str$"),
        ("[['secret'], []]", r"a span: expected \(start, end, score\), got a str$"),
        ("[[], [(0, 1)]]", r"a span: expected \(start, end, score\), got a tuple$"),
        ("[[], [('secret', 1, 1)]]", r"a span: start and end: expected integers, got str and int$"),
        ("[[], [(0, 1.0, 1)]]", r"expected integers, got int and float$"),
        ("[[], [(0, True, 1)]]", r"expected integers, got int and bool$"),
        ("[[(0, 7, 1)], []]", r"a span: \[0, 7\) is empty or outside the text of 6 characters$"),
        ("[[(2, 2, 1)], []]", r"\[2, 2\) is empty or outside the text of 6 characters$"),
        ("[[(-1, 2, 1)], []]", r"\[-1, 2\) is empty or outside the text of 6 characters$"),
        ("[[(0, 2, 1.01)], []]", r"a span: score: expected a number from 0 to 1$"),
        ("[[(0, 2, float('nan'))], []]", r"score: expected a number from 0 to 1$"),
        ("[[(0, 2, texts[0])], []]", r"score: expected a number from 0 to 1$"),
        ("[[(0, 2, None)], []]", r"score: expected a number from 0 to 1$"),
        ("[[(0, 2, 1, texts[0] + chr(27))], []]", r"a span: its name: expected only letters, digits and _ \. -$"),
        ("[[(0, 2, 1, None)], []]", r"a span: its name: expected text, got null$"),
        ("[[(0, 2, 1, '', 7)], []]", r"a span: its kind: expected text, got a number$"),
        ("[[(0, 2, 1, '', '', '')], []]", r"a span: expected \(start, end, score\), got a tuple$"),
    ],
)
def test_output_is_checked(write, gives, says):
    labeler = write(f"class Odd:\n    def label(self, texts, rows):\n        return {gives}\n", "Odd")
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[0\]: .*:Odd: label\(\): .*{says}") as caught:
        labeler.label(["secret", "text"], [{}, {}])
    assert "secret" not in str(caught.value)
    if "texts, got" not in says:
        assert list(caught.value.problems) == [0 if gives.endswith(", []]") else 1]


def test_a_class_says_which_rows_it_cannot_label(write):
    """Its own `RowError` keeps its rows. All rows with wrong spans are named at once."""
    code = (
        "from axolotl_slung.labeling import RowError\n\nclass Picky:\n    def label(self, texts, rows):\n"
        "        bad = {n: 'has no author' for n, row in enumerate(rows) if 'author' not in row}\n"
        "        if bad:\n            raise RowError('author', bad)\n        return [[(0, 99, 1)] for text in texts]\n"
    )
    labeler = write(code, "Picky")
    with pytest.raises(RowError) as caught:
        labeler.label(["a", "b", "c"], [{"author": 1}, {}, {}])
    assert caught.value.problems == {1: "has no author", 2: "has no author"}
    with pytest.raises(RowError) as caught:
        labeler.label(["a", "b"], [{"author": 1}] * 2)
    assert list(caught.value.problems) == [0, 1]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.problems == caught.value.problems


def test_a_class_may_empty_its_lists_and_call_exit(write):
    code = (
        "class Odd:\n    def label(self, texts, rows):\n        if 'exit' in texts: raise SystemExit('secret')\n"
        "        found = []\n        while texts:\n            texts.pop(0), rows.pop(0)\n"
        "            found.append([(0, 1, 0.5)])\n        return found\n"
    )
    texts, rows = ["secret", "b"], [{}, {}]
    labeler = write(code, "Odd")
    assert labeler.label(texts, rows) == [[(0, 1, 0.5, "", "")]] * 2 and len(texts) == len(rows) == 2
    with pytest.raises(LabelerError, match=r"label\(\) failed: SystemExit in mine\.py, line 3$"):
        labeler.label(["exit"], [{}])


def test_numbers_of_numpy_are_numbers(write):
    code = (
        "import numpy as np\n\nclass Odd:\n    def label(self, texts, rows):\n"
        "        return [[(np.int64(0), np.int32(2), np.float32(0.5))]]\n"
    )
    ((span,),) = write(code, "Odd").label(["secret"], [{}])
    assert span == (0, 2, 0.5, "", "") and [type(part) for part in span] == [int, int, float, str, str]


def test_an_error_in_label_says_where_and_no_text(write):
    code = "class Odd:\n    def label(self, texts, rows):\n        return [int(text) for text in texts]\n"
    says = r"^slung\.labelers\[0\]: labelers/mine\.py:Odd: label\(\) failed: ValueError in mine\.py, line 3$"
    with pytest.raises(LabelerError, match=says) as caught:
        write(code, "Odd").label(["secret"], [{}])
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("code", "name", "options", "says"),
    [
        (
            "import not_a_module",
            "Odd",
            {},
            r"\.class_path: .*: import failed: ModuleNotFoundError for 'not_a_module'; install",
        ),
        ("class Odd(:", "Odd", {}, r"\.class_path: .*: import failed: SyntaxError in mine\.py, line 1$"),
        ("int('secret')", "Odd", {}, r"\.class_path: .*: import failed: ValueError in mine\.py, line 1$"),
        (SHOUTING, "Shooting", {}, r"\.class_path: .*:Shooting: is not a class in .*mine"),
        ("Odd = 1", "Odd", {}, r"\.class_path: .* is not a class in "),
        ("class Odd: pass", "Odd", {}, r"\.class_path: .* has no method label\(texts, rows\); add it$"),
        (SHOUTING, "Shouting", {"volume": 3}, r"\.options: .* TypeError: .*unexpected keyword argument 'volume'$"),
        (
            "class Odd:\n  label = print\n  def __init__(self): int('secret')",
            "Odd",
            {},
            r"\.options: .* ValueError in mine\.py, line 3$",
        ),
        (
            SHOUTING + "    reads_escapes = 'no'",
            "Shouting",
            {},
            r"\.class_path: .* reads_escapes: expected True, False or None, got 'no'$",
        ),
        (
            SHOUTING + "    scope = 'page'",
            "Shouting",
            {},
            r"\.class_path: .* scope: expected 'text' or 'document', got 'page'$",
        ),
        (
            SHOUTING + "    packages = ('no-such-thing',)",
            "Shouting",
            {},
            r"\.class_path: .* packages: 'no-such-thing' is not installed; ",
        ),
        (
            SHOUTING + "    def files(self): return ['none.txt']",
            "Shouting",
            {},
            r": .* files\(\) returned none\.txt, which is not a file",
        ),
        (SHOUTING + "    def files(self): return None", "Shouting", {}, r": .* expected a list of paths, got null"),
        (SHOUTING + "    def files(self): return 'a.txt'", "Shouting", {}, r": .* expected a list of paths, got a str"),
        (
            SHOUTING + "    def check(self): raise SystemExit('secret')",
            "Shouting",
            {},
            r": .* check\(\) failed: SystemExit",
        ),
        (SHOUTING + "    packages = 'regex'", "Shouting", {}, r"\.class_path: .* packages: expected a list of names"),
        (SHOUTING + "    packages = None", "Shouting", {}, r"\.class_path: .* packages: expected a list of names"),
        (SHOUTING + "    most_processes = 0", "Shouting", {}, r"\.class_path: .* most_processes: .*, got 0$"),
        (SHOUTING + "    text_field = 5", "Shouting", {}, r"\.class_path: .* text_field: .*, got 5$"),
    ],
)
def test_classes_that_cannot_be_used(write, code, name, options, says):
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[0\]{says}") as caught:
        write(code, name, **options).check()
    assert "secret" not in str(caught.value)


def test_modules_that_are_not_there(write):
    write(SHOUTING, "Shouting")
    for path, says in (
        ("labelers/none.py:Shouting", r"ImportError for '.*none\.py'; install it or check the name$"),
        ("not_a_module:Shouting", r"ModuleNotFoundError for 'not_a_module'; install it or check the name$"),
    ):
        with pytest.raises(LabelerError, match=rf"^slung\.labelers\[0\]\.class_path: {path}: import failed: {says}"):
            CustomLabeler(KEY, path).check()
