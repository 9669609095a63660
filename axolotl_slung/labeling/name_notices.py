"""Notices about lists of names: entries that are hardly names, by their line numbers and never by their text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

# Words that stand in ordinary English text, also with a capital at the start of a sentence. Names among them are common
# first or last names.
_WORDS = frozenset(
    """
    a about after again all also always am an and another any are around as ask at away back be because been before
    best better big both but by call came can case cause come could day dear did do does done down each early else end
    ever every far few first for found from full gave get give go god gone good got great had hall happy has have he
    hello help her here hi high him his home how however i if in indeed into is it its just keep kind know last late
    least left less let life like little long look lord lost made make man many may maybe me men might mine more most
    mother much must my name near never new next night no nor not nothing now of off often oh ok old on once one only or
    other our out over own part people perhaps place please put quite rather read right said same saw say see seen she
    should since so some son soon still such take tell ten than thank thanks that the their them then there these they
    thing things think this those though three through time to today together too took true two under until up upon us
    use very was way we well went were what when where which while white who whole whose why will with within without
    woman women word work world would yes yet you young your
    april august autumn art angel ash bailey baker banks bar barber bay beach bell berry bill birch bird bishop black
    blessing blue bond booker bow bowman branch brook brooks brown buck bush butcher butler can carpenter carter chance
    chapman charity chase cherry child christian church clay clerk clever close coin cook cooper cotton cross crystal
    daisy dale dawn day deacon dean destiny diamond drake draper drew duke earl east eden english ernest eve faith farmer
    fern field fields finch fish fisher flint flower forest ford foster fountain fox france frank freeman french frost
    gale garden gardener garland gene gill ginger glass glen glory golden gold grace grant gray green grove
    guy guthrie hand harmony harper hart hawk hay hazel head heath heather heaven hill holiday holly honey hood hooker
    hope hunter hunt ice iris ivory ivy jack jade jasmine jay jewel joker joy judge june justice king knight lake lamb
    lance land lane lark laurel law lee lent liberty lily lion little lodge long love low lucky major man march mark marsh
    marshal marshall mason may mead melody mercy merry miles mill miller monday moon moor moore morning mercury myrtle
    noble north norm nova oak ocean olive opal page park parker parks patience pat pearl penny pepper pope poppy porter
    post potter power precious price pride prince princess prior prudence queen rain randy ray red reed reeds rich river
    rivers rob robin rock rod rose rosemary royal ruby rue rush rusty rye sage sandy savage say scarlet season sergeant
    shade sharp shaw shepherd short silver singer skip sky smart smith snow sparrow spring star stark stein stella sterling
    stone storm street strong sue summer summers sun sunny sunday swan swift tailor tanner taylor temple terry thorn
    tiger toy trinity turner tyler underwood unity vale van vanity victor victory violet virginia virtue wade waiter walker
    wall ward warden warner waters weaver weeks wells west wheeler will willow win winner winter winters wise wolf wood
    woods worth wren wright
    der die das den des dem ein eine und ist von mit aus le la les un une et est de du en el los las y o e i il al da do
    """.split()  # noqa: SIM905 - a hundred lines as a list
)
_TABLE = re.compile(r"\t|;|,[^,]*,|,\S|[,;]\s*$|^\s*[\[{]|\w\S*\s+[^,\s]+\s*,\s*\S+\s+\S+|\S\|\S|\s\|\s")
_QUOTED = re.compile(r"""^\s*(["'“‘«`].*["'”’»`]|[-*•+]\s.*|\d+[.):]\s.*)\s*$""")
_LONGEST = 200
"""Characters of the longest line that can be a name. The expressions above take quadratic time for longer ones."""
_SHOWN = 5


def notices(
    entries: Sequence[tuple[int, str]],
    wholes: Mapping[int, str],
    parts: Mapping[int, Sequence[str]],
    line: str = "line",
) -> Iterator[str]:
    """What is odd about a list of names, one sentence for each kind. Names are not quoted.

    Args:
        entries: number and text of each entry.
        wholes: the folded name of each number.
        parts: the folded parts of each number that are looked for by themselves.
        line: what the numbers count.
    """

    def where(numbers: list[int]) -> str:
        shown = ", ".join(map(str, numbers[:_SHOWN]))
        return f"{len(numbers)} of {len(entries)} ({line}{'s' if len(numbers) > 1 else ''} {shown}{', ...' if len(numbers) > _SHOWN else ''})"

    table = [number for number, text in entries if len(text) > _LONGEST or _TABLE.search(text)]
    if table:
        yield f"names that look like a row of a table or like several names: {where(table)}; write one name per line"
    quoted = [number for number, text in entries if len(text) <= _LONGEST and _QUOTED.match(text)]
    if quoted:
        yield (
            f"names in quotation marks or behind list marks: {where(quoted)}; remove the marks, which count as part of "
            "the name"
        )
    empty = [number for number, name in wholes.items() if not any(map(str.isalnum, name))]
    if empty:
        yield f"names without a letter or digit, which are skipped: {where(empty)}; remove or correct them"
    single = [number for number, name in wholes.items() if sum(map(str.isalnum, name)) == 1]
    if single:
        yield f"names of a single letter, which is found wherever it stands by itself: {where(single)}; write full names"
    words = [number for number, name in wholes.items() if name.casefold() in _WORDS and number not in single]
    if words:
        yield f"names that are ordinary words, which are found in any text: {where(words)}; write full names"
    in_parts = [number for number, some in parts.items() if any(part.casefold() in _WORDS for part in some)]
    if in_parts:
        yield (
            f"names with a part that is an ordinary word, which `parts: true` finds in any text: {where(in_parts)}; look "
            "at a sample with `slung inspect`, or set `parts: false` and list the parts that you need"
        )
    seen: set[str] = set()
    twice = [number for number, name in wholes.items() if name in seen or seen.add(name)]
    if twice:
        yield f"names listed before, perhaps in another spelling: {where(twice)}; they count once"
