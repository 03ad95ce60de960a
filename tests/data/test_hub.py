"""Downloads from a local stand-in for the Hub: only what is needed, resumed, checked, refused."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pi05lite.data import hub
from pi05lite.data.hub_files import parse_episodes
from pi05lite.errors import DataError
from tests.data.hub_server import REPO, FakeHub

COMMIT, NEWER = "a" * 40, "b" * 40
CAMERAS = ("observation.images.top", "observation.images.wrist")


@pytest.fixture(autouse=True)
def no_outside(tmp_path, monkeypatch):
    """Keep the cache of huggingface_hub in tmp_path and every request on this machine."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PI05LITE_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def parquet(columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def info(version, data_path, video_path):
    features = {camera: {"dtype": "video"} for camera in CAMERAS}
    features["action"] = {"dtype": "float32", "shape": [2]}
    return json.dumps({
        "codebase_version": version, "total_episodes": 5, "chunks_size": 2, "features": features,
        "data_path": data_path, "video_path": video_path,
    }).encode()


def v21_files():
    """Five episodes, one file each, two to a chunk."""
    data = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    files = {"README.md": b"# card", "meta/info.json": info("v2.1", data, video)}
    files["meta/episodes.jsonl"] = b'{"episode_index": 0}\n'
    for episode in range(5):
        place = {"episode_chunk": episode // 2, "episode_index": episode}
        files[data.format(**place)] = parquet({"episode_index": [episode] * 3})
        for camera in CAMERAS:
            content = f"{camera} {episode} ".encode() * 5000
            files[video.format(video_key=camera, **place)] = content
    return files


def v30_files():
    """Five episodes in two data files (0-2, 3-4); the top camera has one file, the wrist two."""
    data = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    second = [0, 0, 0, 1, 1]
    columns = {"episode_index": list(range(5)), "data/chunk_index": [0] * 5}
    columns["data/file_index"] = second
    for camera, file in zip(CAMERAS, ([0] * 5, second)):
        columns[f"videos/{camera}/chunk_index"] = [0] * 5
        columns[f"videos/{camera}/file_index"] = file
    files = {"meta/info.json": info("v3.0", data, video)}
    files["meta/episodes/chunk-000/file-000.parquet"] = parquet(columns)
    for file in (0, 1):
        files[data.format(chunk_index=0, file_index=file)] = parquet({"x": [file]})
    files[video.format(video_key=CAMERAS[0], chunk_index=0, file_index=0)] = b"top" * 9000
    for file in (0, 1):
        path = video.format(video_key=CAMERAS[1], chunk_index=0, file_index=file)
        files[path] = b"wrist%d" % file * 9000
    return files


@pytest.fixture
def serve():
    """Start servers that stop at the end of the test."""
    started = []

    def start(files, repo=REPO):
        started.append(FakeHub(files, {"v3.0": COMMIT, "main": COMMIT}, repo))
        return started[-1]

    yield start
    for server in started:
        server.close()


def get(server, episodes=None, name="pusht", out=None, revision=None):
    return hub.get(name, episodes, out, server.url, revision, progress=False)


def on_disk(folder):
    files = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {path for path in files if not path.startswith((".cache", ".pi05lite"))}


def record(folder):
    return json.loads((folder / hub.RECORD).read_text())


def test_v21_fetches_only_the_files_of_the_episodes(serve, tmp_path):
    server = serve(v21_files())
    folder = get(server, "1:3", out=tmp_path / "here")
    assert folder == tmp_path / "here" / "pusht"
    wanted = {"README.md", "meta/info.json", "meta/episodes.jsonl"}
    wanted |= {p for p in server.files if "episode_000001" in p or "episode_000002" in p}
    assert on_disk(folder) == wanted and len(wanted) == 3 + 2 * 3
    assert all((folder / path).read_bytes() == server.files[path] for path in wanted)
    assert sorted(server.fetched()) == sorted(wanted)


def test_v30_fetches_only_the_files_that_hold_the_episodes(serve, tmp_path):
    folder = get(serve(v30_files()), [3, 4])
    assert folder == tmp_path / "downloads" / "pusht"
    assert on_disk(folder) == {
        "meta/info.json", "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-001.parquet",
        f"videos/{CAMERAS[0]}/chunk-000/file-000.mp4",
        f"videos/{CAMERAS[1]}/chunk-000/file-001.mp4",
    }


def test_the_record_names_commit_licence_and_the_union_of_episodes(serve):
    server = serve(v21_files())
    get(server, "0:2")
    folder = get(server, "4")
    found = record(folder)
    assert found["complete"] and found["episodes"] == [0, 1, 4]
    assert (found["repo"], found["revision"], found["commit"]) == (REPO, "v3.0", COMMIT)
    assert found["license"] == "MIT"
    assert "asked" not in found
    assert set(found["files"]) == on_disk(folder)


def test_a_second_call_fetches_nothing_and_needs_no_server(serve):
    server = serve(v21_files())
    folder = get(server, "0:3")
    server.requests.clear()
    assert get(server, "1") == folder
    assert server.requests == []
    server.close()
    assert get(server, "0:3") == folder


def test_adding_episodes_fetches_only_the_new_ones(serve):
    server = serve(v21_files())
    get(server, "0:2")
    server.requests.clear()
    get(server, "0:3")
    assert len(server.fetched()) == 3
    assert all("episode_000002" in path for path in server.fetched())


def test_a_dropped_connection_goes_on_where_it_stopped(serve, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2500)
    server = serve(v21_files())
    path = f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4"
    server.drop[path] = 1
    folder = get(server, "1")
    assert (folder / path).read_bytes() == server.files[path]
    assert server.ranges == [(path, len(server.files[path]) // 2)]


def test_an_interrupted_download_is_marked_and_resumed(serve, monkeypatch):
    server = serve(v21_files())
    path = f"videos/chunk-000/{CAMERAS[1]}/episode_000001.mp4"
    fetch = hub._hub_download

    def stop_at(remote, name, force):
        if name == path:
            raise KeyboardInterrupt
        fetch(remote, name, force)

    monkeypatch.setattr(hub, "_hub_download", stop_at)
    with pytest.raises(KeyboardInterrupt):
        get(server, "0:2")
    folder = hub.downloads() / "pusht"
    half = record(folder)
    assert not half["complete"] and half["episodes"] == [] and half["asked"] == [0, 1]
    monkeypatch.setattr(hub, "_hub_download", fetch)
    server.requests.clear()
    get(server, "0:2")
    assert server.fetched() == [path]
    assert record(folder)["complete"]


def test_a_connection_that_keeps_dropping_gives_a_clear_error(serve):
    server = serve(v21_files())
    path = f"videos/chunk-000/{CAMERAS[0]}/episode_000000.mp4"
    server.drop[path] = 10**6
    server.files[path] = b"x"  # cut to nothing: no progress, so the library gives up
    with pytest.raises(DataError, match="PI05LITE_DATA"):
        get(server, "0")
    assert not record(hub.downloads() / "pusht")["complete"]


@pytest.mark.parametrize("path", ["meta/episodes.jsonl", "data/chunk-000/episode_000000.parquet"])
def test_damage_on_the_way_is_repaired_once_and_then_refused(serve, path):
    server = serve(v21_files())
    server.corrupt[path] = 1
    folder = get(server, "0")
    assert (folder / path).read_bytes() == server.files[path]
    (folder / path).unlink()
    server.corrupt[path] = 2
    with pytest.raises(DataError, match="checksum") as error:
        get(server, "0")
    assert path.split("/")[-1] in str(error.value)
    assert not (folder / path).exists()


def test_damage_on_disk_is_found_and_repaired(serve):
    server = serve(v21_files())
    folder = get(server, "0")
    path = "data/chunk-000/episode_000000.parquet"
    spoiled = bytearray(server.files[path])
    spoiled[20] ^= 255
    (folder / path).write_bytes(spoiled)
    server.requests.clear()
    get(server, "0")
    assert server.fetched() == [path]
    assert (folder / path).read_bytes() == server.files[path]


def test_another_commit_is_not_mixed_in(serve, tmp_path):
    server = serve(v21_files())
    folder = get(server, "0")
    server.refs["v3.0"] = NEWER
    with pytest.raises(DataError, match=COMMIT) as error:
        get(server, "1")
    assert NEWER in str(error.value) and "--revision" in str(error.value)
    assert record(folder)["commit"] == COMMIT and record(folder)["complete"]
    get(server, "1", out=tmp_path / "new")
    get(server, "1", revision=COMMIT)
    assert record(folder)["episodes"] == [0, 1]


def test_a_folder_with_other_files_is_left_alone(serve, tmp_path):
    mine = tmp_path / "downloads" / "pusht" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(DataError, match="other files"):
        get(serve(v21_files()), "0")
    assert on_disk(mine.parent) == {"notes.txt"}


def test_a_hub_id_works_and_its_licence_comes_from_the_card(serve, capsys):
    server = serve(v21_files(), repo="someone/arm")
    folder = hub.get("someone/arm", "0", endpoint=server.url)
    assert folder.name == "someone--arm"
    assert record(folder)["license"] == "mit"
    assert "licence: mit" in capsys.readouterr().out


def test_the_licence_is_shown_before_anything_is_fetched(serve, capsys):
    server = serve(v21_files())
    server.drop["meta/info.json"] = 10**6
    server.files["meta/info.json"] = b"{"
    with pytest.raises(DataError):
        hub.get("pusht", "0", endpoint=server.url)
    assert "licence: MIT" in capsys.readouterr().out


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match="so101, droid_100, jaco"):
        hub.get("so102")


def test_an_unknown_repository_and_an_unknown_revision(serve):
    server = serve(v21_files())
    with pytest.raises(DataError, match="private or gated"):
        get(server, name="lerobot/absent")
    with pytest.raises(DataError, match="v3.0, main"):
        get(server, revision="v9.9")


def test_a_missing_file_in_the_repository_is_named(serve):
    files = v21_files()
    lost = f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4"
    del files[lost]
    with pytest.raises(DataError, match="episode_000001.mp4"):
        get(serve(files), "0:2")


def test_an_unknown_format_version_is_refused(serve):
    files = v21_files()
    files["meta/info.json"] = info("v1.6", "d", "v")
    with pytest.raises(DataError, match="v1.6"):
        get(serve(files))


def test_a_path_out_of_the_folder_is_refused(serve, tmp_path):
    files = {"meta/info.json": info("v2.1", "../../escaped.mp4", "v/{video_key}")}
    files |= {"../../escaped.mp4": b"x", **{f"v/{camera}": b"x" for camera in CAMERAS}}
    with pytest.raises(DataError, match="outside"):
        get(serve(files), "0")
    assert not list(tmp_path.rglob("escaped*"))


def test_an_unreachable_server_says_what_to_do(serve):
    server = serve(v21_files())
    server.close()
    with pytest.raises(DataError, match="PI05LITE_DATA") as error:
        get(server)
    assert "127.0.0.1" in str(error.value)


@pytest.mark.parametrize("spec, numbers", [
    (None, [0, 1, 2, 3, 4]), ("0:2", [0, 1]), ("3", [3]), ("0,4,2", [0, 2, 4]), ("3:", [3, 4]),
    (":2", [0, 1]), ("0:2, 4", [0, 1, 4]), (range(1, 3), [1, 2]), ([2, 2, 0], [0, 2]),
])
def test_episodes_that_can_be_asked_for(spec, numbers):
    assert parse_episodes(spec, 5) == numbers


@pytest.mark.parametrize("spec", [
    "", "a", "3:1", "0:6", "5", "-1", "1.5", "0:2:4", [], [5], [0.5], 3
])
def test_bad_episodes_are_refused_with_the_range(spec):
    with pytest.raises(DataError, match="0 to 4"):
        parse_episodes(spec, 5)
