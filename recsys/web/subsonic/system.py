"""Calls about the server and whoever asks."""

from __future__ import annotations

from typing import Any

from recsys.web.subsonic.calls import Call, Content, answers
from recsys.web.subsonic.protocol import CallError, Code

EXTENSIONS = {
    "apiKeyAuthentication": 1,
    "formPost": 1,
    "playbackReport": 1,
    "songLyrics": 1,
    "sonicSimilarity": 1,
    "topSongsByArtistId": 1,
    "transcodeOffset": 1,
}

FOLDER = 1
"""The one music folder: the whole library."""

ROLES = {
    "adminRole": False,
    "settingsRole": False,
    "downloadRole": True,
    "uploadRole": False,
    "playlistRole": True,
    "coverArtRole": False,
    "commentRole": False,
    "podcastRole": False,
    "streamRole": True,
    "jukeboxRole": False,
    "shareRole": False,
    "videoConversionRole": False,
}


@answers("ping")
async def ping(_: Call) -> Content:
    """Say that the server is there."""
    return {}


def extensions() -> Content:
    """Return the extensions of the protocol; anyone may ask for them."""
    known = [{"name": name, "versions": [number]} for name, number in EXTENSIONS.items()]
    return {"openSubsonicExtensions": known}


@answers("getLicense")
async def license_(_: Call) -> Content:
    """Say that nothing has to be paid."""
    return {"license": {"valid": True}}


@answers("tokenInfo")
async def token_info(call: Call) -> Content:
    """Return whose secret this is."""
    return {"tokenInfo": {"username": call.device.name}}


@answers("getUser")
async def user(call: Call) -> Content:
    """Return what whoever asks may do."""
    asked = call.text("username", call.device.name)
    if asked.strip().casefold() != call.device.name.casefold():
        raise CallError(Code.NOT_ALLOWED, f"only {call.device.name} may be asked for")
    return {"user": _user(call)}


@answers("getUsers")
async def users(call: Call) -> Content:
    """Return whoever asks."""
    return {"users": {"user": [_user(call)]}}


def _user(call: Call) -> dict[str, Any]:
    name = call.device.name
    return {"username": name, "scrobblingEnabled": True, **ROLES, "folder": [FOLDER]}


@answers("getMusicFolders")
async def music_folders(_: Call) -> Content:
    """Return the one folder that there is for players."""
    return {"musicFolders": {"musicFolder": [{"id": FOLDER, "name": "Music"}]}}


@answers("getScanStatus")
async def scan_status(call: Call) -> Content:
    """Return whether files are being indexed, and how many tracks there are."""
    count = await call.ask(lambda library: library.store.track_count())
    scanning = call.request.app.state.runs.current is not None
    return {"scanStatus": {"scanning": scanning, "count": count}}


_EMPTY: dict[str, Content] = {
    "getPodcasts": {"podcasts": {"channel": []}},
    "getNewestPodcasts": {"newestPodcasts": {"episode": []}},
    "getInternetRadioStations": {"internetRadioStations": {"internetRadioStation": []}},
    "getShares": {"shares": {"share": []}},
    "getBookmarks": {"bookmarks": {"bookmark": []}},
    "getVideos": {"videos": {"video": []}},
    "getChatMessages": {"chatMessages": {"chatMessage": []}},
    "getLyrics": {"lyrics": {"value": ""}},
}


@answers(*_EMPTY)
async def nothing_of_it(call: Call) -> Content:
    """Say that there is nothing of this kind."""
    return next(content for name, content in _EMPTY.items() if name.lower() == call.name.lower())


@answers(
    *("startScan", "createUser", "updateUser", "deleteUser", "changePassword"),
)
async def not_allowed(call: Call) -> Content:
    """Refuse what only the owner of the machine may do."""
    raise CallError(
        Code.NOT_ALLOWED,
        f"{call.name} is not for players",
        "Use the page, or recsys.",
    )


@answers(
    *("createShare", "updateShare", "deleteShare", "createBookmark", "deleteBookmark"),
    *("createInternetRadioStation", "updateInternetRadioStation", "deleteInternetRadioStation"),
    *("refreshPodcasts", "createPodcastChannel", "deletePodcastChannel", "getPodcastEpisode"),
    *("deletePodcastEpisode", "downloadPodcastEpisode", "jukeboxControl", "addChatMessage"),
    *(
        "getVideoInfo",
        "getCaptions",
        "hls",
        "hls.m3u8",
        "getAvatar",
    ),
    *("getPlayQueueByIndex", "savePlayQueueByIndex", "getTranscodeDecision"),
    "getTranscodeStream",
)
async def not_there(call: Call) -> Content:
    """Say that this server does not do this."""
    raise CallError(Code.OTHER, f"recsys does not answer {call.name}", status=501)
