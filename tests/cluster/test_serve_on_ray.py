"""The command `raycache serve` on a real Ray: started, asked over HTTP, and stopped."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from commands import TIMEOUT_S
from waiting import until

DEFINITIONS = """
import pathlib, time

HERE = pathlib.Path({here!r})

def shout(key):
    if key == "slow":
        (HERE / "begun").touch()
        while not (HERE / "go").exists():
            time.sleep(0.01)
    return key.upper()

GROUPS = {{"shout": {{"getter": shout, "ttl": "1h", "capacity": "1 MiB"}}}}
"""


@pytest.fixture
def on_cache(cluster_ray, cache) -> list[str]:
    return ["--address", cluster_ray.address, "--name", cache.name]


def refuses(url: str) -> bool:
    """Whether nobody listens there."""
    try:
        httpx.get(f"{url}/healthz")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # the kernel had taken the connection when the gateway let go of its socket
        pass
    return False


def test_a_gateway_serves_a_cache_and_stops_when_it_is_told(command, on_cache, cache, tmp_path, monkeypatch):
    """... when what was asked before is answered."""
    (tmp_path / "definitions.py").write_text(DEFINITIONS.format(here=str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    arguments = ["serve", "--http", "127.0.0.1:0", "--access-log", "--groups", "definitions:GROUPS", *on_cache]
    with command.start(*arguments) as process, ThreadPoolExecutor(1) as asking:
        try:
            url = process.stdout.readline().split()[-1]
            path = f"{url}/v1/groups/shout/keys"
            first, again = (httpx.get(f"{path}/a%2Fb") for _ in range(2))
            httpx.put(f"{path}/put", json={"a": 1})
            group = cache.group("shout")
            put = group.get("put")
            group.set_many({"a/b": "other", "c": "set"})
            changed, page = httpx.get(f"{path}/a%2Fb"), httpx.get(f"{path}/c")
            health = httpx.get(f"{url}/healthz").json()
            slow = asking.submit(httpx.get, f"{path}/slow", timeout=TIMEOUT_S)
            until((tmp_path / "begun").exists, "the getter runs")
            process.send_signal(signal.SIGTERM)
            until(lambda: refuses(url), "nothing new is taken")
            (tmp_path / "go").touch()
            answer = slow.result()
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            (tmp_path / "go").touch()
            process.kill()

    got = [(each.status_code, each.text, each.headers["x-cache"]) for each in (first, again, changed, page)]
    assert got == [(200, "A/B", "load"), (200, "A/B", "near"), (200, "other", "page"), (200, "set", "page")]
    assert 3000 < int(first.headers["cache-control"].removeprefix("max-age=")) < 3600
    assert put == {"a": 1}
    assert health["reachable"] == 1
    assert (answer.text, answer.headers["connection"]) == ("SLOW", "close")
    assert '"path": "/v1/groups/shout/keys/a%2Fb", "status": 200' in out
    assert (process.returncode, "Traceback" in err) == (0, False)
