"""The page of `slung inspect`, in a real browser: hostile texts, colors, thresholds, and the buckets as YAML."""

import json
import random
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import yaml
from helpers.pages import EVERY_ACTION, STEP, THREE, at, labeled, random_documents, slow_effects, slow_totals

from axolotl_slung.config import SlungConfig
from axolotl_slung.inspection.page import inspection_page
from axolotl_slung.labeling.scores import moved
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.visible import visible

# every way out of a script element, an attribute or a template that comes to mind, and characters that hide
PAYLOAD = "<img src=x onerror='window.hacked=1'><svg onload=window.hacked=1><script>window.hacked=1</script>"
HOSTILE = [
    PAYLOAD,
    "</script>" + PAYLOAD,
    "<!--<script>",
    "-->" + PAYLOAD,
    "</script " + PAYLOAD,
    "</SCRIPT/" + PAYLOAD,
    "]]>",
    "{{script}}{{data}}",
    "${window.hacked=1}",
    "javascript:window.hacked=1",
    '"};window.hacked=1;//',
    "\\u003c/script>",
    "&lt;b&gt;&amp;",
    "</title></style>",
    "\u2028\u2029",
    "\x00\x1b[31m\x07\x7f\x85",
    "\u202eevil\u2066\u2069\u200f",
    "zero\u200b\u2060\ufeff\u00ad\u115f\u3164width",
    "\ud800",
    "\udc00\ud800",
    "👩\u200d👧",
    "",
    " ",
    "\n\n",
    "\r\n",
    "\t",
    "\u00a0\u3000",
    "שלום",
    "a\u0301" * 50,
    "long" * 2000,
    "__proto__",
]


def units(text):
    return list(memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"))


def test_hostile_texts_stay_texts(open_page):
    length = len(HOSTILE)
    scores = {text: np.linspace(0, 1, length) for text in HOSTILE}
    documents = [labeled(HOSTILE, scores, name=text, partial=np.ones(length)) for text in HOSTILE]
    buckets = (
        Bucket(PAYLOAD, 0.5, Action.TRAIN),
        Bucket("</script>\u202e\ud800", None, Action.CONTROL_TOKEN, token=PAYLOAD),
    )
    page = open_page(documents, buckets, "</script>" + PAYLOAD, dict(zip(HOSTILE, reversed(HOSTILE))))
    page.choose("right", HOSTILE[0])
    assert page.js("return documents.length") == length

    # the page has every character, and draws each as view.visible does
    exact = page.js(
        "const units = (text) => Array.from({length: text.length}, (_, k) => text.charCodeAt(k));"
        "return documents.map((doc) => [units(doc.name), doc.tokens.map(units)])"
    )
    assert exact == [[units(d.name), [units(t) for t in d.tokens]] for d in documents]
    page.classes()  # draws all
    drawn = page.js(
        "return documents.map((doc) => [doc.card.querySelector('.name').textContent,"
        "[...doc.card.querySelectorAll('[data-side=\"1\"]')].map((token) => token.textContent)])"
    )
    assert drawn == [[visible(d.name) or "∅", [visible(t) or "∅" for t in d.tokens]] for d in documents]

    # pointing at each of them does no more
    page.js("for (const token of documents[0].card.querySelectorAll('.text .token')) showTooltip(token)")
    assert page.text("#tooltip dd bdi") == visible(buckets[1].name)
    assert page.text("#title") == page.driver.title == visible("</script>" + PAYLOAD)
    assert page.js("return document.querySelectorAll('script').length") == 2
    assert page.js("return document.querySelectorAll('img, svg, iframe, a, link, object, embed').length") == 0
    assert page.js("return window.hacked") is None


def test_the_browser_itself_forbids_what_the_page_never_does(open_page):
    page = open_page([labeled(["a"])])
    seen = page.driver.execute_async_script(
        """
        const done = arguments[0], seen = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          seen.push(event.effectiveDirective);
          if (seen.length === 4) done(seen.sort());
        });
        try { document.body.innerHTML = "<b>"; } catch { }
        const script = document.createElement("script");
        try { script.text = "window.hacked = 1"; } catch { }
        document.body.append(script);
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/x";
        fetch("http://127.0.0.1:9/x").catch(() => 0);
        """
    )
    assert seen == ["connect-src", "img-src", "require-trusted-types-for", "require-trusted-types-for"]
    assert page.js("return window.hacked") is None
    assert page.driver.get_log("browser")  # the violations, which no other test may leave behind
    events = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    refused = [e["params"].get("blockedReason") for e in events if e["method"] == "Network.loadingFailed"]
    assert refused and set(refused) == {"csp"}


def test_both_views_agree_on_what_hides(open_page):
    codes = [*range(0x3100), *range(0xD7F0, 0xE010), *range(0xF8F0, 0x10010), *range(0xE0000, 0xE0200), 0x1D173]
    # unassigned characters differ between versions of Unicode
    texts = [chr(c) for c in codes if unicodedata.category(chr(c)) != "Cn"]
    page = open_page([labeled(texts)])
    assert page.js("return documents[0].tokens.map((t) => show(make('i'), t).textContent)") == list(map(visible, texts))
    for text in texts:
        hides = unicodedata.category(text)[0] in "ZC" and unicodedata.category(text) != "Co" and text != " "
        assert not hides or visible(text) in "⏎⇥" or visible(text) == f"⟨U+{ord(text):04X}⟩"


@pytest.mark.parametrize("buckets", [THREE, preset("masked"), preset("low_risk"), EVERY_ACTION])
def test_colors_and_counts_at_the_thresholds_of_the_config(open_page, buckets):
    documents = [*random_documents(), labeled([], {"first": [], "second": []}, name="nothing")]
    page = open_page(documents, buckets)
    assert page.effects() == [slow_effects(d, buckets) for d in documents]
    assert page.totals() == slow_totals(documents, buckets)
    assert [["partial" in c for c in d] for d in page.classes()] == [d.partial.tolist() for d in documents]
    for index, document in enumerate(documents):
        said = page.js("return [...documents[arguments[0]].counts.children].map((n) => n.textContent)", index)
        effects = slow_effects(document, buckets)
        expected = {f"{effects.count(e)} {e.replace('_', ' ')}" for e in effects} | {f"{len(effects)} tokens"}
        assert set(said) - {"dropped whole"} == expected
        assert ("dropped whole" in said) == ("drop_document" in effects)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_action_has_a_color_and_a_second_cue_of_its_own(open_page, scheme):
    number = len(Action) + 1
    one = labeled(["a"] * number, score=np.arange(number) * STEP, trainable=[1] * len(Action) + [0])
    page = open_page([one], EVERY_ACTION)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    styles = page.js(
        "return [...document.querySelectorAll('.bucket .token')].map(getComputedStyle)"
        ".map((s) => [s.backgroundColor, `${s.textDecorationLine} ${s.textDecorationStyle} ${s.borderStyle}`, s.color])"
    )
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    backgrounds, cues, inks = zip(*styles)
    assert len(styles) == len(set(backgrounds)) == len(set(cues)) == len(Action) + 1
    for background, ink in zip(backgrounds, inks):
        light, dark = sorted(map(_luminance, (background, ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # what the WCAG asks of text


def _luminance(color):
    channels = [int(c) / 255 for c in color[color.index("(") + 1 : -1].split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_sliders_recolor_as_python_does(open_page):
    rng = random.Random(0)
    documents = random_documents()
    for buckets in (THREE, EVERY_ACTION):
        page = open_page(documents, buckets)
        config = [b.below for b in buckets[:-1]]
        for _ in range(6):
            k = rng.randrange(len(config))
            page.set(f".bound:nth-of-type({2 * k + 2}) [type=range]", round(rng.uniform(-6, 6), 2))
            now = at(buckets, page.bounds())
            written = yaml.safe_load(page.text("#yaml"))["slung"]["buckets"]
            block = SlungConfig(labelers=[{"type": "spans"}], buckets=written)  # so the bounds ascend
            assert block.resolved_buckets() == now
            assert page.effects() == [slow_effects(d, now) for d in documents]
            assert page.totals() == slow_totals(documents, now)
        assert page.bounds() != config
        page.js("document.getElementById('reset').click()")
        assert page.bounds() == config
        assert page.effects() == [slow_effects(d, buckets) for d in documents]


def test_a_slider_resolves_both_ends_and_never_passes_its_neighbor(open_page):
    page = open_page(random_documents(1))
    low, high = ".bound:nth-of-type(2) [type=range]", ".bound:nth-of-type(4) [type=range]"
    page.set(low, -4)
    page.set(high, 4)
    assert page.bounds() == [1e-4, 0.9999]
    page.set(high, 6)
    assert page.bounds() == [1e-4, 1.0]
    page.set(high, 2)
    page.set(low, 5)
    assert 0.98 < page.bounds()[0] < page.bounds()[1] == pytest.approx(0.99, abs=1e-3)
    page.set(low, -6)
    page.set(high, -6)
    assert 1e-6 == page.bounds()[0] < page.bounds()[1] < 1.1e-6
    from selenium.webdriver.common.keys import Keys

    page.driver.find_element("css selector", high).send_keys(Keys.ARROW_RIGHT)
    assert page.bounds()[1] > 1.05e-6


def test_numbers_beside_the_sliders(open_page):
    documents = random_documents(2)
    page = open_page(documents)
    number = ".bound:nth-of-type(2) [type=number]"
    valid = "return document.querySelector(arguments[0]).validity.valid"
    for value in (1e-9, 0.3, 0.98999):
        page.set(number, value)
        assert page.js(valid, number)
        assert page.totals() == slow_totals(documents, at(THREE, [value, 0.99]))
    for value in ("", 0, -1, 0.99, 7):
        page.set(number, value)
        assert not page.js(valid, number)
        assert page.totals() == slow_totals(documents, at(THREE, [0.98999, 0.99]))
    page.set(number, 5, "change")
    assert page.bounds() == [0.98999, 0.99] and page.js(valid, number)


def test_the_yaml_says_exactly_the_buckets(open_page):
    buckets = (
        Bucket("yes", 1e-7, Action.TRAIN),
        Bucket('"quoted" \\ and: {braces}', 0.1 + 0.2, Action.SOFT, 0.1),
        Bucket("1e5 \u202e 👧", 1 - 1e-12, Action.CONTROL_TOKEN, token="<|töxic|>\n"),
        Bucket("made up", 1 - 1e-13, Action.REPLACE, text='"{made_up}" \\ {{x}}', seed=(1 << 53) - 1),
        Bucket("null", 1.0, Action.UNLIKELIHOOD, 1000.0),
        Bucket("rest", None, Action.DROP_SPAN),
    )
    page = open_page([labeled(["a"])], buckets)
    written = yaml.safe_load(page.text("#yaml"))
    block = SlungConfig(labelers=[{"type": "spans"}], **written["slung"])
    assert block.resolved_buckets() == buckets
    assert all(isinstance(b["below"], float | int) for b in written["slung"]["buckets"][:-1])

    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    page.js("document.getElementById('copy').click()")
    read = "const done = arguments[0]; navigator.clipboard.readText().then(done, (e) => done(String(e)))"
    assert page.driver.execute_async_script(read) == page.text("#yaml")


def test_what_is_put_in_stands_behind_its_span(open_page):
    buckets = (Bucket("fine", 0.5, Action.TRAIN), Bucket("personal", None, Action.REPLACE, text="<X>"))
    document = replace(labeled(["to", " ann", "@b", "."], score=[0, 1, 0.6, 0]), put_in={2: "<b>\u202e"})
    page = open_page([document], buckets)
    behind = "return getComputedStyle(document.querySelectorAll('.text .token')[arguments[0]], '::after').content"
    assert page.driver.execute_script(behind, 2) == '" → <b>⟨U+202E⟩"'
    assert page.driver.execute_script(behind, 1) == "none"


def test_notes_and_documents_without_labelers(open_page):
    page = open_page([labeled(["a", "b"])], notes={"tokenizer": "tiny", "overlap": "any"})
    notes = page.js(
        "return [...document.querySelectorAll('#notes > div')].map((n) => [...n.children].map((c) => c.textContent))"
    )
    assert notes == [["tokenizer", "tiny"], ["overlap", "any"]]
    assert page.effects() == [["train", "train"]]
    assert page.text("#summary").endswith("2 tokens of 1 document.")


def test_no_documents(open_page):
    page = open_page([])
    assert page.totals() == [(0, 0)] * 4
    assert page.text("#matches") == "0 of 0 documents"


@pytest.mark.parametrize("wrong", ["score", "trainable", "partial", "scores"])
def test_arrays_of_another_length_are_refused(wrong):
    parts = {"scores": {"first": [0.0, 0.0]}, "score": [0.0, 0.0], "trainable": [1, 1], "partial": [0, 0]}
    parts[wrong] = {"first": [0.0]} if wrong == "scores" else parts[wrong][:1]
    with pytest.raises(ValueError, match=r"^document 1: .* one entry for each of its tokens") as caught:
        inspection_page([labeled(["a"]), labeled(["secret", "b"], **parts)], THREE, "t", {})
    assert "secret" not in str(caught.value)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError):
        inspection_page([labeled(["a"], {"first": [np.nan]})], THREE, "t", {})


def test_sentences_that_share_a_score_take_little_room():
    def size(scores):
        return len(inspection_page([labeled([" word"] * len(scores), {"first": scores})], THREE, "t", {}))

    values = np.random.default_rng(0).random(1000)
    assert size(np.repeat(values, 20)) - size(np.zeros(20_000)) < 60 * len(values)


def test_with_a_method_the_yaml_says_the_cuts_of_each_labeler(open_page):
    own = {"profanity": (0.2, 0.9), "insults": (0.01, 0.5), "presidio": "any"}
    page = open_page([labeled(["a"])], preset("masked", (0.2, 0.9)), cuts=own)
    assert yaml.safe_load(page.text("#yaml"))["cuts"] == {k: v if v == "any" else list(v) for k, v in own.items()}
    page.set(".bound:nth-of-type(2) [type=number]", 0.3)
    page.set(".bound:nth-of-type(4) [type=number]", 0.8)
    written = yaml.safe_load(page.text("#yaml"))["cuts"]
    assert written["profanity"] == [0.3, 0.8] and written["presidio"] == "any"
    assert [moved(cut, own["insults"], (0.2, 0.9)) for cut in written["insults"]] == pytest.approx([0.3, 0.8])
    assert SlungConfig(labelers=[{"type": "spans", "cuts": written}]).scale() == (0.3, 0.8)


def lines_of(page):
    """The tops of the tokens of each line, and which tokens are in it."""
    return page.js(
        "return [...document.querySelectorAll('.text .token')].map((token) => {"
        " const box = token.getBoundingClientRect(); return [box.top, box.left, box.right]; })"
    )


def test_no_line_ends_inside_a_word(open_page):
    """Words of one to nine tokens, at several widths; a row of the page ends between words, too."""
    rng = np.random.default_rng(0)
    words = [[(" " if k == 0 else "") + "abc"[: 1 + n % 3] for k in range(n)] for n in rng.integers(1, 10, 400)]
    tokens = [token for word in words for token in word]
    page = open_page([labeled(tokens)])
    for width in (1300, 700, 380):
        page.driver.set_window_size(width, 900)
        page.js("for (const row of documents[0].rows) fill(row)")
        boxes, at, lines = lines_of(page), 0, set()
        assert len(boxes) == len(tokens)
        for word in words:
            tops = {round(top) for top, _, _ in boxes[at : at + len(word)]}
            assert len(tops) == 1, (width, at, word)
            at, lines = at + len(word), lines | tops
        assert len(lines) > 5
    page.driver.set_window_size(1300, 900)


def test_a_word_longer_than_a_line_does_not_overflow(open_page):
    documents = [labeled([" see", " http", *["://a.b/c"] * 90, " end"]), labeled(["中文"] * 200), labeled(["x" * 4000])]
    page = open_page(documents)
    for width in (1300, 380):
        page.driver.set_window_size(width, 900)
        page.js("for (const doc of documents) for (const row of doc.rows) fill(row)")
        edge = page.js("return document.documentElement.clientWidth")
        assert page.js("return document.documentElement.scrollWidth") <= edge
        assert max(right for _, _, right in lines_of(page)) <= edge
    page.driver.set_window_size(1300, 900)
    # a line of Chinese ends between any two tokens: the first one is as wide as the page
    boxes = lines_of(page)[93:293]
    first = [box for box in boxes if round(box[0]) == round(boxes[0][0])]
    assert len(first) > 5


def test_weights_are_shown(open_page):
    """Behind the last token of each run, in the legend, and in the tooltip."""
    document = replace(labeled(["a", "b", "c", "d"]), weights=np.array([0.3, 0.3, 1.0, -1.0]))
    page = open_page([document])
    shown = page.js(
        "return [...document.querySelectorAll('.text .token')].map((t) => getComputedStyle(t, '::after').content)"
    )
    assert shown == ["none", '"×0.3"', "none", '"×-1"']
    assert page.js("return document.getElementById('weights').hidden") is False
    legend = page.js("return document.getElementById('weights').textContent")
    assert "0 leaves none (tokens: 0), below 0 makes it unlikelihood (tokens: 1)" in legend
    page.js("showTooltip(document.querySelectorAll('.text .token')[3])")
    said = page.js("return document.getElementById('tooltip').textContent")
    assert "weight-1 (unlikelihood where it would be trained)" in said
    assert open_page([labeled(["a"])]).js("return document.getElementById('weights').hidden") is True
