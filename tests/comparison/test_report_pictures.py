"""`slung report`: its pictures and its page, with names that mean harm."""

import itertools
import json
import re
import unicodedata
from xml.etree import ElementTree

import pytest
from helpers.reported import SCORER, TOX, everything, put, quantities, refused, row, run, tofu, toxic, write
from helpers.shown import HOSTILE, Reader


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_quantities_are_curves_in_order(tmp_path):
    printed, figures = run(tmp_path, *quantities(tmp_path))
    order = [(method["label"], method["quantity"]) for method in figures["methods"]]
    amounts = [20_000_000, 40_000_000, 80_000_000, 1_500_000_000]
    assert order == [("control", None), *itertools.product(["masked", "toxic baseline"], amounts)]
    assert row(printed, "masked @ 40M")[1] == "0.0900"
    picture = (tmp_path / "report" / "quantity.svg").read_text()
    # of the toxic baseline and of the panels' axis; the frontier's members have their method's name too
    assert [picture.count(f">{name}<") for name in ("20M", "40M", "80M", "1.5B")] == [1, 2, 2, 2]
    named = ["control", "masked 20M", "toxic baseline 20M", "masked 40M", "masked 80M", "masked 1.5B"]
    # beside its point, and `control` in the legend too
    assert [picture.count(f">{name}<") for name in named] == [2, 1, 1, 1, 1, 1]
    assert all(name in picture for name in ("toxicity of generations (lower is better)", "tokens of risky data"))


@pytest.mark.parametrize("amount", ["", "many", "0", "-5M", "20G", "nan", "1e9"])
def test_quantities_that_are_none(tmp_path, amount):
    folder = write(tmp_path / "r", "a", toxic(0.1, 0.8))
    assert f"'{amount}': expected a number of tokens above 0, such as 20M" in refused(f"a@{amount}={folder}")


def test_pictures_are_the_same_each_time_and_only_those_that_there_are(tmp_path):
    from matplotlib.image import imread

    sources, folder = everything(tmp_path), tmp_path / "report"
    run(tmp_path, *sources)
    names = {f"{name}.{kind}" for name in ("plane", "quantity", "names") for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {*names, "report.html"}
    before = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        if name.endswith("png"):
            height, width, _ = imread(folder / name).shape
            assert 700 < height < width < 2000
        else:
            assert ElementTree.parse(folder / name).getroot().tag == "{http://www.w3.org/2000/svg}svg"
            assert b"dc:date" not in before[name] and b"metadata" not in before[name]
    run(tmp_path, *sources)
    assert before == {name: (folder / name).read_bytes() for name in names}
    run(tmp_path, sources[0])
    # the pictures of the first report would be taken for the second's
    assert {path.name for path in folder.iterdir()} == {"report.html", "plane.png", "plane.svg"}


CHAT = {"chat_template": "x", "chat_template_sha": "0123456789abcdef"}


def both_planes(tmp_path):
    """Two methods, pretrained and tuned: the tuned ones are asked in a chat template."""
    arguments = []
    for label, at in (("control", 0.05), ("masked", 0.08)):
        arguments.append(f"{label}={write(tmp_path / label, label, toxic(at, 0.7 + at))}")
        tuned = write(
            tmp_path / f"{label}-t", f"{label}-t", toxic(at / 2, 0.8 + at), change=lambda content: content.update(CHAT)
        )
        arguments += ["--tuned", f"{label}={tuned}"]
    return arguments


def test_pretrained_and_tuned_models_have_a_plane_each(tmp_path):
    run(tmp_path, write(tmp_path / "alone", "alone", toxic(0.1, 0.8)))
    printed, figures = run(tmp_path, *both_planes(tmp_path))
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "planes.png", "planes.svg"}
    order = [(method["label"], method["tuned"]) for method in figures["methods"]]
    assert order == [(label, tuned) for tuned in (False, True) for label in ("control", "masked")]
    # the control of each stage is on its frontier, and tuned models do not push pretrained ones off theirs
    for name in ("control", "masked", "control (tuned)", "masked (tuned)"):
        assert row(printed, name)[-1] == "yes"
    picture = (tmp_path / "report" / "planes.svg").read_text()
    assert picture.count(">pretrained<") == picture.count(">instruction-tuned<") == 1
    # in both panels and in the legend
    assert [picture.count(f">{label}<") for label in ("control", "masked")] == [3, 3]
    assert "different chat-template" not in printed


def test_tuned_models_are_compared_among_themselves(tmp_path):
    arguments = both_planes(tmp_path)
    _, figures = run(tmp_path, *arguments, "--against", "control")
    pairs = {(each["method"], each["against"]) for each in figures["differences"]}
    assert pairs == {("masked", "control"), ("masked (tuned)", "control (tuned)")}
    other = write(tmp_path / "other", "other", toxic(0.1, 0.8))
    assert "chat-template: yes in" in refused(*arguments, "--tuned", f"other={other}")
    assert "chat-template: no in" in refused(*arguments, f"other={tmp_path / 'control-t'}")
    scored = write(tmp_path / "scored", "scored", toxic(0.1, 0.8), change=put(*SCORER, "name", value="other"))
    assert "scorer.name" in refused(*arguments, "--tuned", f"scored={scored}")
    only, _ = run(tmp_path, *(argument for argument in arguments if argument != "--tuned" and "-t" in argument))
    assert (tmp_path / "report" / "plane.svg").exists() and "(tuned)" not in only


NAMES = (
    HOSTILE.replace("/", "|"),
    "$x$ \\$\\alpha$ $",
    "_hidden",
    "w" * 300,
    "\u202eevil\ud800",
    "]]>--><b>&amp;",
    'id="x',
)


def test_hostile_labels_are_shown_and_nothing_more(tmp_path):
    for number, name in enumerate(NAMES):
        tasks = {**toxic(0.1 + 0.01 * number, 0.8), **tofu(0.1 * number, 0.2)}
        write(tmp_path / f"r{number}", name, tasks, change=put(*TOX, "metadata", "slung", "protocol", value=HOSTILE))
    # a backslash in a model's name parts folders
    labels = [f"{name}=" if "\\" in name else "" for name in NAMES]
    printed, _ = run(tmp_path, *(f"{label}{tmp_path / f'r{number}'}" for number, label in enumerate(labels)))
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert not {tag for tag, _ in reader.tags} & {"script", "img", "b", "iframe", "object", "link", "a", "metadata"}
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on") or name == "src"]
    links = [value for _, attributes in reader.tags for name, value in attributes.items() if name.endswith("href")]
    assert links and all(link.startswith("#") for link in links)
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) and {link[1:] for link in links} <= set(ids)
    for shown in (page, printed):
        assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    for name in ("plane", "names"):
        tree = ElementTree.parse(tmp_path / "report" / f"{name}.svg")
        shown = "".join(tree.getroot().itertext())
        for said in (
            "<script>alert(1)",
            "$x$ \\$\\alpha$ $",
            "_hidden",
            "⟨U+202E⟩evil⟨U+D800⟩",
            "]]>--><b>&amp;",
            'id="x',
        ):
            assert said in shown
        assert re.search(r"\bw{24}\s+w{24}\s+…", shown)


def test_hostile_settings_in_an_error(tmp_path):
    one = write(tmp_path / "a", "a", toxic(0.1, 0.8))
    change = put(*TOX, "metadata", "slung", "protocol", value="\x1b[31m\u202e")
    said = refused(one, write(tmp_path / "b", "b", toxic(0.1, 0.8), change=change))
    assert "⟨U+001B⟩[31m⟨U+202E⟩" in said and "\x1b" not in said and "\u202e" not in said


OUTSIDE = """
return [...document.querySelectorAll('svg')].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter((text) => {
    const box = text.getBoundingClientRect();
    const across = box.left >= frame.left && box.right <= frame.right + 1;
    return !(box.width && across && box.top >= frame.top && box.bottom <= frame.bottom + 1);
  }).map((text) => text.textContent);
})"""
OVERLAPPING = """
return [...document.querySelectorAll('svg')].flatMap((svg) => {
  const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return texts.flatMap(([one, a], n) => texts.slice(n + 1).filter(([other, b]) =>
    a.left + 1 < b.right && b.left + 1 < a.right && a.top + 4 < b.bottom && b.top + 4 < a.bottom
  ).map(([other]) => [one, other]));
})"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_in_a_browser(tmp_path, chromium, theme):
    sources = everything(tmp_path)
    long = write(tmp_path / "long", "long", toxic(0.3, 0.9))
    wide = write(tmp_path / "wide", "wide", toxic(0.2, 0.9))
    run(tmp_path, *sources, f"{'many words ' * 30}={long}", f"{'W' * 300}={wide}")
    chromium.get_log("performance")
    chromium.get_log("browser")
    chromium.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    url = (tmp_path / "report" / "report.html").as_uri()
    chromium.get(url)
    js = chromium.execute_script
    assert js("return [...document.querySelectorAll('svg')].map((svg) => svg.getAttribute('role'))") == ["img"] * 3
    titles = js("return [...document.querySelectorAll('svg > title')].map((title) => title.textContent)")
    assert [title.split(".")[0] for title in titles] == [
        "Toxicity of generations against understanding of toxicity",
        "Toxicity of generations against understanding of toxicity, by tokens of risky data",
        "Names against correctness",
    ]
    # dark on a white panel, in both themes
    fills = js("return [...document.querySelectorAll('svg text')].map((text) => getComputedStyle(text).fill)")
    assert "rgb(29, 31, 35)" in fills and "rgb(0, 158, 115)" not in fills[:1]
    page_ink = js("return getComputedStyle(document.querySelector('.note')).color")
    assert page_ink not in fills
    panels = js(
        "return [...document.querySelectorAll('svg')].map((svg) => getComputedStyle(svg.querySelector('path')).fill)"
    )
    assert panels == ["rgb(255, 255, 255)"] * 3
    # styles inside a picture do not reach the page
    assert js("return getComputedStyle(document.querySelector('h1')).strokeLinejoin") == "miter"
    assert js("return getComputedStyle(document.querySelector('svg path')).strokeLinejoin") == "round"
    assert js(OUTSIDE) == []
    assert js(OVERLAPPING) == []
    assert js("return document.documentElement.scrollWidth <= window.innerWidth")
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {request["request"]["url"] for request in sent if request["documentURL"] == url} == {url}
