/** What can be done with a track, from every list. */
import { shown, titleOf } from "../format.js";
import { ban, banArtist, dislike, like, opinions, unban } from "../live.js";
import { enqueue, playNext, startRadio } from "../player.js";
import { go } from "../router.js";
import { T } from "../texts.js";
import { say, sayProblem } from "../toasts.js";
import { addToPlaylist } from "./add-to-playlist.js";

/**
 * @param {import("../types").Track} track
 * @returns {(import("./menu.js").Item | null | false)[]}
 */
export function trackMenu(track) {
  const id = track.track_id;
  const { likes, bans } = opinions.value;
  const artist = track.artist;
  const banned = bans.has(id);
  return [
    {
      label: T.actions.playNext,
      icon: "next",
      act: () => {
        playNext([track]);
        say(T.queue.playsNext);
      },
    },
    {
      label: T.actions.enqueue,
      icon: "queue",
      act: () => {
        enqueue([track]);
        say(T.queue.added(1));
      },
    },
    {
      label: T.actions.radio,
      icon: "radio",
      act: () => {
        startRadio({ seeds: [String(id)], name: titleOf(track) }).then(() => go("radio"), sayProblem);
      },
    },
    { label: T.playlists.addTo, icon: "playlists", act: () => addToPlaylist([track]) },
    null,
    { label: T.actions.open, icon: "why", act: () => go(`track/${id}`) },
    !!artist && {
      label: T.actions.artist(shown(artist)),
      icon: "search",
      act: () => go(`library?artist=${encodeURIComponent(shown(artist))}`),
    },
    !!track.album && {
      label: T.actions.album,
      icon: "library",
      act: () => go(`library?album=${encodeURIComponent(shown(track.album ?? ""))}&sort=album`),
    },
    null,
    {
      label: likes.has(id) ? T.actions.unlike : T.actions.like,
      icon: "heart",
      act: () => void like(track),
    },
    { label: T.actions.dislike, icon: "down", act: () => void dislike(track) },
    banned
      ? { label: T.actions.unban, icon: "check", act: () => void unban(track) }
      : { label: T.actions.ban, icon: "ban", danger: true, act: () => void ban(track) },
    !!artist &&
      !banned && {
        label: T.actions.banArtist(shown(artist)),
        icon: "ban",
        danger: true,
        act: () => void banArtist(artist),
      },
  ];
}
