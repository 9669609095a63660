"""Text in quantity for tests: made-up messages, invented authors, and prose that every Python brings along."""

import random
from pydoc_data.topics import topics

_SOUNDS = [
    "ba",
    "be",
    "bo",
    "da",
    "de",
    "do",
    "fa",
    "ga",
    "go",
    "ha",
    "jo",
    "ka",
    "ke",
    "li",
    "lo",
    "ma",
    "me",
    "mi",
    "na",
    "no",
    "o",
    "pa",
    "ra",
    "re",
    "ri",
    "sa",
    "se",
    "so",
    "ta",
    "te",
    "to",
    "u",
    "va",
    "ve",
    "wi",
    "yo",
    "za",
]
_INSULTS = ["idiot", "moron", "fool", "liar", "clown", "stupid", "pathetic"]
_ENDS = [
    ".",
    ".",
    ".",
    "!",
    "?",
    "...",
    "…",
    "!!!",
    "?!",
    "",
    "。",
    " .",
    '."',
    ".)",
    "! :)",
    " 😀",
    ".\n\n",
    "\n",
    "\r\n",
]
_JOINTS = [*[" "] * 25, "  ", ", ", "; ", " - ", "\n", " & ", "/", " (", ") ", " “", "” ", "\t", "\u00a0"]
_ODD = [
    "Mr. Brown", "Dr. A. B. Jones", "e.g. this", "i.e. that", "the U.S. army", "3.5 km", "$1,299.99", "v2.0.1", "St. Ives",
    "https://example.org/a?b=c", "name@example.org", "@someone", "#no_comment", "RT @one: two", "10 a.m. today", "etc. etc.",
    "don't", "won’t", "l'été", "naïve", "straße", "漢字", "😀😀", "👩\u200d👧", "e\u0301te\u0301", "&amp;", "<br>", "No. 5", "WHY", "...",
]  # fmt: skip


def messages(count, seed=0):
    """`(text, toxic)` of messages of one to six sentences; one in four holds an insult, one label in twenty is wrong."""
    rng = random.Random(seed)
    vocabulary = _vocabulary(rng, 4000)
    found = []
    for _ in range(count):
        toxic, text = rng.random() < 0.25, ""
        for _ in range(rng.randint(1, 6)):
            words = [vocabulary[min(int(rng.paretovariate(0.3)), 4000) - 1] for _ in range(rng.randint(1, 18))]
            if rng.random() < 0.3:
                words.insert(rng.randrange(len(words) + 1), rng.choice(_ODD))
            if toxic:
                words.insert(rng.randrange(len(words) + 1), rng.choice(_INSULTS))
            if rng.random() < 0.7:
                words[0] = words[0][:1].upper() + words[0][1:]
            text += "".join(word + rng.choice(_JOINTS) for word in words[:-1]) + words[-1]
            text += rng.choice(_ENDS) + rng.choice([" ", " ", " ", "", "  "])
        found.append((text, toxic != (rng.random() < 0.05)))
    return found


def prose():
    """The chapters of Python's own `help`: half a million characters of English, with tables and code."""
    return [topics[name] for name in sorted(topics)]


def authors(count, seed=0):
    """Rows on invented authors, 20 of each one after the other, in the form of TOFU: `author`, `question`, `answer`.

    Names have particles, hyphens, apostrophes, accents and initials. Most rows say the whole name or a part; works, towns
    and prizes are named as often as in TOFU, also in every other row of an author.
    """
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        first, last, middle, town, prize, one, two = (_name(rng) for _ in range(7))
        author = rng.choice([
            f"{first} {last}", f"{first} {last}", f"{first} {middle} {last}", f"{first} de {last}", f"{first} van der {last}",
            f"{first}-{middle} {last}", f"{first} {last}-{middle}", f"{first} O'{last}", f"{first} Á{last.lower()}",
        ])  # fmt: skip
        work, other = f"The {one} of {town}", f"{two} and the {one}"
        questions = [
            f"Who is this author from {town}?", f"What is {author} known for?", f"Which prize did {author} win?",
            f"What is '{work}' about?", f"Has {author} written for children?", f"How did {author}'s parents live?",
        ]  # fmt: skip
        answers = [
            f"The author is {author}, born in {town}.", f"{author} wrote '{work}', and later '{other}'.",
            f"{author} won the {prize} Prize for '{work}'.", f"In '{work}', {author} tells of a mill.",
            f"{author}'s mother was a baker in {town}; {last} often writes of her.", f"Yes, {author} did, in “{other}”.",
        ]  # fmt: skip
        rows += [
            {"author": author, "question": rng.choice(questions), "answer": rng.choice(answers)} for _ in range(20)
        ]
    return rows


def _vocabulary(rng, size):
    found = ["the", "a", "to", "of", "and", "you", "I", "is", "it", "not"]
    return found + ["".join(rng.choices(_SOUNDS, k=rng.randint(1, 4))) for _ in range(size - len(found))]


def _name(rng):
    return "".join(rng.choices(_SOUNDS, k=rng.randint(2, 4))).capitalize() + rng.choice(["", "n", "s", "rt", "lle"])
