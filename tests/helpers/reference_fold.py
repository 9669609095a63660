"""What `Folded` makes of a text: slow, one rule after the other over the whole text."""

import unicodedata

import regex

SAME = str.maketrans(
    dict.fromkeys("`´ʹʻʼʽ՚‘’‛′׳\ua78b\ua78c", "'")
    | {char: "-" for char in map(chr, range(0x110000)) if unicodedata.category(char) == "Pd" and char not in "〜〰"}
    | {"\u2212": "-"}
    | dict.fromkeys("·\u0387•‧∙⋅", "・")
)
for presentation in "\ufe31\ufe32\ufe58\ufe63\uff0d":  # NFKD makes dashes of these
    SAME.pop(ord(presentation), None)
NEWLINE = r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
BLANK = rf"(?!{NEWLINE})[\s\x1f_\u2800]"
IGNORED = r"[\p{Default_Ignorable_Code_Point}\u0305\u0332\u0333\u0335-\u0338\u0488\u0489\u1abe\u20d0-\u20f0\ua670-\ua672\u0640]"
BREAK = r"[\u200b\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufff9-\ufffb]"
SIGN = "[©®™℠℗†‡²³¹⁰⁴-⁾\U0001f16a-\U0001f16c]"
TIGHT = r"[\p{Han}\p{Hiragana}\p{Katakana}ー]"
LETTER = rf"(?:(?!\u0640)\p{{L}}|{TIGHT})"
AFTER_LETTER = rf"(?<={LETTER}(?:\p{{M}}|{IGNORED}|{BREAK}|{SIGN}|\*)*)"
LINE_END = rf"(?:{BLANK})*(?:\r\n|{NEWLINE})(?:{BLANK})*"
DIACRITICS = r"[\p{Mn}&&[\u0300-\u036f\u0591-\u06ff\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]]"
PLAIN = {
    "Æ": "AE",
    "Ð": "D",
    "Ø": "O",
    "Þ": "TH",
    "ß": "ss",
    "æ": "ae",
    "ð": "d",
    "ø": "o",
    "þ": "th",
    "Đ": "D",
    "đ": "d",
}
PLAIN |= {"Ħ": "H", "ħ": "h", "ı": "i", "Ł": "L", "ł": "l", "Œ": "OE", "œ": "oe", "Ŧ": "T", "ŧ": "t"}


def fold(text: str, case_sensitive: bool = True, diacritics: bool = True) -> str:
    text = regex.sub("[＊﹡]", "*", text)
    # the marks of quotes and comments
    text = regex.sub(rf"({NEWLINE})(?:(?:{BLANK})*(?:[>|#;\u037e%＞｜＃；％﹥﹟﹔﹪]|[/／]{{2}}))+", r"\1", text)
    # hyphens that divide words
    text = regex.sub(rf"{AFTER_LETTER}[-\u2010\u2011\ufe63\uff0d]{LINE_END}(?={LETTER}|\p{{M}})", "-", text)
    text = regex.sub(
        rf"({AFTER_LETTER}(?<!(\p{{Ll}})(?:\p{{M}}|{IGNORED}|{BREAK}|{SIGN}|\*)*)|(?<=\p{{Ll}}(?:\p{{M}}|{IGNORED}|{BREAK}|{SIGN}|\*)*)"
        rf"(?=\u00ad{LINE_END}[^\p{{Lu}}\p{{Lt}}]))\u00ad{LINE_END}(?={LETTER})",
        "",
        text,
    )
    text = regex.sub(
        rf"(?:{BLANK}|{NEWLINE}|{IGNORED}|{BREAK}|{SIGN}|\*)+", lambda run: loose(run[0], run.start()), text
    )
    text = regex.sub(rf"(?<={TIGHT}\p{{M}}*) (?={TIGHT})", "", text)
    # single characters
    text = regex.sub("[\ud800-\udfff]", "\ufffd", text).translate(SAME)
    # a sign that does not follow a character stays as it is
    parts = [
        part if regex.match(SIGN, part) else unicodedata.normalize("NFKD", part)
        for part in regex.split(f"({SIGN})", text)
    ]
    text = regex.sub(IGNORED, "", "".join(parts)).replace("ẞ", "SS")
    below = "".join(c for c in map(chr, range(0x300, 0x1AFF)) if 0 < unicodedata.combining(c) < 230)
    text = regex.sub(rf"(I[{below}]*)\u0307+", r"\1", text)
    if not diacritics:
        text = text.replace("\u0345", "")
    if not case_sensitive:
        parts = regex.split(f"({SIGN})", text.casefold())
        text = "".join(part if regex.match(SIGN, part) else unicodedata.normalize("NFKD", part) for part in parts)
        text = text.replace("ı", "i")
        text = regex.sub(rf"(i[{below}]*)\u0307+", r"\1", text)
    if not diacritics:
        text = regex.sub(f"(?V1){DIACRITICS}", "", text).translate(str.maketrans(PLAIN))
    return text.translate(SAME)


def loose(run: str, at: int) -> str:
    """A run of white space, asterisks, signs and ignored characters."""
    # asterisks with something ignored between them are two runs
    units = regex.findall(rf"(?:{BLANK}|{NEWLINE})+|\*+|{SIGN}|{BREAK}|{IGNORED}", run)
    units = [unit for unit in units if regex.match(BREAK, unit) or not regex.match(IGNORED, unit)]
    spaces = [regex.match(rf"{BLANK}|{NEWLINE}", unit) is not None for unit in units]
    result, in_space = "", False
    for number, unit in enumerate(units):
        after_space = spaces[number - 1] if number else at == 0
        before_space = number + 1 < len(units) and spaces[number + 1]
        if spaces[number]:
            result += "" if in_space else " "
            in_space = True
        elif regex.match(BREAK, unit):
            pass
        elif after_space and (unit[0] != "*" or before_space):
            result += unit
            in_space = False
    return result
