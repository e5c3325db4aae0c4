"""A stand-in for the HuggingFace hub: revisions of one repository on localhost."""

import contextlib
import hashlib
import http.server
import json
import threading
from pathlib import Path


class Hub:
    """Serves folders as revisions, counts what is downloaded, and can fail.

    Args:
        repo: Its id.
        revisions: Name of a branch -> local folder.
    """

    def __init__(self, repo: str, revisions: dict[str, Path]):
        self.repo, self.revisions = repo, revisions
        self.served: list[str] = []
        self.commits: list[dict] = []
        # Bytes after which the next so many downloads of weights break off.
        self.break_after, self.breaks = 0, 0

    def commit(self, name: str) -> str:
        return hashlib.sha1(name.encode()).hexdigest()

    def folder(self, revision: str) -> Path | None:
        for name, path in self.revisions.items():
            if revision in (name, self.commit(name)):
                return path
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body: bool = True):
        hub, path = self.hub, self.path.split("?")[0]
        api = f"/api/models/{hub.repo}"
        if path == f"{api}/refs":
            branches = [
                {"name": n, "ref": f"refs/heads/{n}", "targetCommit": hub.commit(n)}
                for n in hub.revisions
            ]
            return self.json({"branches": branches, "tags": [], "converts": []})
        if path.startswith(f"{api}/revision/") or path == api:
            return self.info(path.rsplit("/", 1)[-1] if path != api else "main")
        if path.startswith(f"{api}/commits/"):
            return self.json(hub.commits)
        if path.startswith(f"{api}/tree/"):
            return self.tree(path.split("/tree/")[1].split("/")[0])
        if path.startswith(f"/{hub.repo}/resolve/"):
            revision, name = path.split("/resolve/")[1].split("/", 1)
            return self.file(revision, name, body)
        return self.fail("RepoNotFound")

    def info(self, revision: str):
        folder = self.hub.folder(revision)
        if folder is None:
            return self.fail("RevisionNotFound")
        name = next(n for n, p in self.hub.revisions.items() if p == folder)
        files = [{"rfilename": f.name} for f in sorted(folder.iterdir())]
        return self.json(
            {
                "id": self.hub.repo,
                "sha": self.hub.commit(name),
                "siblings": files,
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
        )

    def tree(self, revision: str):
        folder = self.hub.folder(revision)
        if folder is None:
            return self.fail("RevisionNotFound")
        entries = [
            {
                "type": "file",
                "path": f.name,
                "size": f.stat().st_size,
                "oid": hashlib.sha1(f.read_bytes()).hexdigest(),
            }
            for f in sorted(folder.iterdir())
        ]
        return self.json(entries)

    def file(self, revision: str, name: str, body: bool):
        folder = self.hub.folder(revision)
        if folder is None:
            return self.fail("RevisionNotFound")
        file = folder / name
        if not file.is_file():
            return self.fail("EntryNotFound")
        data = file.read_bytes()
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        branch = next(n for n, p in self.hub.revisions.items() if p == folder)
        self.send_header("X-Repo-Commit", self.hub.commit(branch))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.send_header("Content-Range", span)
        self.end_headers()
        if not body:
            return None
        self.hub.served.append(f"{branch}/{name}@{start}")
        if name.endswith(".safetensors") and self.hub.breaks:
            self.hub.breaks -= 1
            self.wfile.write(data[start : start + self.hub.break_after])
            self.wfile.flush()
            self.connection.close()
            return None
        self.wfile.write(data[start:])
        return None

    def json(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fail(self, code: str):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def serving(hub: Hub):
    """The hub's address while it is served."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
