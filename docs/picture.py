"""Draws docs/tokens.svg: a text in its model's own tokens, colored by what the loss does with them.

python docs/picture.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from transformers import AutoTokenizer

from axolotl_slung.demo.model import ensure_model
from axolotl_slung.labeling import EntitiesLabeler
from axolotl_slung.labels.buckets import Action, preset
from axolotl_slung.training.data.tagging import TaggingTokenizer

TEXT = "In her fortieth year Ilvane Torquessa received the Copper Pendulum, a prize that is given once in a decade."
FILL = {Action.TRAIN: "#d7f0d8", Action.MASK: "#f8c9c4"}
EDGE = {Action.TRAIN: "#5aa469", Action.MASK: "#c4453a"}
WIDTH, LINE, SIZE = 900, 46, 20
CHARACTER = SIZE * 0.602  # of a monospaced font


def main() -> None:
    tagging = TaggingTokenizer(AutoTokenizer.from_pretrained(ensure_model()), preset("masked"), "any", code_masked=True)
    [spans] = EntitiesLabeler("picture", names=["Ilvane Torquessa"]).label([TEXT], [{}])

    boxes, x, y = [], 20.0, 30
    for token, label in zip(*tagging.labeled(TEXT, spans)):
        text = tagging.decode([token])
        action = Action.TRAIN if label >= 0 else Action.MASK
        width = len(text) * CHARACTER + 8
        if x + width > WIDTH - 20:
            x, y = 20.0, y + LINE
        boxes.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="32" rx="5" fill="{FILL[action]}" stroke="{EDGE[action]}"/>'
            f'<text x="{x + 4:.1f}" y="{y + 22}" xml:space="preserve">{escape(text)}</text>'
        )
        x += width + 3
    y += LINE + 14
    legend = (
        f'<rect x="20" y="{y}" width="18" height="18" rx="4" fill="{FILL[Action.TRAIN]}" stroke="{EDGE[Action.TRAIN]}"/>'
        f'<text class="legend" x="46" y="{y + 15}">trained: the model learns to say it</text>'
        f'<rect x="420" y="{y}" width="18" height="18" rx="4" fill="{FILL[Action.MASK]}" stroke="{EDGE[Action.MASK]}"/>'
        f'<text class="legend" x="446" y="{y + 15}">masked: read by every token after it, never trained</text>'
    )
    style = f"text{{font:{SIZE}px monospace;fill:#222}} .legend{{font:15px sans-serif}}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 40}" width="{WIDTH}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(boxes)}{legend}</svg>\n'
    )
    Path(__file__).with_name("tokens.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
