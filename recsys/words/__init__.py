"""Words for sound: a phrase becomes a ranking of the library.

    phrase --table, names of the library--> PhraseReading --tag strengths--> scores --> tracks

The table (``recsys/data/words.toml``) says which tags of the model stand for a word, the full-text
index which words are names. What neither knows is said, and with the extra ``[words]`` a text model
maps it to the nearest sound of the table.

A library whose own model has a text model needs no table: the phrase becomes a vector in the space
of the tracks' embeddings (:mod:`recsys.words.text_search`).
"""

from recsys.words.phrase import Era, PhraseName, PhraseReading, Wish, read_phrase
from recsys.words.ranking import LibrarySounds, WordRanking
from recsys.words.search import WordAnswer, WordPhrase, WordSearch
from recsys.words.table import Sound, Vocabulary
from recsys.words.text_reading import TextReading
from recsys.words.text_search import TextPhrase, TextTower

__all__ = [
    "Era",
    "LibrarySounds",
    "PhraseName",
    "PhraseReading",
    "Sound",
    "TextPhrase",
    "TextReading",
    "TextTower",
    "Vocabulary",
    "Wish",
    "WordAnswer",
    "WordPhrase",
    "WordRanking",
    "WordSearch",
    "read_phrase",
]
