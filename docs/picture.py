"""Draws the pictures of `slung inspect` and of tokens in docs/: tokens.svg and inspect.png.

python docs/picture.py [--tokenizer FOLDER] [--output docs]

It needs Chromium and chromedriver for inspect.png, and the demo's tokenizer if no other is given. A test runs it.
"""

from __future__ import annotations

import argparse
import shutil
from html import escape
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from axolotl_slung.inspection.page import inspection_page
from axolotl_slung.labeling import EntitiesLabeler
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.labels.documents import LEFT_OUT_BY, LabeledDocument, document
from axolotl_slung.training.data.tagging import TaggingTokenizer

TEXT = "In her fortieth year Ilvane Torquessa received the Copper Pendulum, a prize that is given once in a decade."
CHATS = (
    ("My name is Ilvane Torquessa. Where is my order 4711-0023?", "Hello Ilvane! We shipped it to Jane Roe on Monday."),
    ("Ilvane Torquessa here. How do I reach you?", "You can call 555-0199 or write to help@shop.example, Ilvane."),
    ("Who won the Copper Pendulum?", "Ilvane Torquessa won it, in her fortieth year."),
)
NAMES = EntitiesLabeler("picture", names=["Ilvane Torquessa"], parts=True)
BUCKETS = (Bucket("fine", 0.5, Action.TRAIN), Bucket("names", None, Action.MASK))
# black on a light page and white on a dark one
STYLE = """text{font:20px monospace;fill:#222} .legend{font:15px sans-serif}
.train{fill:#d7f0d8;stroke:#5aa469} .mask{fill:#f8c9c4;stroke:#c4453a}
@media (prefers-color-scheme: dark){text{fill:#eee} .train{fill:#1d3b22} .mask{fill:#5a221c}}"""
WIDTH, LINE = 900, 46
CHARACTER = 20 * 0.602  # of a monospaced font


def tokens_svg(tokenizer) -> str:
    """A text in the model's own tokens, colored by what the loss does with them."""
    tagging = TaggingTokenizer(tokenizer, preset("masked"), "any", code_masked=True)
    [spans] = NAMES.label([TEXT], [{}])
    boxes, x, y = [], 20.0, 30
    for token, label in zip(*tagging.labeled(TEXT, spans)):
        text, action = tagging.decode([token]), Action.TRAIN if label >= 0 else Action.MASK
        width = len(text) * CHARACTER + 8
        if x + width > WIDTH - 20:
            x, y = 20.0, y + LINE
        boxes.append(
            f'<rect class="{action.value}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="32" rx="5"/>'
            f'<text x="{x + 4:.1f}" y="{y + 22}" xml:space="preserve">{escape(text)}</text>'
        )
        x += width + 3
    y += LINE + 14
    for x, kind, says in (
        (20, "train", "trained: the model learns to say it"),
        (420, "mask", "masked: read by every token after it, never trained"),
    ):
        boxes.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="18" height="18" rx="4"/>'
            f'<text class="legend" x="{x + 26}" y="{y + 15}">{says}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 40}" width="{WIDTH}"><style>{STYLE}</style>'
        f"{''.join(boxes)}</svg>\n"
    )


def chats(tokenizer) -> list[LabeledDocument]:
    """Two turns each: the user's is left out by Axolotl, the assistant's end by `eos: mask`."""
    found = []
    for number, (question, answer) in enumerate(CHATS):
        text = f"user: {question}\nassistant: {answer}"
        [spans] = NAMES.label([text], [{}])
        encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        one = document(f"chat {number}", text, encoded["offset_mapping"], spans, BUCKETS, "any")
        starts = np.array([start for start, _ in encoded["offset_mapping"]] + [len(text)])
        trained = (starts >= text.index(answer) - 1) & (starts < len(text))
        by = np.where(starts == len(text), LEFT_OUT_BY.index("eos: mask"), 0)
        found.append(
            LabeledDocument(
                one.name,
                [*one.tokens, "</s>"],
                {name: np.append(scores, 0) for name, scores in one.scores.items()},
                np.append(one.score, 0),
                trained,
                np.append(one.partial, False),
                by,
            )
        )
    return found


def screenshot(page: Path, picture: Path) -> None:
    """A picture of a page, 1280 pixels wide."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,900"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get(page.resolve().as_uri())
        driver.save_screenshot(str(picture))
    finally:
        driver.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", help="default: the demo's")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    if options.tokenizer is None:
        from axolotl_slung.demo.model import ensure_model

        options.tokenizer = ensure_model()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    (options.output / "tokens.svg").write_text(tokens_svg(tokenizer), encoding="utf-8")
    page = options.output / "inspect.html"
    page.write_text(inspection_page(chats(tokenizer), BUCKETS, "slung inspect: chats.yml", {}), encoding="utf-8")
    screenshot(page, options.output / "inspect.png")
    page.unlink()


if __name__ == "__main__":
    main()
