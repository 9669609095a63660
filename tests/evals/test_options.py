"""Options and data of the tasks: what is taken, and what is refused with a mend."""

import json

import pytest
from helpers.harness import about, evaluate, load_task, saying

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.documents import identity, load
from axolotl_slung.evals.services.options import read_options


class TestOptions:
    def test_metadata_goes_before_the_environment(self):
        environment = {"SLUNG_SCORER": "perspective", "SLUNG_PROBE_LAYER": "-2", "SLUNG_JUDGE": "", "PATH": "/"}
        options = read_options({"slung_scorer": "profanity", "pretrained": "x"}, environment)
        assert (options.scorer, options.probe_layer, options.judge) == (("profanity",), -2, None)

    @pytest.mark.parametrize(
        ("given", "layer"), [("all", "all"), ("3", 3), ("0,8, -1", (0, 8, -1)), ([4, 2], (4, 2)), (-2, -2)]
    )
    def test_one_layer_or_several(self, given, layer):
        assert read_options({"slung_probe_layer": given}, {}).probe_layer == layer
        for wrong in ("every", "1,", "1.5", [], ["a"], None):
            with pytest.raises(SlungError, match="--metadata slung_probe_layer: .*this value cannot be used"):
                read_options({"slung_probe_layer": wrong}, {})

    def test_the_hooks_variable_is_no_option(self):
        assert read_options({}, {"SLUNG_LM_EVAL_HOOK": "0"}).protocol == "paper"

    @pytest.mark.parametrize(
        ("metadata", "environment", "said"),
        [
            (
                {},
                {"SLUNG_PROTOCOL": "mine"},
                r"SLUNG_PROTOCOL: 'mine': expected one of paper, released \(Measure as",
            ),
            (
                {"slung_max_unscored": 2},
                {},
                r"--metadata slung_max_unscored: 2: this value cannot be used \(The task fails if more than",
            ),
            (
                {},
                {"SLUNG_SCORE": "profanity"},
                r"SLUNG_SCORE: unknown option; did you mean SLUNG_SCORER\? expected one of .*SLUNG_SCORER",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, metadata, environment, said):
        with pytest.raises(SlungError, match=said):
            read_options(metadata, environment)

    def test_a_key_in_the_wrong_place_is_not_repeated(self):
        with pytest.raises(SlungError, match="go into the variables OPENAI_API_KEY") as caught:
            read_options({"slung_api_key": "sk-very-secret"}, {})
        assert "sk-very-secret" not in str(caught.value)
        assert caught.value.__suppress_context__


class TestDocuments:
    def write(self, tmp_path, *lines):
        path = tmp_path / "rows.jsonl"
        path.write_text(
            "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8"
        )
        return str(path)

    def test_a_local_file(self, tmp_path):
        source = self.write(tmp_path, {"prompt": "a\u2028b", "more": 1}, "", {"prompt": "c"})
        assert load("SLUNG_TOXICITY_PROMPTS", source, ["prompt"])["prompt"] == ["a\u2028b", "c"]

    def test_prompts_as_realtoxicityprompts_publishes_them(self, tmp_path):
        source = self.write(tmp_path, {"prompt": {"text": "a", "toxicity": 0.1}, "continuation": {"text": "b"}})
        assert load("SLUNG_TOXICITY_PROMPTS", source, ["prompt"])["prompt"] == ["a"]

    def test_an_optional_column_is_kept_only_where_all_rows_have_it(self, tmp_path):
        rows = [{"question": "q", "answer": "a", "author": "A B"}, {"question": "q", "answer": "a"}]
        kept = [
            load("SLUNG_TOFU", self.write(tmp_path, *some), ["question"], ["author"]).column_names
            for some in (rows[:1], rows)
        ]
        assert kept == [["question", "author"], ["question"]]

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (["{}"], "row 1 of .* has no text in `text`"),
            (['{"text": "a"}', '{"text": null}'], "row 2 of .* has no text in `text`"),
            (['{"text": "a"}', "nonsense"], "line 2 of .* is not a JSON object"),
            (['{"text": 7}'], "row 1 of .* has no text in `text`"),
            (["[1]"], "line 1 of .* is not a JSON object"),
            ([""], ".* has no rows"),
        ],
    )
    def test_broken_files_are_told_by_their_line(self, tmp_path, lines, said):
        with pytest.raises(SlungError, match=f"SLUNG_PERPLEXITY_TEXT: {said}"):
            load("SLUNG_PERPLEXITY_TEXT", self.write(tmp_path, *lines), ["text"])

    def test_toxicity_is_a_number(self, tmp_path):
        for wrong in ("0.5", True, None):
            with pytest.raises(
                SlungError, match="row 1 of .* has no number in `toxicity`; expected columns: text, toxicity"
            ):
                load(
                    "SLUNG_CIVILCOMMENTS", self.write(tmp_path, {"text": "a", "toxicity": wrong}), ["text", "toxicity"]
                )

    def test_no_file_no_hub_id_and_no_hub(self, tmp_path):
        for source, said in [
            (str(tmp_path / "no.jsonl"), "cannot read"),
            ("what is this", "'what is this': expected `embedded`"),
            ("embeded", "hub does not give 'embeded'"),
            ("some/thing", "hub does not give 'some/thing': .*SLUNG_TOFU=embedded"),
        ]:
            with pytest.raises(SlungError, match=said):
                load("SLUNG_TOFU", source, ["question"])

    def test_nothing_falls_back_to_the_embedded_rows(self):
        for option, columns in {
            "SLUNG_TOXICITY_PROMPTS": ["prompt"],
            "SLUNG_CIVILCOMMENTS": ["text", "toxicity"],
            "SLUNG_TOFU": ["question", "answer", "author"],
            "SLUNG_PERPLEXITY_TEXT": ["text"],
            "SLUNG_PERPLEXITY_REDDIT": ["text"],
        }.items():
            assert len(load(option, "embedded", columns)) >= 24
            with pytest.raises(SlungError):
                load(option, "", columns)

    def test_the_identity_is_of_the_rows_and_hides_the_folder(self, tmp_path):
        rows = [{"text": "a"}, {"text": "b"}]
        source = self.write(tmp_path, *rows)
        said = identity(source, rows)
        assert (said["source"], said["rows"]) == ("rows.jsonl", 2)
        assert (
            said["digest"] == identity("elsewhere/rows.jsonl", rows)["digest"] != identity(source, rows[::-1])["digest"]
        )


class TestHub:
    """A folder `owner/name` in the working directory is what `datasets` reads in place of the hub's."""

    def repository(self, tmp_path, monkeypatch, **splits):
        folder = tmp_path / "some" / "data"
        folder.mkdir(parents=True)
        for split, rows in splits.items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def test_splits_and_columns(self, tmp_path, monkeypatch):
        rows = [{"text": "a", "toxicity": 0.5, "more": 1}]
        self.repository(tmp_path, monkeypatch, train=rows * 3, test=rows * 2)
        assert len(load("SLUNG_CIVILCOMMENTS", "some/data", ["text", "toxicity"], splits=["train"])) == 3
        found = load("SLUNG_CIVILCOMMENTS", "some/data", ["text", "toxicity"])
        assert (len(found), found.column_names) == (2, ["text", "toxicity"])
        assert len(load("SLUNG_CIVILCOMMENTS", "some/data:default:train", ["text"])) == 3
        with pytest.raises(SlungError, match="'some/data' has no column 'prompt'; it has text, toxicity, more"):
            load("SLUNG_CIVILCOMMENTS", "some/data", ["prompt"])
        with pytest.raises(SlungError, match="has no split 'dev'; it has train, test"):
            load("SLUNG_CIVILCOMMENTS", "some/data:default:dev", ["text"])

    def test_prompts_that_are_mappings_as_on_the_hub(self, tmp_path, monkeypatch):
        rows = [{"prompt": {"text": f"p{n}", "toxicity": None}} for n in range(3)]
        self.repository(tmp_path, monkeypatch, train=rows)
        monkeypatch.setenv("SLUNG_TOXICITY_PROMPTS", "some/data")
        model = saying(lambda prompt: " fine")
        results = evaluate("slung_toxicity", model)
        assert [prompt for prompt, _ in model.asked] == ["p0", "p1", "p2"]
        assert about(results, "slung_toxicity")["data"]["source"] == "some/data"

    def test_rows_without_a_value(self, tmp_path, monkeypatch):
        self.repository(tmp_path, monkeypatch, train=[{"text": "a", "toxicity": 0.5}, {"text": "b", "toxicity": None}])
        with pytest.raises(SlungError, match="'some/data' has rows without `toxicity`"):
            load("SLUNG_CIVILCOMMENTS", "some/data", ["text", "toxicity"], splits=["train"])

    @pytest.mark.parametrize("named", ["some/data", "some/data:default:train"])
    def test_without_a_test_split_the_sets_stay_apart(self, tmp_path, monkeypatch, named):
        self.repository(tmp_path, monkeypatch, train=[{"text": f"{n}", "toxicity": n % 2} for n in range(40)])
        monkeypatch.setenv("SLUNG_CIVILCOMMENTS", named)
        for train, test in load_task("slung_civilcomments").draws:
            assert train and test and not set(train) & set(test)

    def test_the_probe_is_tested_on_the_test_split(self, tmp_path, monkeypatch):
        splits = {
            kind: [{"text": f"{kind} {n}", "toxicity": n % 2} for n in range(n)]
            for kind, n in (("train", 40), ("test", 20))
        }
        self.repository(tmp_path, monkeypatch, **splits)
        monkeypatch.setenv("SLUNG_CIVILCOMMENTS", "some/data")
        task = load_task("slung_civilcomments")
        texts = task.dataset["test"]["text"]
        for train, test in task.draws:
            assert {texts[place].split()[0] for place in train} == {"train"}
            assert {texts[place].split()[0] for place in test} == {"test"}
