"""Open a video file and find its picture, or say in a sentence why that can't be."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import cast

import av
from av.container import Flags, InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from streamderain.errors import InputError
from streamderain.media.truncation import has_index

__all__ = ["choose_video", "media_url", "open_media"]


def media_url(path: Path) -> str:
    """Return how FFmpeg is told a path, so that ``a:b.mp4`` is not taken for a protocol."""
    return f"file:{path}"


def open_media(path: Path) -> InputContainer:
    """Open a media file.

    Text of metadata that isn't UTF-8 survives, byte by byte, as surrogate escapes.

    Raises:
        InputError: missing, a folder, no permission, empty, an unfinished MP4, or no media at all.
    """
    _check_file(path)
    try:
        container = av.open(media_url(path), "r", metadata_errors="surrogateescape")
    except (av.FFmpegError, OSError) as error:
        if has_index(path) is False:
            raise InputError(
                f"{path} is an MP4 whose index (the moov box) is missing, as happens when the "
                "recorder loses power; repair it with a tool such as untrunc, or copy it again"
            ) from error
        raise InputError(
            f"{path} is not a video that can be read; check that it is what its name says, and "
            "that it was copied whole"
        ) from error
    if container.format.name == "avi":  # holds decoding order only; guesses are a frame late
        container.flags &= ~cast(int, Flags.gen_pts.value)
    return container


def choose_video(container: InputContainer, path: Path) -> VideoStream:
    """Choose the stream to clean: the first default one that is not a cover picture.

    Raises:
        InputError: there is no video, or its codec is not known.
    """
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    if not videos:
        kinds = sorted({stream.type for stream in container.streams} - {"video"})
        found = f", only {' and '.join(kinds)}" if kinds else ""
        raise InputError(f"{path} holds no video stream{found}; name a file with moving pictures")
    decodable = [stream for stream in videos if stream.codec_context is not None]
    if not decodable:
        raise InputError(
            f"the video in {path} uses a codec that this build of FFmpeg can't decode; convert it "
            "to H.264 first"
        )
    default = [stream for stream in decodable if stream.disposition & Disposition.default]
    return (default or decodable)[0]


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a folder, not a video; name a file")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is not a regular file; name a recorded video")
        with path.open("rb"):
            pass
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} does not exist; check the name") from error
    except PermissionError as error:
        raise InputError(
            f"no permission to read {path}; change its mode or ask its owner"
        ) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} can't be opened ({reason}); check the disk it is on") from error
    if not status.st_size:
        raise InputError(f"{path} is empty (0 bytes); record or copy it again")
