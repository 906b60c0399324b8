"""The live page over its real server, and watching on a terminal."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import entroloop as el
from entroloop.live.server import LivePage
from entroloop.live.state import read_state
from entroloop.live.watch import new_records
from here import Here


@pytest.fixture(scope="module")
def study():
    return {
        "name": "<b>tiny</b>",
        "data": {"source": "digits", "n_train": 24, "n_reference": 30},
        "generator": {"name": "gaussian"},
        "generations": 2,
        "seeds": [3],
        "metrics": {"unselected": 0},
        "arms": [
            {"paradigm": "replace", "strategy": "random"},
            {"paradigm": "accumulate", "strategy": "random"},
        ],
    }


def run(study, folder, **overrides):
    return list(el.run_study(study, folder, engine=Here(), device="cpu", **overrides))


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("live") / "s"
    run(study, folder)
    return folder


def ask(page, path="/", method="GET", **headers):
    """Return the status, headers and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


class Stream:
    """The events of a page, as a browser reads them."""

    def __init__(self, url):
        self._answer = urllib.request.urlopen(f"{url}events", timeout=30)
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")

    def next(self):
        """Return (event, data) of the next event."""
        event, data = "message", None
        for line in self._answer:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                event = text[7:]
            elif text.startswith("data: "):
                data = json.loads(text[6:])
            elif not text and data is not None:
                return event, data
        raise EOFError


def test_an_event_arrives_when_records_are_added_and_the_last_one_says_so(study, tmp_path):
    folder = tmp_path / "s"
    run(study, folder, generations=1)
    with LivePage(folder, seconds=0.05) as page:
        stream = Stream(page.url)
        event, state = stream.next()
        assert (event, len(state["records"]), state["total"]) == ("message", 2, 2)
        records = run(study, folder)
        while len(state["records"]) < 4:
            event, state = stream.next()
        assert (state["total"], state["complete"]) == (4, True)
        assert {(r["arm"], r["generation"], r["frechet_distance"]) for r in state["records"]} == {
            (r.arm, r.generation, r.frechet_distance) for r in records
        }
    while event == "message":
        event, _ = stream.next()
    assert event == "end"


def test_the_page_names_a_policy_and_loads_its_own_script_alone(finished):
    with LivePage(finished) as page:
        status, headers, text = ask(page)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"].split("style-src")[0]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "tiny" not in text  # names of data come as text, through the script
        status, headers, script = ask(page, "/page.js")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
            assert way not in script
        assert urllib.request.urlopen(page.url, timeout=10).status == 200
        assert ask(page, "/report")[0] == 404
        for path in ("/records.parquet", "/../config.json", "/page.html", "/events?x"):
            assert ask(page, path)[0] == 404, path


@pytest.mark.browser
def test_the_page_grows_in_a_browser_without_an_error_or_a_request_elsewhere(study, tmp_path):
    from shutil import which

    playwright = pytest.importorskip("playwright.sync_api")
    if not which("chromium"):
        pytest.skip("there is no chromium")
    run(study, tmp_path / "s", generations=1)
    with LivePage(tmp_path / "s", seconds=0.1) as live, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        errors, asked = [], set()
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        page.goto(live.url, wait_until="domcontentloaded")
        page.locator("#status", has_text="2 of 2").wait_for()
        run(study, tmp_path / "s")
        page.locator("#status", has_text="4 of 4 records: complete").wait_for()
        assert page.inner_text("h1") == "Study <b>tiny</b>"  # as text
        assert page.locator("polyline").count() >= 10  # two arms in each chart
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert errors == []
        assert asked == {live.url, f"{live.url}page.js", f"{live.url}events"}
        browser.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1:{port}"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/page.js", "/events", "/report"])
def test_another_host_or_origin_is_refused(headers, path, finished):
    with LivePage(finished) as page:
        given = {name: value.format(port=page.port) for name, value in headers.items()}
        assert ask(page, path, **given)[0] == 403


def test_its_own_origin_and_the_name_localhost_are_answered(finished):
    with LivePage(finished) as page:
        assert ask(page, Host=f"localhost:{page.port}")[0] == 200
        assert ask(page, Origin=f"http://127.0.0.1:{page.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_nothing_can_be_written(method, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    with LivePage(finished) as page:
        for path in ("/", "/events", "/report"):
            assert ask(page, path, method=method)[0] == 405
    with pytest.raises(urllib.error.HTTPError, match="405"), LivePage(finished) as page:
        urllib.request.urlopen(page.url, data=b"x", timeout=10)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_it_binds_to_this_machine_alone_and_a_silent_reader_keeps_nobody(finished):
    with LivePage(finished) as page:
        assert page._server.server_address[0] == "127.0.0.1"
        silent = socket.create_connection(("127.0.0.1", page.port))
        with pytest.raises(el.InputError, match=f"port {page.port}"):
            LivePage(finished, page.port)
    silent.close()  # leaving the context did not wait for it


def test_more_pages_than_it_holds_are_refused(finished, monkeypatch):
    monkeypatch.setattr("entroloop.live.server.MOST_STREAMS", 2)
    with LivePage(finished) as page:
        streams = [Stream(page.url) for _ in range(2)]
        for stream in streams:
            stream.next()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            Stream(page.url)


def test_run_live_tells_its_page_which_has_every_record(study, tmp_path):
    (tmp_path / "tiny.yaml").write_text(json.dumps(study))  # JSON is YAML
    command = [
        sys.executable, "-m", "entroloop", "run", "tiny.yaml", "--out", "s", "--workers", "1",
        "--live",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        url = next(line.split()[1] for line in running.stderr if line.startswith("live: "))
        assert url.startswith("http://127.0.0.1:")
        stream, states = Stream(url), []
        while not states or states[-1][0] == "message":
            states.append(stream.next())
        _, rest = running.communicate(timeout=120)
    assert running.returncode == 0, rest
    assert states[-1] == ("end", {})
    assert states[-2][1]["complete"]
    assert len(states[-2][1]["records"]) == 4


def test_watch_yields_what_is_new_until_the_study_is_complete(study, tmp_path):
    folder = tmp_path / "s"
    run(study, folder, generations=1)
    (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace('"generations":1', '"generations":2')
        .replace('"generations": 1', '"generations": 2')
    )  # fmt: skip
    states = new_records(folder, seconds=0.01)
    state, new = next(states)
    assert (len(new), state.complete) == (2, False)
    run(study, folder)
    assert [r["generation"] for _, new in states for r in new] == [2, 2]


def test_watch_tells_each_record_and_writes_nothing(finished, entroloop_here):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    ended = entroloop_here("watch", finished)
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == {"study": "<b>tiny</b>", "records": 4, "complete": True}
    lines = [line for line in ended.stderr.splitlines() if "generation" in line]
    assert len(lines) == 4
    assert lines[0].startswith("replace-random seed 3 generation 1: entropy ")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_what_is_no_study_is_refused_in_one_line(tmp_path, entroloop_here):
    ended = entroloop_here("watch", tmp_path)
    assert ended.returncode == 2
    assert "is no study folder" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_columns_that_are_shown_are_columns_of_records(finished):
    state = read_state(Path(finished))
    assert all(value is not None for record in state.records for value in record.values())


def test_arms_come_in_the_order_of_the_study_as_on_its_report(finished):
    arms = [record["arm"] for record in read_state(Path(finished)).records]
    assert arms == ["replace-random"] * 2 + ["accumulate-random"] * 2
