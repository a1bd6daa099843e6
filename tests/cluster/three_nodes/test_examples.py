"""The examples, run as a reader runs them: each shows what it promises, and leaves nothing behind."""

from __future__ import annotations

import http.client
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from caches import nothing_left
from cluster_ray import ClusterRay
from commands import Command
from PIL import Image
from waiting import until

EXAMPLES = Path(__file__).parents[3] / "examples"
TIMEOUT_S = 60.0


class Transcript:
    """What an example has printed."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = [line.strip() for line in lines]
        self.ports = list(dict.fromkeys(map(int, re.findall(r"127\.0\.0\.1:(\d+)", "".join(lines)))))

    def starting(self, *starts: str) -> list[str]:
        return [line for line in self.lines if line.startswith(starts)]

    def get(self, node: int, path: str) -> tuple[int, bytes]:
        """A request of the test's own, to one of the nodes."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports[node], timeout=TIMEOUT_S)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


def example(name: str) -> Command:
    return Command(sys.executable, os.fspath(EXAMPLES / f"{name}.py"))


def ended(command: Command) -> None:
    """All processes that it began have ended."""
    until(lambda: not command.processes(), lambda: f"no process is left of it, but {command.processes()}", 10.0)


def refuses(port: int) -> bool:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


Serving = Callable[[str], AbstractContextManager[Transcript]]


@pytest.fixture
def serving(cluster_ray: ClusterRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """`with serving("files") as transcript`: runs an example on the three nodes. Ctrl-C ends it and all of its."""
    cluster_ray.nodes(3)
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("RAY_ADDRESS", cluster_ray.address)
    monkeypatch.setenv("TMPDIR", os.fspath(folder))

    @contextmanager
    def run(name: str) -> Iterator[Transcript]:
        command = example(name)
        with (
            open(tmp_path / "errors", "w+") as errors,
            command.start("--serve", stderr=errors) as process,
        ):
            try:
                transcript = Transcript(printed(process))
                assert transcript.ports, Path(errors.name).read_text()
                yield transcript
                os.killpg(process.pid, signal.SIGINT)
                assert process.wait(TIMEOUT_S) == 0, Path(errors.name).read_text()
            finally:
                process.kill()
        ended(command)
        nothing_left(f"{name}-{process.pid}")

        assert os.listdir(folder) == []
        for port in transcript.ports:  # Ray does not wait for the end of an actor that it kills
            until(lambda port=port: refuses(port), f"nobody listens on port {port}", 10.0)  # type: ignore[misc]

    return run


def printed(process: subprocess.Popen[str]) -> list[str]:
    """The lines until the example waits for Ctrl-C; all there are if it ends before."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return lines


def test_a_file_is_read_once_whoever_is_asked_first_and_the_journal_tells_who_asked_whom(serving: Serving) -> None:
    """The first request has the getter run; the two others are answered by the cache of the same peer."""
    with serving("files") as transcript:
        outside = transcript.get(0, "/?key=../journal")
        nameless = transcript.get(0, "/")
    keys = [f"{number}.txt" for number in (1, 2, 3)]
    journal = [re.fullmatch(r"(node \d): (\S+): (.+)", line) for line in transcript.starting("node")]
    told = [[(each[1], each[3]) for each in journal if each and each[2] == key] for key in keys]

    assert transcript.starting("200") == [
        f"200 This is file number {number}." for number in (1, 2, 3) for _ in range(3)
    ]
    assert transcript.starting("getter") == [f"getter: reads {key}" for key in keys]
    for place, ((first, did), *others) in enumerate(told):
        found = re.fullmatch(r"asked (.+), which owns it and had the getter run", did)
        assert found is not None
        owner = first if found[1] == "itself" else found[1]
        assert [first, *(node for node, _ in others)] == [f"node {(place + step) % 3 + 1}" for step in range(3)]
        for node, did in others:  # the owner reads its pages, or asks its shard if that has just got the value
            itself = {"has it in its own cache, in shared memory", "asked itself, which has it in its cache"}
            assert did in (itself if node == owner else {f"asked {owner}, which has it in its cache"})
    assert outside == (404, b"no such file: ../journal\n")
    assert nameless[0] == 400


def test_a_role_is_looked_up_once_for_all_nodes_and_an_unknown_name_is_404(serving: Serving) -> None:
    """Names with letters of any script, spaces and an ampersand are like others."""
    with serving("roles") as transcript:
        pass
    roles = {"Ada": "admin", "Grace": "operator", "Jürgen Müller": "auditor", "李小龍": "guest", "🦊 & co": "partner"}

    assert transcript.starting("200", "404") == [
        answer
        for answer in [f"200 {role}" for role in roles.values()] + ["404 data not found: Nobody"]
        for _ in range(3)
    ]
    assert transcript.starting("database") == [
        f"database: SELECT role FROM roles WHERE name = ? {[name]}" for name in [*roles, "Nobody"]
    ]


def test_a_thumbnail_is_served_by_every_node_after_its_picture_was_deleted(serving: Serving) -> None:
    """It is rendered once; a picture that nobody had asked for before is not found."""
    with serving("thumbnails") as transcript:
        answers = [transcript.get(node, "/thumbnails/mandelbrot.png") for node in range(3)]
    (status, png), *_ = answers
    with Image.open(io.BytesIO(png)) as thumbnail:
        shown = f"200 PNG, {thumbnail.width} x {thumbnail.height}, {len(png):,} bytes"
        colours = thumbnail.getcolors(1 << 16)

    assert transcript.starting("getter") == ["getter: renders mandelbrot.png"]
    assert transcript.starting("200", "404") == [shown] * 4 + ["404 no such picture: seahorses.png"]
    assert shown.startswith("200 PNG, 128 x 110,")
    assert colours is not None
    assert len(colours) > 50  # there is something to be seen
    assert (status, answers) == (200, answers[:1] * 3)


def run(name: str) -> Transcript:
    """Runs an example to its end."""
    command = example(name)
    ran = command.run()
    assert ran.returncode == 0, ran.stderr
    ended(command)
    return Transcript(ran.stdout.splitlines(keepends=True))


def test_nine_gets_are_three_loads_and_a_server_that_is_killed_costs_one_more() -> None:
    """The client of geek-cache's script, in a Ray of the example's own."""
    transcript = run("scores")
    said = "\n".join(transcript.lines)
    told = " ".join(score or "load" for score in re.findall(r'{"value": "(\w+)"}|SELECT score FROM', said))

    # What was loaded for an answer comes after it.
    assert told == "NjMw load NjMw NjMw NjMx load NjMx NjMx NjMy load NjMy NjMy NjMw load NjMw"
    assert len(transcript.ports) == 3
    assert len([line for line in transcript.lines if "is killed with SIGKILL" in line]) == 1


@pytest.mark.parametrize(
    ("group", "ada", "older", "grace"),
    [
        (
            "users",
            "User(id='12345', name='Ada', age=36, is_super=True)",
            "User(id='12345', name='Ada', age=37, is_super=True)",
            "User(id='67890', name='Grace', age=45, is_super=False)",
        ),
        (
            "user-messages",
            '{"id": "12345", "name": "Ada", "age": "37", "isSuper": true}',
            '{"id": "12345", "name": "Ada", "age": "38", "isSuper": true}',
            '{"id": "67890", "name": "Grace", "age": "45"}',
        ),
    ],
)
def test_users_expire_after_five_minutes_are_removed_and_nobody_waits_for_more_than_half_a_second(
    users: Transcript, group: str, ada: str, older: str, grace: str
) -> None:
    """As dataclasses and as messages of protocol buffers."""
    start = users.lines.index(f"The group {group!r}:") + 1
    waited, _, error = users.lines[start + 5].partition(": ")
    look_up = "database: SELECT id, name, age, is_super FROM users WHERE id = ?"

    assert users.lines[start : start + 5] == [
        f"at first: {ada}",
        f"{look_up} ['12345']",
        f"after 4 minutes: {ada}",
        f"after 5 minutes: {ada}",
        f"{look_up} ['12345']",
    ]
    assert error.startswith("LoadTimeout: no value within 0.5 s for '67890'")
    assert 0.5 <= float(waited.split()[1]) < 5
    assert users.lines[start + 6 : start + 13] == [
        f"later: {grace}",
        f"{look_up} ['67890']",
        "database: UPDATE users SET age = age + 1 WHERE id = ? ['12345']",
        f"in the cache: {ada}",
        "removed: True",
        f"then: {older}",
        f"{look_up} ['12345']",
    ]


@pytest.fixture(scope="module")
def users() -> Transcript:
    """The example runs once for both of its groups."""
    return run("users")
