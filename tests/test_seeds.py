"""Names can be typed back as recsys prints them, and words are read as what a listener means."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import AmbiguousQueryError, QueryError
from recsys.notebook import clock
from recsys.seeds import FoundSeed, SeedFinder
from recsys.types import SeedKind, Track
from tests.planted import PlantedLibrary, Sound, at_cosine
from tests.stored import unit_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLACES = unit_rows(64, 16)


def song(
    artist: str | None,
    title: str | None,
    *,
    album: str | None = None,
    album_artist: str | None = None,
    path: str | None = None,
    duration_s: float = 0.0,
) -> Sound:
    return Sound(
        "jazz",
        PLACES[abs(hash((artist, title))) % 64],
        artist=artist,
        title=title,
        album=album,
        album_artist=album_artist,
        path=path,
        duration_s=duration_s,
    )


SONGS = {
    "square": song("Buddy Holly", "(You're So Square) Baby, I Don't Care"),
    "square alone": song("Elvis Presley", "You're So Square", path="/m/09 square.mp3"),
    "tear": song("Johnny Burnette", "Tear It Up"),
    "tear live": song("Johnny Burnette", "Tear It Up (Live)"),
    "get up": song("Bob Marley", "Get Up, Stand Up", album="Burnin'"),
    "one love": song("Bob Marley", "One Love", album="Exodus"),
    "exodus": song("Bob Marley", "Exodus", album="Exodus"),
    "jamming": song("Bob Marley", "Jamming", album="Exodus"),
    "wailers": song("Bob Marley & The Wailers", "Jamming", album="Babylon by Bus"),
    "beatles": song("The Beatles", "Help!", album="Help!"),
    "beatles 2": song("The Beatles", "Yesterday", album="Help!"),
    "thunder": song("AC/DC", "Thunderstruck", path="/m/acdc/live/01 thunder.flac"),
    "björk": song("Björk", "Jóga"),
    "smashing": song("The Smashing Pumpkins", "1979"),
    "three": song("Number Three", "3"),
    "untagged": song(None, None, path="/m/Some Band - Their Song.ogg"),
    "noise": song("!!!", "Heart of Hearts"),
    "blue miles": song("Miles Davis", "Blue in Green", duration_s=327),
    "blue miles live": song("Miles Davis", "Blue in Green", duration_s=441),
    "blue evans": song("Bill Evans", "Blue in Green", duration_s=325),
    "jackson": song("Michael Jackson", "Billie Jean", album="Thriller"),
    "jackson 2": song("Michael Jackson", "Beat It", album="Thriller"),
    "self": song("Black Sabbath", "Black Sabbath", album="Black Sabbath"),
    "self 2": song("Black Sabbath", "Paranoid", album="Paranoid"),
    "hits a": song("Ann", "First", album="Hits", path="/m/hits/1.mp3"),
    "hits b": song("Ben", "Second", album="Hits", path="/m/hits/2.mp3"),
    "other hits": song("Cid", "Third", album="Hits", path="/m/cid/3.mp3"),
}
MARLEY = {"get up", "one love", "exodus", "jamming", "wailers"}
IDS = dict(zip(SONGS, range(1, len(SONGS) + 1), strict=True))


def no_model() -> NoReturn:
    raise AssertionError("no model is needed for words")


def finder(library: PlantedLibrary) -> SeedFinder:
    return SeedFinder(library.store, no_model)


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeedFinder]:
    library = PlantedLibrary(tmp_path_factory.mktemp("names"), [*SONGS.values()])
    yield finder(library)
    library.store.close()


def ids(found: FoundSeed) -> list[int]:
    return [track.id for track, _ in found.tracks]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("youre so square", "square alone"),
        ("You're So Square", "square alone"),
        ("YOU’RE SO SQUARE", "square alone"),
        ("buddy holly youre so square", "square"),
        ("buddy holly - (you're so square) baby, i don't care", "square"),
        ("youre so square baby i dont care", "square"),
        ("tear it up", "tear"),
        ("tear it up (live)", "tear live"),
        ("tear it up live", "tear live"),
        ("burnette tear it up", "tear"),
        ("tear it up johnny burnette", "tear"),
        ("Johnny Burnette - Tear It Up", "tear"),
        ("Johnny Burnette – Tear It Up", "tear"),
        ("bob marley get up stand up", "get up"),
        ("bob marley - jamming", "jamming"),
        ("acdc thunderstruck", "thunder"),
        ("AC/DC - Thunderstruck", "thunder"),
        ("ac dc thunder", "thunder"),
        ("thunder struck", "thunder"),
        ("bjork joga", "björk"),
        ("!!! - Heart of Hearts", "noise"),
        ("09 square.mp3", "square alone"),
        ("09 square", "square alone"),
        ("01 THUNDER.flac", "thunder"),
        ("live/01 thunder.flac", "thunder"),
        ("./acdc/live/01 thunder.flac", "thunder"),
        ("some band - their song", "untagged"),
        ("Miles Davis - Blue in Green (5:27)", "blue miles"),
        ("miles davis blue in green (7:21)", "blue miles live"),
        ("Blue in Green (5:25)", "blue evans"),
        ("#EXTINF:441,Miles Davis - Blue in Green", "blue miles live"),
        ("bill evans blue", "blue evans"),
        ("help", "beatles"),
        ("exodus", "exodus"),  # a title before the album of that name
        ("title:black sabbath", "self"),
        ("title: 1979", "smashing"),
        ("smashing pumpkins 1979", "smashing"),
        ("1979", "smashing"),  # no track has this id
        ("Buddy_Holly_-_You're_So_Square", "square"),
        ("miles davis-blue in green (5:27)", "blue miles"),
        ("Bob Marley and The Wailers - Jamming", "wailers"),
        ("bob marley-jamming", "jamming"),
        ("bill evans-blue / in green", "blue evans"),
        ("title:3", "three"),
    ],
)
def test_words_mean_one_track(find: SeedFinder, words: str, name: str) -> None:
    found = find.find(words)
    assert (found.reading.kind, ids(found)) == (SeedKind.TRACK, [IDS[name]])
    assert found.reading.note == ""


@pytest.mark.parametrize(
    ("words", "kind", "name", "members"),
    [
        ("bob marley", "artist", "Bob Marley", MARLEY),
        ("BOB  MARLEY", "artist", "Bob Marley", MARLEY),
        ("marley", "artist", "Bob Marley", MARLEY),
        ("wailers", "artist", "The Wailers", {"wailers"}),
        ("the wailers", "artist", "The Wailers", {"wailers"}),
        ("beatles", "artist", "The Beatles", {"beatles", "beatles 2"}),
        ("the beatles", "artist", "The Beatles", {"beatles", "beatles 2"}),
        ("jackson", "artist", "Michael Jackson", {"jackson", "jackson 2"}),
        ("thriller", "album", "Thriller", {"jackson", "jackson 2"}),
        ("Michael Jackson - Thriller", "album", "Thriller", {"jackson", "jackson 2"}),
        ("album:exodus", "album", "Exodus", {"one love", "exodus", "jamming"}),
        ("artist: black sabbath", "artist", "Black Sabbath", {"self", "self 2"}),
        ("album:black sabbath", "album", "Black Sabbath", {"self"}),
        ("album:Ann - Hits", "album", "Hits", {"hits a", "hits b"}),
        ("album:Cid - Hits", "album", "Hits", {"other hits"}),
    ],
)
def test_an_artist_or_album_stands_for_its_tracks(
    find: SeedFinder, words: str, kind: str, name: str, members: set[str]
) -> None:
    found = find.find(words)
    assert (found.reading.kind, found.reading.name) == (kind, name)
    assert set(ids(found)) == {IDS[member] for member in members}
    count = len(members)
    assert found.reading.tracks == count
    tracks = f"{count} track" + "s" * (count != 1)
    assert found.reading.note == f"{words!r} is read as the {kind} {name}: {tracks}"


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        ("blue in green", ["blue evans", "blue miles", "blue miles live"]),
        ("miles davis - blue in green", ["blue miles", "blue miles live"]),
        ("black sabbath", ["self", "artist:Black Sabbath"]),
        ("hits", ["album:Ann - Hits", "album:Cid - Hits"]),
    ],
)
def test_what_is_ambiguous_is_listed_with_what_to_type(
    find: SeedFinder, words: str, seeds: Sequence[object]
) -> None:
    with pytest.raises(AmbiguousQueryError) as caught:
        find.find(words)
    error = caught.value
    wanted = [str(IDS[seed]) if seed in IDS else seed for seed in seeds if seed is not ...]
    assert list(error.seeds[: len(wanted)]) == wanted
    assert (len(error.seeds) > len(wanted)) == (... in seeds)
    assert error.words == words
    for line, seed in zip(error.matches, error.seeds, strict=True):
        assert line.startswith(f"{seed}  ")
        find.find(seed)  # what is listed can be typed


def test_a_listed_track_has_id_name_length_and_path(find: SeedFinder) -> None:
    with pytest.raises(AmbiguousQueryError) as caught:
        find.find("miles davis blue in green")
    track = IDS["blue miles"]
    line = f"{track}  Miles Davis - Blue in Green (5:27): /music/{track - 1:04}.flac"
    assert caught.value.matches[0] == line


def test_a_title_of_marks_alone_is_not_whole_in_any_words(tmp_path: Path) -> None:
    library = PlantedLibrary(tmp_path, [song("Ann Lee", "?!", album="x"), song("Ann Lee", "Two")])
    assert finder(library).find("lee ann").reading.kind is SeedKind.ARTIST
    library.store.close()


def test_a_number_is_an_id_before_it_is_a_file_or_a_title(
    find: SeedFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert IDS["square"] == 1
    for seed in ("1", " 1 ", "id:1"):
        found = find.find(seed)
        assert (found.reading.kind, ids(found), found.reading.note) == (SeedKind.ID, [1], "")
    (tmp_path / "3").mkdir()
    found = find.find("3")
    assert ids(found) == [3]
    assert found.reading.note == "3 is read as an id; ./3 is the file, title:3 is the title"
    with pytest.raises(QueryError, match="no track has the id 4000"):
        find.find("id:4000")
    with pytest.raises(QueryError, match="a folder"):
        find.find("./3")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("micheal jakson", "Michael Jackson"),
        ("bilie jean", "Michael Jackson - Billie Jean"),
        ("bob marlye", "Bob Marley"),
        ("beatels", "The Beatles"),
        ("jonny burnet tear it up", "Johnny Burnette - Tear It Up"),
        ("yesterday zzzzzz", "The Beatles - Yesterday"),
        ("artist:bjoerk", "Björk"),
        ("thunderstuck.mp3", "AC/DC - Thunderstruck"),
    ],
)
def test_misspelt_names_are_suggested(find: SeedFinder, words: str, offered: str) -> None:
    with pytest.raises(QueryError) as caught:
        find.find(words)
    assert repr(words) in caught.value.message
    assert f"did you mean {offered!r}" in caught.value.message


def test_a_number_that_is_nothing_is_said_to_be_no_id(find: SeedFinder) -> None:
    with pytest.raises(QueryError, match="no track has the id 9999") as caught:
        find.find("9999")
    assert "recsys list" in caught.value.hint


@pytest.mark.parametrize("words", ["qxzzy", "~/x.mp3", "zq"])
def test_nothing_is_suggested_for_what_is_like_nothing(find: SeedFinder, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        find.find(words)
    assert "did you mean" not in caught.value.message


def test_dashes_alone_are_names(tmp_path: Path) -> None:
    songs = [song("–", "–"), song("-", "–"), song("Ann", "- –"), song(None, "—")]
    library = PlantedLibrary(tmp_path, songs)
    for number, name in enumerate(["– - –", "- - –", "Ann - - –", "—"], start=1):
        assert ids(finder(library).find(name)) == [number]
    library.store.close()


def test_a_printed_length_comes_before_a_name_with_its_digits(tmp_path: Path) -> None:
    songs = [
        song(None, None, path="/m/E110.mp3", duration_s=60),
        song(None, None, path="/m/E.mp3", duration_s=70),
        song("Ann", "Intro (1:10)", duration_s=90),
        song("Ann", "Intro", duration_s=70),
    ]
    library = PlantedLibrary(tmp_path, songs)
    for words, track_id in {"E (1:10)": 2, "E110": 1, "e (110)": 1, "E110 (1:00)": 1}.items():
        assert ids(finder(library).find(words)) == [track_id]
    for words, track_id in {
        "Ann - Intro (1:10)": 3,
        "Intro (1:10) (1:30)": 3,
        "ann intro": 4,
    }.items():
        assert ids(finder(library).find(words)) == [track_id]
    library.store.close()


def test_copies_of_one_recording_are_one_track(tmp_path: Path) -> None:
    twins = [
        song("Nina Simone", "Sinnerman", path="/a/1.mp3", duration_s=620.2),
        song("Nina Simone", "Sinnerman", path="/b/1.flac", duration_s=621.0),
    ]
    library = PlantedLibrary(tmp_path, twins)
    assert ids(finder(library).find("sinnerman")) == [1]
    assert ids(finder(library).find("Nina Simone - Sinnerman (10:21)")) == [2]
    library.store.close()


# Every printed form of every track finds it


WORDS = st.sampled_from(
    [
        *("You're", "so", "So", "Tear-It", "Up", "(Live)", "[Remix]", "a.b", "R.E.M.", "AC/DC"),
        *("Ünder", "under", "中島", "みゆき", "ß", "n'", "'t", '"Q"', "!!!", "?", "-", "–", "&"),
        *(
            "(3:45)",
            "1979",
            "4",
            "The",
            "the",
            "A",
            "$",
            "🖤",
            "🖤So",
            "title:",
            "artist:x",
            "id:x",
        ),
    ]
)
NAMES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
OPTIONAL = st.one_of(st.none(), NAMES)
FILES = st.text("abcDE 01-'é", min_size=1, max_size=8).filter(str.strip)


def found_or_listed(find: SeedFinder, words: str) -> list[str]:
    """Return the ids of what was found, or the seeds of all that is listed."""
    try:
        return [str(track_id) for track_id in ids(find.find(words))]
    except AmbiguousQueryError as error:
        return list(error.seeds)


def printed_forms(track: Track) -> list[str]:
    """Return how recsys prints a track: in a list, with its length, in a playlist, as a file."""
    name = " ".join(track.display_name.split())
    length = clock(track.duration_s)
    line = f"#EXTINF:{round(track.duration_s)},{name}"
    return [name, f"{name} ({length})", line, track.path.name, str(track.path)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(OPTIONAL, OPTIONAL, OPTIONAL, FILES), min_size=1, max_size=6))
def test_every_printed_form_finds_its_track(
    names: list[tuple[str | None, str | None, str | None, str]],
) -> None:
    songs = [
        song(artist, title, album=album, path=f"/m/{number}/{file}.mp3")
        for number, (artist, title, album, file) in enumerate(names)
    ]
    with tempfile.TemporaryDirectory() as folder:
        library = PlantedLibrary(Path(folder), songs)
        tracks = [library.track(track_id) for track_id in library.ids()]
        printed = [printed_forms(track) for track in tracks]
        for track, forms in zip(tracks, printed, strict=True):
            for form in forms:
                if form.strip().isdigit() and library.store.track(int(form)):
                    continue  # an id: test_a_number_is_an_id_before_it_is_a_file_or_a_title
                found = found_or_listed(finder(library), form)
                # What is printed for something else as well is listed with it.
                assert found == [str(track.id)] or (len(found) > 1 and str(track.id) in found), form
        library.store.close()


CREDITED = {
    "nas": song("Nas", "Ether"),
    "guest": song("Nas feat. Lauryn Hill", "If I Ruled the World"),
    "in title": song("A Tribe", "Exhale (ft. Lauryn Hill & Consequence)"),
    "second": song("Busta Rhymes; Q-Tip", "Get Down"),
    "duo": song("JAY\u2010Z & Kanye West", "Otis"),
    "with": song("Sinéad O\u2019Connor", "Don\u2019t Cry [with The Chieftains]"),
    "polish": song("Łona", "Żółć"),
    "norse": song("Røyksopp", "Eple"),
    "others": song("Đorđe", "Æon þis ısık Straße œuvre"),
    "various": song("Various Artists", "Megamix"),
}


@pytest.mark.parametrize(
    ("words", "name", "members"),
    [
        ("lauryn hill", "Lauryn Hill", {"guest", "in title"}),
        ("nas", "Nas", {"nas", "guest"}),
        ("consequence", "Consequence", {"in title"}),
        ("q-tip", "Q-Tip", {"second"}),
        ("artist:q tip", "Q-Tip", {"second"}),
        ("jay-z", "JAY\u2010Z", {"duo"}),
        ("jay z", "JAY\u2010Z", {"duo"}),
        ("kanye west", "Kanye West", {"duo"}),
        ("the chieftains", "The Chieftains", {"with"}),
        ("sinead o'connor", "Sinéad O\u2019Connor", {"with"}),
        ("lona", "Łona", {"polish"}),
        ("royksopp", "Røyksopp", {"norse"}),
        ("dorde", "Đorđe", {"others"}),
        ("aeon this isik strasse oeuvre", "Đorđe - Æon þis ısık Straße œuvre", {"others"}),
        ("zolc", "Łona - Żółć", {"polish"}),
        ("don't cry", "Sinéad O\u2019Connor - Don\u2019t Cry [with The Chieftains]", {"with"}),
    ],
)
def test_names_are_found_as_a_keyboard_writes_them(
    tmp_path: Path, words: str, name: str, members: set[str]
) -> None:
    library = PlantedLibrary(tmp_path, [*CREDITED.values()])
    ids_of = dict(zip(CREDITED, range(1, 99), strict=False))
    found = finder(library).find(words)
    assert found.reading.name == name
    assert set(ids(found)) == {ids_of[member] for member in members}


def test_movements_of_one_name_are_several_and_copies_are_one(tmp_path: Path) -> None:
    east = np.roll(PLACES[0], 1)
    movements = [
        Sound("jazz", at_cosine(PLACES[0], east, c), artist="A", title="Allegro", duration_s=30)
        for c in (1.0, 0.96, 0.3, -0.5)
    ]
    library = PlantedLibrary(tmp_path, movements)
    with pytest.raises(AmbiguousQueryError) as caught:
        finder(library).find("A - Allegro")
    assert caught.value.seeds == ("1", "3", "4")


def album_songs(*rows: tuple[str, str, str]) -> list[Sound]:
    return [
        song(artist, f"Song {n}", album=album, path=path.replace("*", str(n)))
        for n, (artist, album, path) in enumerate(rows)
    ]


def test_the_discs_of_a_set_are_one_album(tmp_path: Path) -> None:
    library = PlantedLibrary(
        tmp_path,
        album_songs(
            ("A", "The Wall (Disc 1)", "/m/w/CD1/*.mp3"),
            ("A", "The Wall (Disc 2)", "/m/w/CD2/*.mp3"),
            ("B feat. C", "Hits [CD1]", "/m/h1/*.mp3"),
            ("B", "Hits [CD2]", "/m/h2/*.mp3"),
        ),
    )
    find = finder(library)
    for words, name, expected in (
        ("the wall", "The Wall", {1, 2}),
        ("A - The Wall", "The Wall", {1, 2}),
        ("the wall (disc 2)", "The Wall (Disc 2)", {2}),
        ("album:hits", "Hits", {3, 4}),
    ):
        found = find.find(words)
        assert (found.reading.name, set(ids(found))) == (name, expected), words


def test_two_albums_called_greatest_hits_are_two_and_a_sampler_is_one(tmp_path: Path) -> None:
    queen = [("Queen", "Greatest Hits", "/m/*.mp3")] * 3
    abba = [("ABBA", "Greatest Hits", "/m/*.mp3")] * 3
    sampler = [(f"Band {n}", "Sampler", "/m/*.mp3") for n in range(4)]
    library = PlantedLibrary(tmp_path, album_songs(*queen, *abba, *sampler))
    find = finder(library)
    with pytest.raises(AmbiguousQueryError) as caught:
        find.find("greatest hits")
    assert caught.value.seeds == ("album:ABBA - Greatest Hits", "album:Queen - Greatest Hits")
    assert set(ids(find.find("Queen - Greatest Hits"))) == {1, 2, 3}
    assert set(ids(find.find("sampler"))) == {7, 8, 9, 10}


@pytest.mark.parametrize("scheme", ["file://", "file://localhost", "FILE://", "file:"])
def test_an_address_is_a_path(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "a b#%\udce9.flac"
    library = PlantedLibrary(tmp_path, [song("A", "T", path=str(path))])
    address = scheme + quote(os.fsencode(path))
    assert ids(finder(library).find(address)) == [1]


def test_words_come_before_a_folder_of_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = PlantedLibrary(tmp_path, [song("Queen", "One"), song("ABBA", "Two")])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Queen").mkdir()
    (tmp_path / "abba").write_text("about ABBA")
    (tmp_path / "Other").mkdir()
    find = finder(library)
    assert ids(find.find("Queen")) == [1]
    assert ids(find.find("abba")) == [2]
    for folder in ("./Queen", "Other", tmp_path / "Queen"):
        with pytest.raises(QueryError, match="a folder, not a track"):
            find.find(folder)
