"""Video files in and out: a whole episode in order, one frame by its time, and an encoder.

A frame shown at time t is the same whether it is reached by decoding from the start or by a jump:
every jump goes to the key frame at or before t and decodes forward from there.
"""

from contextlib import contextmanager
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pi05lite.data.cache import atomic_path
from pi05lite.errors import DataError, say

ENCODERS = {"h264": "libx264", "av1": "libsvtav1", "mpeg4": "mpeg4"}
# A key frame every ten frames keeps jumps short; crf 18 is close to lossless for the eye.
ENCODER_OPTIONS = {
    "libx264": {"crf": "18", "g": "10"},
    "libsvtav1": {"crf": "25", "g": "10"},
    "mpeg4": {"qmin": "1", "qmax": "3", "g": "10"},
}


def decode(path, start=0.0, count=None, fps=None):
    """Yield the frames of a video in order, each uint8 (h, w, 3).

    start: seconds into the file of the first frame wanted (a LeRobot v3.0 file holds several
    episodes one after the other); count: how many frames (None: to the end); fps: frames a second
    (None: as the file says). Raises DataError for a missing, unreadable or too short video.
    """
    received = 0
    to_rgb = VideoReformatter()  # one for all: frame.to_ndarray would set up a scaler a frame
    with _opened(path) as (container, stream):
        half = 0.5 / float(fps or stream.average_rate or stream.guessed_rate)
        frames = _from_time(container, stream, start - half if start > 0 else 0.0)
        for frame in islice(frames, count):
            received += 1
            yield to_rgb.reformat(frame, format="rgb24").to_ndarray()  # (h, w, 3)
    if count is not None and received < count:
        raise DataError(
            say(
                f"video {path}, from {start:g} s",
                f"{count} frames, as the table has rows",
                f"{received} frames",
                "download or record the video again, or leave this episode out",
            )
        )


def frame_at(path, timestamp, tolerance=1e-3):
    """Return the frame shown at `timestamp` seconds, uint8 (h, w, 3), by a jump.

    It is exactly the frame that `decode` gives at that time. Raises DataError if the nearest frame
    is more than `tolerance` seconds away, or the video is missing or unreadable.
    """
    with _opened(path) as (container, stream):
        frames = _from_time(container, stream, max(0.0, timestamp - tolerance))
        near = takewhile(lambda frame: frame.time <= timestamp + tolerance, frames)
        best = min(near, key=lambda frame: abs(frame.time - timestamp), default=None)
        if best is not None:
            return best.to_ndarray(format="rgb24")  # (h, w, 3)
    raise DataError(
        say(
            f"video {path}",
            f"a frame within {tolerance:g} s of {timestamp:g} s",
            "none there",
            "ask for a time of the table's timestamp column, or raise the tolerance",
        )
    )


def encode(frames, path, fps, codec="h264"):
    """Write uint8 frames (T, h, w, 3), or an iterable of (h, w, 3), to an mp4 file.

    h and w must be even. The file appears only when it is complete. Raises DataError for frames
    of other shapes or when the codec cannot be used.
    """
    with encoder(path, fps, codec) as video:
        video.add(frames)


@contextmanager
def encoder(path, fps, codec="h264"):
    """Give an Encoder for an mp4 file that takes frames in several portions.

    The file appears when the block ends without an error. Raises DataError as `encode` does.
    """
    with atomic_path(path) as temporary:
        video = Encoder(temporary, fps, codec)
        try:
            yield video
            video.finish()
        finally:
            video.close()


class Encoder:
    """An open mp4 file; `add` appends frames, `count` says how many it holds."""

    def __init__(self, path, fps, codec):
        self.path = path
        self.count = 0
        self._rate = Fraction(fps).limit_denominator(1001)
        self._codec = codec
        self._container = self._stream = None

    def add(self, frames):
        """Append uint8 frames (T, h, w, 3); the first one sets the size for all."""
        for image in frames:
            if self._stream is None:
                self._open(*image.shape[:2])
            self._check(image)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = self.count, 1 / self._rate
            self._container.mux(self._stream.encode(frame))
            self.count += 1

    def _open(self, height, width):
        name = ENCODERS.get(self._codec, self._codec)
        try:
            self._container = av.open(str(self.path), "w", format="mp4")
            self._stream = self._container.add_stream(name, rate=self._rate)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            way_out = f"use one of {sorted(ENCODERS)}, or store images in the table (video=False)"
            expected = f"a folder to write to and an encoder for {self._codec!r}"
            raise DataError(say("new video", expected, error, way_out)) from error
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = ENCODER_OPTIONS.get(name, {})

    def _check(self, image):
        size = (self._stream.height, self._stream.width, 3)
        if image.dtype != np.uint8 or image.shape != size or size[0] % 2 or size[1] % 2:
            expected = f"uint8 {size} with even height and width"
            received = f"{image.dtype} {image.shape}"
            thing = f"video frame {self.count}"
            raise DataError(say(thing, expected, received, "resize the frames to one even size"))

    def finish(self):
        """Write what the codec still holds back; raises DataError if no frame was added."""
        if self._stream is None:
            way_out = "give at least one frame"
            raise DataError(say("new video", "frames", "none", way_out))
        self._container.mux(self._stream.encode())

    def close(self):
        """Close the file; safe at any time."""
        if self._container is not None:
            self._container.close()


def check_exists(path):
    """Raise DataError unless there is such a file."""
    if not Path(path).is_file():
        way_out = "download the dataset again, or choose other cameras= or episodes="
        raise DataError(say(f"video {path}", "a video file", "no such file", way_out))


@contextmanager
def _opened(path):
    """Open a video; an FFmpeg error inside the block becomes a DataError naming it."""
    check_exists(path)
    try:
        with av.open(str(path)) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise DataError(say(f"video {path}", "a video track", "none", "check the file"))
            stream.thread_type = "AUTO"
            yield container, stream
    except av.error.FFmpegError as error:
        way_out = "the file may be cut off: download it again"
        raise DataError(say(f"video {path}", "a readable video", error, way_out)) from error


def _from_time(container, stream, seconds):
    """Frames in display order, the first one shown at `seconds` or later."""
    for target in (seconds, 0.0):
        if seconds > 0:
            container.seek(int(target / stream.time_base), stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
        # Some files name a key frame that is shown after the time asked for: then from the start.
        if first is None or first.time <= seconds or target == 0.0:
            break
    if first is not None and first.time >= seconds:
        yield first
    yield from (frame for frame in frames if frame.time >= seconds)
