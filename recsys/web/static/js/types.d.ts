/** What the server answers; see the list of routes at /docs. */

export interface Track {
  track_id: number;
  path: string;
  artist: string | null;
  title: string | null;
  album: string | null;
  year: number | null;
  duration_s: number | null;
  genre: string;
  label: string;
  kind: string | null;
  genre_tag: string | null;
  added: string | null;
  missing: boolean;
  energy: number | null;
  valence: number | null;
  danceability: number | null;
  acousticness: number | null;
  instrumentalness: number | null;
  vocals: number | null;
  tempo: number | null;
  loudness: number | null;
  key: string | null;
  camelot: string | null;
  true_peak_dbtp: number | null;
  replay_gain_db: number | null;
  media_type: string;
  direct: boolean;
  similarity?: number | null;
  reasons?: string[];
  tier?: number;
  position?: number;
}

export interface TrackDetails extends Track {
  album_artist: string | null;
  size: number;
  warning: string | null;
  copies: string[];
  banned_by: FeedbackEvent | null;
  probabilities: Record<string, number>;
  threshold: Record<string, number>;
  genres: string[];
  tags: Record<string, number>;
  analysis: { model: string; effort: string; windows: number[]; window_s: number } | null;
  neighbours: Track[];
}

export interface FeedbackEvent {
  time: string;
  kind: string;
  subject: string;
  name: string;
}

export interface Tier {
  tier: number;
  kind: string;
  genres: string[];
}

export interface SimilarAnswer {
  query: { label?: string; words?: { reading?: string; not_understood?: string[] } };
  genres: { genre: string; score: number }[];
  tiers: Tier[];
  results: Track[];
  filtered: Record<string, number>;
  notes: string[];
}

export interface RadioSession {
  session: number;
  name: string;
  started?: string;
  words: string | null;
  seeds: Track[];
  given?: number;
  results?: Track[];
  tracks?: Track[];
  notes?: string[];
}

export interface Rules {
  genre?: string | null;
  tags?: string[];
  moods?: string[];
  max_length_s?: number | null;
  min_length_s?: number | null;
  no_same_artist?: boolean;
  not_artists?: string[];
  exclude?: string[];
  languages?: string[];
  ranges?: Record<string, string>;
  taste?: boolean;
}

export interface MadePlaylist {
  name: string;
  seed: number;
  seeds: Track[];
  tracks: Track[];
  note: string;
  duration_s: number;
}

export interface SavedPlaylist {
  playlist: number;
  name: string;
  tracks: number;
  duration_s: number;
  made: string;
  changed: string;
  refreshes: boolean;
}

export interface IndexRun {
  run: number;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  folders: string[];
  done: number;
  total: number | null;
  failed: number;
  path: string | null;
  error: { detail: string; hint: string } | null;
}

export interface Folder {
  folder: string;
  name: string;
  tracks: number;
  there?: boolean;
}

export interface Status {
  tracks: number;
  failures: number;
  roots: { path: string; available: boolean }[];
  run?: IndexRun | null;
}

export interface Match {
  text: string;
  seed: string;
}

export interface MapAnswer {
  state: "none" | "making" | "ready" | "failed";
  points?: number;
  share?: number | null;
  revision?: number | string;
  trustworthiness?: number | null;
  neighbours?: number;
  note?: string;
  regions?: { name: string; x: number; y: number; tracks: number }[];
  genres?: string[];
}

/** A row of the queue. */
export interface Entry {
  key: number;
  track: Track;
  /** The session of the radio that gave it, if one did. */
  session: number | null;
  /** Where it comes from, as the listener sees it. */
  from: string;
}
