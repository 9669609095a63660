"""Reading the page of `slung inspect`: filters, labelers side by side, tooltips, long documents."""

import numpy as np
from helpers.pages import THREE, at, labeled, random_documents, slow_effects, slow_totals

from axolotl_slung.labels.tokens import buckets_of


def test_filters(open_page):
    documents = [
        labeled([" Über", "cat"], {"first": [0, 0]}, name="plain"),
        labeled(["a", " dog"], {"first": [0, 0.5]}, name="masked"),
        labeled(["a", " do", "g"], {"first": [0.1, 0, 0.995]}, name="both", partial=[1, 0, 0]),
        labeled(["a", " Bird"], {"first": [0, 0.999]}, trainable=[1, 0], name="a user's turn"),
    ]
    page = open_page(documents)
    assert page.shown() == [0, 1, 2, 3]
    for wanted, expected in {"DOG": [1, 2], "über": [0], "user": [3], "a do": [1, 2], "none": []}.items():
        page.set("#search", wanted)
        assert page.shown() == expected
        assert page.text("#matches") == f"{len(expected)} of 4 documents"
    assert page.js("return document.getElementById('nothing').checkVisibility()")
    page.set("#search", "")
    for having, expected in {
        "bucket doubtful": [1, 2],
        "action unlikelihood": [2],
        "action train": [0, 1, 2, 3],
        "tokens left out": [3],
        "tokens in different buckets": [2],
        "labelers that differ": [],
        "anything": [0, 1, 2, 3],
    }.items():
        page.choose("having", having)
        assert page.shown() == expected
    for lowest, expected in {"0.5": [1, 2, 3], "0.995": [2, 3], "0.9951": [3], "1": [], "0": [0, 1, 2, 3]}.items():
        page.set("#lowest", lowest)
        assert page.shown() == expected
    # filters follow the sliders
    page.choose("having", "action unlikelihood")
    page.set(".bound:nth-of-type(4) [type=number]", 0.4)
    assert page.shown() == [1, 2]
    page.set("#search", "masked")
    assert page.shown() == [1]


def test_two_labelers_side_by_side(open_page):
    documents = random_documents()
    alone = labeled(["a", "b", "c"], {"second": [0, 0.5, 1]}, name="the first labeler found nothing")
    page = open_page([*documents, alone])
    for left, right in [("first", "second"), ("all combined", "first"), ("second", "second")]:
        page.choose("left", left)
        page.choose("right", right)
        for bounds in ([1e-4, 0.99], [0.125, 0.5]):
            page.set(".bound:nth-of-type(2) [type=number]", bounds[0])
            page.set(".bound:nth-of-type(4) [type=number]", bounds[1])
            now = at(THREE, bounds)
            sides = [
                [d.score if name == "all combined" else d.scores.get(name, np.zeros(3)) for d in [*documents, alone]]
                for name in (left, right)
            ]
            differs = [buckets_of(a, now) != buckets_of(b, now) for a, b in zip(*sides)]
            for side in (0, 1):
                expected = [slow_effects(d, now, s) for d, s in zip([*documents, alone], sides[side])]
                assert page.effects(side) == expected
                assert [["differs" in c for c in d] for d in page.classes(side)] == [d.tolist() for d in differs]
                assert page.totals(side) == slow_totals([*documents, alone], now, sides[side])
            said = page.text("#differences").replace(",", "").split()
            assert said[0] == str(sum(map(np.count_nonzero, differs))) and said[-1] == "differ"
            page.choose("having", "labelers that differ")
            assert page.shown() == [k for k, d in enumerate(differs) if d.any()]
            page.choose("having", "anything")
            page.set(".bound:nth-of-type(2) [type=number]", 1e-4)
            page.set(".bound:nth-of-type(4) [type=number]", 0.99)
    page.choose("left", "first")
    heads = page.js("return documents.at(-1).heads.textContent")
    assert heads == "firstsecond"
    page.choose("right", "nothing")
    assert page.effects(1) == [[]] * 7 and page.text("#differences") == ""


def test_no_choice_of_labelers_where_there_is_one(open_page):
    page = open_page([labeled(["a"], {"only": [0.5]})])
    assert not page.js("return document.getElementById('compare').checkVisibility()")


def test_the_tooltip_for_the_mouse_and_for_the_keyboard(open_page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    first, second = [0, 0.1 + 0.2, 1.2e-5, 0.995], [0, 0.1, 0, 0]
    document = labeled(
        ["In", " her", "\u202e", "\n"], {"first": first, "second": second}, trainable=[1, 1, 1, 0], partial=[0, 1, 0, 0]
    )
    page = open_page([document, labeled(["x"], {"first": [1]})])
    assert page.tooltip() is None
    page.classes()  # draws all
    elements = page.driver.find_elements("css selector", ".text .token")
    expected = [
        ["In token 0", {"action": "train", "bucket": "safe"}, 0],
        [" her token 1", {"action": "mask", "bucket": "doubtful"}, 1],
        ["⟨U+202E⟩ token 2", {"action": "train", "bucket": "safe"}, 0],
        ["⏎ token 3", {"action": "left out", "bucket": "risky"}, 1],
    ]

    def check(index):
        head, facts, remarks = page.tooltip()
        assert [head, {k: facts[k] for k in ("action", "bucket")}, len(remarks)] == expected[index]
        assert [float(facts[k]) for k in ("all combined", "first", "second")] == [
            document.score[index],
            first[index],
            second[index],
        ]

    for index in range(4):
        ActionChains(page.driver).move_to_element(elements[index]).perform()
        check(index)
    ActionChains(page.driver).move_to_element(page.driver.find_element("id", "title")).perform()
    assert page.tooltip() is None

    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    page.js("document.querySelector('.text').focus()")
    for index, key in enumerate([Keys.ARROW_RIGHT] * 4):
        press(key)
        check(index)
        active = (
            "return [document.activeElement.dataset.index, document.activeElement.getAttribute('aria-describedby')]"
        )
        assert page.js(active) == [str(index), "tooltip"]
    press(Keys.ARROW_LEFT)
    check(2)
    press("p")
    check(1)
    press("p")  # and around
    check(3)
    press("n")
    check(1)
    # the tooltip follows the thresholds
    page.set(".bound:nth-of-type(4) [type=number]", 0.2)
    assert page.tooltip()[1]["bucket"] == "risky"
    press(Keys.ESCAPE)
    assert page.tooltip() is None
    press(Keys.TAB)
    press(Keys.TAB)
    assert page.js("return document.activeElement.closest('.document').dataset.document") == "1"
    ActionChains(page.driver).move_to_element(page.driver.find_elements("css selector", ".text .token")[4]).perform()
    assert page.tooltip()[1]["second"] == "0"


def test_long_documents_are_drawn_where_one_looks(open_page):
    from selenium.webdriver.support.ui import WebDriverWait

    length = 250_000  # more than a megabyte
    scores = np.zeros(length)
    scores[[200_001, 249_990]] = 1
    page = open_page([labeled([" word"] * length, {"first": scores}), *random_documents(150, 400)])
    drawn = "return document.querySelectorAll('.text .token').length"
    undrawn = (
        "return documents.flatMap((doc) => doc.rows).filter(({ element, tokens }) => {"
        "const box = element.getBoundingClientRect();"
        "return !tokens && box.height && box.bottom > 0 && box.top < innerHeight; }).length"
    )
    for share in np.linspace(0, 1, 11).tolist():
        page.js("scrollTo(0, arguments[0] * document.body.scrollHeight)", share)
        WebDriverWait(page.driver, 10, poll_frequency=0.05).until(lambda _: page.js(undrawn) == 0)
        assert 0 < page.js(drawn) < 10_000

    visible = (
        "const box = document.activeElement.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight"
    )
    for index in (200_001, 249_990, 200_001):
        page.js("document.querySelector('button.next').click()")
        assert page.tooltip()[0] == f" word token {index}"
        assert page.js(visible)
    page.js("document.getElementById('close').click()")
    assert not page.js("return [...document.querySelectorAll('.text')].some((text) => text.checkVisibility())")
