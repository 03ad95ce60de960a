"""A small local server that speaks the part of the Hugging Face Hub's file API that we use."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

REPO = "lerobot/pusht"


class FakeHub:
    """One dataset repository: `files` path -> bytes, `refs` revision -> commit, and a log.

    Large (LFS) files are those that end in .parquet or .mp4, as on the Hub. `drop[path] = n` cuts
    the connection in the middle of the next n answers; `corrupt[path] = n` spoils the next n.
    """

    def __init__(self, files, refs, repo=REPO):
        self.files, self.refs, self.repo = files, refs, repo
        self.drop, self.corrupt, self.requests, self.ranges = {}, {}, [], []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def fetched(self):
        """The paths whose bytes were asked for (GET), in order."""
        return [path for method, path in self.requests if method == "GET"]

    def entry(self, path):
        """What the Hub says about one file: git's sha1, and for LFS files the sha256."""
        data = self.files[path]
        entry = {"type": "file", "path": path, "size": len(data), "oid": git_sha(data)}
        if is_lfs(path):
            sha = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 130}
        return entry


def is_lfs(path):
    return path.endswith((".parquet", ".mp4"))


def git_sha(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _json(self, value, status=200, code=None):
            body = json.dumps(value).encode()
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self):
            path = unquote(urlparse(self.path).path)
            api, page = f"/api/datasets/{hub.repo}", f"/datasets/{hub.repo}/resolve/"
            if path.startswith(page):
                self._file(*path[len(page) :].split("/", 1))
            elif not path.startswith(api):
                self._json({"error": "no such repository"}, 404, "RepoNotFound")
            elif path == api + "/refs":
                refs = [{"name": r, "ref": r, "targetCommit": c} for r, c in hub.refs.items()]
                self._json({"tags": refs, "branches": [], "converts": []})
            else:
                self._api(*path[len(api) + 1 :].split("/"))

        do_HEAD = do_GET

        def _commit(self, revision):
            known = {**hub.refs, **{c: c for c in hub.refs.values()}}
            if revision not in known:
                self._json({"error": "no such revision"}, 404, "RevisionNotFound")
            return known.get(revision)

        def _api(self, what, revision, *folder):
            commit = self._commit(revision)
            if commit and what == "revision":
                card = {"license": "mit"}
                self._json({"id": hub.repo, "sha": commit, "cardData": card, "siblings": []})
            elif commit and what == "tree":
                inside = "/".join(folder) + "/"
                self._json([hub.entry(p) for p in sorted(hub.files) if p.startswith(inside)])

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            paths = parse_qs(body)["paths"]
            self._json([hub.entry(path) for path in paths if path in hub.files])

        def _file(self, revision, path):
            hub.requests.append((self.command, path))
            commit, data = self._commit(revision), hub.files[path]
            entry = hub.entry(path)
            first = 0
            if ask := self.headers.get("Range"):
                first = int(ask.removeprefix("bytes=").split("-")[0])
                hub.ranges.append((path, first))
            self.send_response(206 if first else 200)
            etag = entry["lfs"]["oid"] if is_lfs(path) else entry["oid"]
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{etag}"')
            if is_lfs(path):
                self.send_header("X-Linked-Etag", f'"{etag}"')
                self.send_header("X-Linked-Size", str(len(data)))
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - first))
            self.end_headers()
            if self.command == "GET":
                self._body(path, data[first:])

        def _body(self, path, data):
            if hub.corrupt.get(path, 0):
                hub.corrupt[path] -= 1
                data = bytes([data[0] ^ 1]) + data[1:]
            if hub.drop.get(path, 0):
                hub.drop[path] -= 1
                data, self.close_connection = data[: len(data) // 2], True
            self.wfile.write(data)

    return Handler
