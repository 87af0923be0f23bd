// Asks a server with the library that players in JavaScript use; prints what it understood.
import SubsonicAPI from "../../page/node_modules/subsonic-api/lib/index.js";

const [url, username, password, key, post] = process.argv.slice(2);
const auth = key === "key" ? { apiKey: password } : { username, password };
const api = new SubsonicAPI({ url, auth, post: post === "post" });
const { artists } = await api.getArtists();
const { searchResult3 } = await api.search3({ query: "", songCount: 500 });
const songs = searchResult3.song;
const { playlist } = await api.createPlaylist({ name: "by name", songId: [songs[0].id, songs[1].id] });
await api.star({ id: songs[2].id });
await api.scrobble({ id: songs[3].id });
const sound = await api.stream({ id: songs[0].id });
let wrong = "";
try {
  const other = new SubsonicAPI({ url, auth: { username, password: "wrong" } });
  wrong = (await other.ping()).error.code;
} catch (error) {
  wrong = String(error);
}
console.log(
  JSON.stringify({
    ping: (await api.ping()).status,
    extensions: (await api.getOpenSubsonicExtensions()).openSubsonicExtensions.map((each) => each.name),
    artists: artists.index.flatMap((letter) => letter.artist).map((artist) => artist.name),
    songs: songs.map((song) => song.id),
    genres: (await api.getGenres()).genres.genre.map((genre) => genre.value),
    similar: (await api.getSimilarSongs2({ id: songs[0].artistId, count: 4 })).similarSongs2.song.length,
    playlist: (await api.getPlaylist({ id: playlist.id })).playlist.entry.map((song) => song.id),
    starred: (await api.getStarred2()).starred2.song.map((song) => song.id),
    bytes: (await sound.arrayBuffer()).byteLength,
    size: songs[0].size,
    cover: (await api.getCoverArt({ id: songs[0].coverArt })).status,
    wrong,
  }),
);
