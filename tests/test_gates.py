"""What a release shows beside its tests: components, licences, and known vulnerabilities."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("pip_audit", reason="entroloop[gates] is not installed")


@contextmanager
def service(answer):
    """Be an OSV service; `answer` takes the name of a package, and returns (status, JSON)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(query["package"]["name"])
            status, found = answer(asked[-1])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def gates(address, out, tmp_path):
    here = Path(sys.executable).parent
    told = {"PATH": f"{here}:{os.environ['PATH']}", "ENTROLOOP_OSV": address,
            "XDG_CACHE_HOME": str(tmp_path), "NO_PROXY": "*"}  # fmt: skip
    return subprocess.run(
        [str(ROOT / ".ci/gates"), str(out)], env=os.environ | told, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip


def known(name):
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}
    return {"id": "PYSEC-0", "affected": [{"package": {"name": name, "ecosystem": "PyPI"},
                                           "ranges": [fixed]}]}  # fmt: skip


def test_components_and_licences_are_listed_where_nothing_is_known_of_any_package(tmp_path):
    with service(lambda _: (200, {})) as (address, asked):
        done = gates(address, tmp_path / "out", tmp_path)
    assert done.returncode == 0, done.stderr
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert len(asked) == len(pinned)
    components = json.loads((tmp_path / "out/sbom.json").read_text())["components"]
    assert {"numpy", "entroloop"} <= {component["name"] for component in components}
    licences = (tmp_path / "out/licences.csv").read_text().splitlines()
    assert any("numpy" in line and "BSD" in line for line in licences)


def test_a_known_vulnerability_fails_and_is_named(tmp_path):
    with service(
        lambda name: (200, {"vulns": [known(name)]} if name == "pillow" else {})
    ) as (address, _):  # fmt: skip
        done = gates(address, tmp_path / "out", tmp_path)
    assert done.returncode != 0
    assert "pillow" in done.stdout
    assert "PYSEC-0" in done.stdout


def test_a_service_that_cannot_tell_of_a_package_fails(tmp_path):
    with service(lambda name: (503 if name == "torch" else 200, {})) as (address, _):
        assert gates(address, tmp_path / "out", tmp_path).returncode != 0
