"""Where names stand: slow, one code point at a time, and written apart from the labeler.

A text is a list of units, `(folded character, first, last, in a word)`; what is left out has an empty folded character.
"""

import unicodedata

import regex

IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
IN_WORDS = regex.compile(r"\p{Alphabetic}|\p{Nd}|\p{M}")
SPACELESS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Thai}]")
SIGNS = "©®™℠℗†‡²³¹⁰⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾"
SAME = {"’": "'", "‘": "'", "`": "'", "ʼ": "'", "‐": "-", "\u2011": "-", "–": "-"}
UNMARKED = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae"}


def units(text, diacritics):
    found = []
    for i, char in enumerate(text):
        if IGNORABLE.match(char):
            # of these only the zero width space ends words
            found.append(("", i, i + 1, char != "\u200b"))
        elif char.isspace() or char == "_":
            found.append((" ", i, i + 1, False))
        elif (char in SIGNS and i and not is_space(left(text, i))) or (
            char == "*" and not (is_space(left(text, i)) and is_space(right(text, i)))
        ):
            found.append(("", i, i + 1, False))
        else:
            word = IN_WORDS.match(char) is not None and not SPACELESS.match(char)
            word = word and not unicodedata.decomposition(char).startswith("<su")
            for one in unicodedata.normalize("NFKD", SAME.get(char, char)).replace("ẞ", "SS"):
                one = SAME.get(one, one)
                if one == "\u0307" and found and found[-1][0] == "I":
                    one = ""
                if not diacritics and 0x300 <= ord(one or " ") < 0x370:
                    one = ""
                parts = (one if diacritics else UNMARKED.get(one, one)) or [""]
                found += [(part, i, i + 1, word) for part in parts]
    return found


def left(text, i):
    """The nearest character to the left that is not ignored and no asterisk of the same run."""
    here = text[i]
    while i and (IGNORABLE.match(text[i - 1]) or (here == "*" == text[i - 1])):
        i -= 1
    return text[i - 1] if i else " "


def right(text, i):
    here = text[i]
    while i + 1 < len(text) and (IGNORABLE.match(text[i + 1]) or (here == "*" == text[i + 1])):
        i += 1
    return text[i + 1] if i + 1 < len(text) else "."


def is_space(char):
    return char.isspace() or char == "_"


def folded(some):
    return " ".join("".join(one for one, *_ in some).split())


def same(words, listed, case_sensitive):
    if len(words) != len(listed):
        return False
    if not case_sensitive:
        return all(plain(a) == plain(b) for a, b in zip(words, listed))
    for cut in range(len(words) + 1):
        for capitals in (range(cut), range(cut, len(words))):
            if all(
                word == name or (i in capitals and capital(word, name))
                for i, (word, name) in enumerate(zip(words, listed))
            ):
                return True
    return False


def capital(word, name):
    ways = {name.upper(), "".join(c if c == "ß" else c.upper() for c in name)}
    ways |= {way.replace("\u0301", "") for way in ways if "Γ" in way}
    return word in ways


def plain(word):
    return unicodedata.normalize("NFKD", word.casefold()).replace("i\u0307", "i").replace("ı", "i")


def find(text, names, case_sensitive=True, diacritics=True):
    """The characters `[start, end)` of every name, nested ones too."""
    listed = {name: folded(units(name, diacritics)).split(" ") for name in names}
    chars = units(text, diacritics)
    options = listed, case_sensitive, diacritics
    changed = spaced(text, chars)
    gaps = [unit[1] for unit, other in zip(chars, changed) if other is not unit]
    # a gap divides the words of a name, but does not end one
    over = {(start, end) for start, end in _find(text, changed, *options) if any(start < gap < end for gap in gaps)}
    return sorted({*_find(text, chars, *options), *over})


def spaced(text, chars):
    """The units with a space where only what is left out stands between a small letter and a capital."""
    made, at = list(chars), 0
    while at < len(chars):
        end = at
        while end < len(chars) and chars[end][0] == "":
            end += 1
        skipped = [text[start] for _, start, _, _ in chars[at:end]]
        if end < len(chars) and any(c in f"*{SIGNS}" or IGNORABLE.match(c) for c in skipped):
            before = next((c for c in reversed(text[: chars[at][1]]) if unicodedata.category(c)[0] != "M"), " ")
            if unicodedata.category(before) == "Ll" and unicodedata.category(text[chars[end][1]]) in ("Lu", "Lt"):
                made[at] = (" ", *chars[at][1:3], False)
        at = end + 1
    return made


def _find(text, chars, listed, case_sensitive, diacritics):
    found = set()
    for first, (one, start, _, _) in enumerate(chars):
        if one in ("", " ") or not edge(chars, first):
            continue
        for last in range(first + 1, len(chars) + 1):
            if chars[last - 1][0] in ("", " ") or not edge(chars, last):
                continue
            words = folded(chars[first:last]).split(" ")
            if any(same(words, of_name, case_sensitive) for of_name in listed.values()):
                end = chars[last - 1][2]
                while end < len(text) and not diacritics and 0x300 <= ord(text[end]) < 0x370:
                    end += 1
                while end < len(text) and text[end] == "\u0307" and text[end - 1] == "I":
                    end += 1
                found.add((start, end))
    return found


def edge(chars, index):
    """Whether a word may begin or end before the unit `index`."""
    before, after = index - 1, index
    while before >= 0 and chars[before][0] == "":
        if not chars[before][3]:
            return True
        before -= 1
    while after < len(chars) and chars[after][0] == "":
        if not chars[after][3]:
            return True
        after += 1
    if before < 0 or after == len(chars):
        return True
    if unicodedata.category(chars[after][0])[0] == "M":
        return False
    while before > 0 and (chars[before][0] == "" or unicodedata.category(chars[before][0])[0] == "M"):
        before -= 1
    return not (chars[before][3] and chars[after][3] and chars[before][0] not in "'-" and chars[after][0] not in "'-")
