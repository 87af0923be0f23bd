"""Names of languages: codes of ISO 639, English names and own names mean one language."""

from __future__ import annotations

import re
from functools import lru_cache

from recsys.store.search import name_key

_NAMES = """
ar ara arabic العربية
bg bul bulgarian български
bn ben bengali বাংলা
br bre breton brezhoneg
bs bos bosnian bosanski
ca cat catalan català
co cos corsican corsu
cs ces cze czech čeština
cy cym wel welsh cymraeg
da dan danish dansk
de deu ger german deutsch
el ell gre greek ελληνικά
en eng english
eo epo esperanto
es spa spanish español castellano
et est estonian eesti
eu eus baq basque euskara
fa fas per persian farsi فارسی
fi fin finnish suomi
fr fra fre french français
ga gle irish gaeilge
gd gla gaelic gàidhlig
gl glg galician galego
he heb hebrew עברית
hi hin hindi हिन्दी
hr hrv croatian hrvatski
hu hun hungarian magyar
hy hye arm armenian հայերեն
id ind indonesian
is isl ice icelandic íslenska
it ita italian italiano
ja jpn japanese 日本語
jv jav javanese
ka kat geo georgian ქართული
ko kor korean 한국어
ku kur kurdish kurdî
la lat latin latina
lt lit lithuanian lietuvių
lv lav latvian latviešu
mi mri mao maori māori
mk mkd mac macedonian македонски
ml mal malayalam
mn mon mongolian монгол
ms msa may malay melayu
nl nld dut dutch nederlands
no nor norwegian norsk nb nob nn nno
oc oci occitan
pa pan punjabi panjabi
pl pol polish polski
pt por portuguese português
ro ron rum romanian română
ru rus russian русский
sk slk slo slovak slovenčina
sl slv slovenian slovenščina
sq sqi alb albanian shqip
sr srp serbian српски srpski
sv swe swedish svenska
sw swa swahili kiswahili
ta tam tamil தமிழ்
te tel telugu
th tha thai ไทย
tr tur turkish türkçe
uk ukr ukrainian українська
ur urd urdu اردو
vi vie vietnamese
wo wol wolof
xh xho xhosa isixhosa
yi yid yiddish ייִדיש
yo yor yoruba
zh zho chi chinese mandarin 中文
zu zul zulu isizulu
zxx instrumental
"""

_CODE = {
    name_key(name): line.split()[0] for line in _NAMES.strip().splitlines() for name in line.split()
}

_UNKNOWN = frozenset({"und", "mul", "mis", "xxx", "unknown"})


@lru_cache(maxsize=1024)
def languages_in(text: str) -> frozenset[str]:
    """Return the languages that a tag names, by their codes; another name stands for itself.

    A region is left out (``pt-BR``), codes of three letters may follow each other directly, as in
    ID3v2.3, and "und" is none.

    Examples
    --------
    >>> sorted(languages_in("ger; Français")), sorted(languages_in("engfra"))
    (['de', 'fr'], ['en', 'fr'])
    """
    found: set[str] = set()
    for part in re.split(r"[;,/&+]|\s+(?:and|und)\s+", text):
        key = name_key(re.sub(r"(?<=^..)[-_]\w+$", "", part.strip()))
        threes = re.findall("...", key)
        if key in _CODE:
            found.add(_CODE[key])
        elif len(threes) > 1 and "".join(threes) == key and all(three in _CODE for three in threes):
            found.update(_CODE[three] for three in threes)
        elif key:
            found.add(key)
    return frozenset(found - _UNKNOWN)
