"""A frame is the same however it is reached, and damaged videos are named."""

import av
import numpy as np
import pytest

from pi05lite.data.video import decode, encode, encoder, frame_at
from pi05lite.errors import DataError

from .conftest import smooth_frames

FPS = 10


def times(path):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def with_b_frames(path, frames, shift=0):
    """H.264 with frames that lean on a later key frame; the first is shown `shift` frames late."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        open_groups = "open-gop=1:b-pyramid=normal:b-adapt=0:scenecut=0"
        stream.options = {"bf": "3", "g": "12", "x264-params": open_groups}
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = i + shift
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def clip(tmp_path):
    return with_b_frames(tmp_path / "clip.mp4", smooth_frames(40))


@pytest.mark.parametrize("shift", [0, 7])
def test_a_jump_gives_the_frame_that_sequential_decoding_gives(tmp_path, shift):
    path = with_b_frames(tmp_path / "late.mp4", smooth_frames(40), shift)
    frames = list(decode(path))
    for i, time in enumerate(times(path)):
        assert np.array_equal(frame_at(path, time), frames[i]), i


def test_neighbouring_frames_differ_so_the_test_above_can_fail(clip):
    frames = list(decode(clip))
    assert all((a != b).any() for a, b in zip(frames, frames[1:]))


@pytest.mark.parametrize("first", [0, 1, 11, 12, 13, 25, 39])
def test_decode_can_start_inside_a_file(clip, first):
    frames = list(decode(clip))
    part = list(decode(clip, start=first / FPS, count=1, fps=FPS))
    assert np.array_equal(part[0], frames[first])
    rest = list(decode(clip, start=first / FPS))
    assert np.array_equal(rest, frames[first:])


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "av1"])
def test_what_is_encoded_comes_back_nearly_the_same(tmp_path, codec):
    frames = smooth_frames(12, 64, 64)
    encode(frames, tmp_path / "a.mp4", FPS, codec)
    again = np.array(list(decode(tmp_path / "a.mp4", count=12)))
    error = np.mean((again.astype(float) - frames) ** 2)
    assert 10 * np.log10(255**2 / error) > 30
    assert times(tmp_path / "a.mp4") == pytest.approx(np.arange(12) / FPS, abs=1e-4)


@pytest.mark.parametrize("name", ["h264", "av1"])
def test_real_videos_give_the_same_frame_by_jump(real_data, name):
    path = {"h264": "droid_subset/videos/chunk-000/observation.images.wrist/episode_000006.mp4",
            "av1": "cr5_two_tasks/videos/chunk-000/observation.images.wrist/episode_000004.mp4"}
    path = real_data / path[name]
    with av.open(str(path)) as container:
        assert name[:2] in container.streams.video[0].codec_context.codec.canonical_name
    frames, shown = list(decode(path, count=24)), times(path)
    for i in (0, 1, 5, 11, 23):
        assert np.array_equal(frame_at(path, shown[i]), frames[i])


def test_a_video_shorter_than_the_table_says_how_many_frames_it_has(clip):
    with pytest.raises(DataError, match="(?s)41 frames.*received: 40 frames"):
        list(decode(clip, count=41))
    with pytest.raises(DataError, match="(?s)expected: 6 frames.*received: 5 frames"):
        list(decode(clip, start=3.5, count=6))


def test_missing_and_unreadable_videos_are_named(tmp_path, clip):
    with pytest.raises(DataError, match="(?s)nowhere.mp4.*no such file"):
        list(decode(tmp_path / "nowhere.mp4"))
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(DataError, match="(?s)noise.mp4.*readable video"):
        list(decode(tmp_path / "noise.mp4"))
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:2000])
    with pytest.raises(DataError, match="cut.mp4"):
        list(decode(tmp_path / "cut.mp4", count=40))


def test_a_time_without_a_frame_is_refused(clip):
    for time in (0.05, 4.5):
        with pytest.raises(DataError, match="within 0.001 s"):
            frame_at(clip, time)


def test_the_nearest_of_two_frames_is_taken(clip):
    frames = list(decode(clip))
    assert np.array_equal(frame_at(clip, 1.06, tolerance=0.09), frames[11])
    assert np.array_equal(frame_at(clip, 1.04, tolerance=0.09), frames[10])


def test_encoding_leaves_nothing_behind_when_it_fails(tmp_path):
    with pytest.raises(DataError, match="even"):
        encode(np.zeros((2, 33, 32, 3), np.uint8), tmp_path / "odd.mp4", FPS)
    with pytest.raises(DataError, match="even size"), encoder(tmp_path / "mixed.mp4", FPS) as video:
        video.add(np.zeros((2, 32, 32, 3), np.uint8))
        video.add(np.zeros((2, 32, 48, 3), np.uint8))
    with pytest.raises(DataError, match="at least one frame"):
        encode([], tmp_path / "none.mp4", FPS)
    with pytest.raises(DataError, match="nosuchcodec"):
        encode(np.zeros((2, 32, 32, 3), np.uint8), tmp_path / "x.mp4", FPS, codec="nosuchcodec")
    assert list(tmp_path.iterdir()) == []
