"""The benchmarks' own books: goals, missing peers, timing by turns, and what is written of a run."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as runner
from benchmarks import figures, plots, report
from benchmarks.cases import CASES, hit_ratio, memoize, near, remote
from benchmarks.harness import Goal, Measurement, NotRun, at_most, faster
from benchmarks.peers import clients, install, servers
from benchmarks.setting import Setting

ROOT = Path(__file__).parents[2]
#: Figures of a case that has all kinds of them.
TIMES = {"raycache": [1e-6, 3e-6, 2e-6], "Redis": [80e-6, 60e-6, 70e-6], "memcached": [1e-6] * 3}


def wanted() -> dict[str, list[float]]:
    """The rows of section 8 of the design, and the figures in what they ask for; without one, `faster` means 1x."""
    section = (ROOT / "docs" / "design.md").read_text().partition("\n## 8. ")[2]
    rows = re.findall(r"^\| (?!what \||---)(.*?) \| (.*?) \|$", section, re.MULTILINE)
    return {what: sorted(bounds(goal)) for what, goal in rows}


def bounds(goal: str) -> list[float]:
    found = re.findall(r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)(?:x| points?| requests)\b", goal)
    numbers = [float(number.replace(",", "")) for number in found]
    return numbers + [1.0] * len(re.findall(r"(?<!x )faster than|no slower than", goal))


def test_every_goal_of_the_design_is_the_goal_of_a_case() -> None:
    judged: dict[str, list[float]] = {}
    for case in CASES.values():
        for goal in case.GOALS:
            judged.setdefault(goal.row, []).append(goal.bound)

    assert len(wanted()) >= 11
    assert wanted() == {row: sorted(bounds) for row, bounds in judged.items()}


def sample(**changes: object) -> Measurement:
    done = Measurement(case="pages-str", operation="first get", ours="raycache", samples=dict(TIMES))
    done.amounts = {"operations per second": {"raycache": 5.0, "Redis": 7.0, "memcached": 1.0}}
    done.judge(faster("raycache", "Redis", 15, row="hit by another process on the node"))
    for name, value in changes.items():
        setattr(done, name, value)
    return done


def run_of(*done: Measurement) -> figures.Run:
    about = {"date": "2030-01-01", "commit": "abc", "versions": {"python": "3.11", "ray": None}}
    about["machine"] = {"cpu": "a CPU", "cores": 2, "memory_bytes": 8 << 30}
    return json.loads(json.dumps(figures.run_as_json(about, False, list(done), {})))


@pytest.mark.parametrize(
    ("goal", "figure", "met"),
    [
        (faster("raycache", "Redis", 15), 35.0, True),
        (faster("raycache", "Redis", 36), 35.0, False),
        (at_most("raycache", "memcached", 2), 2.0, True),
        (at_most("raycache", "memcached", 1.9), 2.0, False),
        (at_most("raycache", "Redis", 1, amount="operations per second"), 5 / 7, True),
        (faster("raycache", "groupcache", 1), None, False),
    ],
)
def test_a_goal_is_judged_by_medians_or_amounts_and_is_not_met_without_them(goal, figure, met) -> None:
    done = sample(goals=[])
    done.judge(goal)

    assert (done.goals[0].figure, done.goals[0].met) == (pytest.approx(figure) if figure else figure, met)


def test_the_report_has_the_goal_and_where_a_peer_is_ahead() -> None:
    said = report.goals(run_of(sample()))

    assert "| hit by another process on the node | 2 us | Redis: 70 us | 35x faster | at least 15x |" in said
    assert "* `pages-str`: raycache 2 us; memcached 1 us (2x)\n" in said
    assert "* `pages-str`, operations per second: raycache 5; Redis 7\n" in said


def test_a_missed_goal_says_so() -> None:
    done = sample(goals=[])
    done.judge(faster("raycache", "Redis", 36, row="row"), faster("raycache", "groupcache", 1, row="other"))
    said = report.goals(run_of(done))

    assert "| 35x faster | at least 36x (**missed**) |" in said
    assert "| groupcache: not run | - | at least 1x (**not run**) |" in said


def test_where_a_peer_is_faster_the_row_says_slower() -> None:
    done = sample(goals=[])
    done.judge(faster("Redis", "raycache", 1, row="the other way round"))

    assert "| 35x slower | at least 1x (**missed**) |" in report.goals(run_of(done))


def test_each_goal_of_a_case_with_several_contenders_of_ours_names_its_own() -> None:
    done = sample(goals=[])
    done.judge(at_most("memcached", "Redis", 3, row="second face"))
    done.goals.append(Goal(what="rate", row="rate", bound=2000, at_least=True, unit=" requests", figure=5000.0))
    said = report.goals(run_of(done))

    assert "| second face | 1 us | Redis: 70 us | 0.0143x | at most 3x |" in said
    assert "| rate |  |  | 5,000 requests | at least 2,000 requests |" in said


def test_a_contender_that_is_no_peer_is_never_ahead() -> None:
    assert "memcached" not in report.goals(run_of(sample(apart=("memcached",))))


def test_the_long_report_has_every_contender_and_what_was_not_run() -> None:
    said = report.everything(run_of(sample(not_run={"groupcache": "apt-get install golang-go"})))

    assert "| memcached | 1 us | 1 us | 3 | 0.5x |" in said
    assert "* groupcache: NOT RUN, apt-get install golang-go" in said


def test_only_what_is_between_the_markers_changes() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"

    assert report.between(text, "new\n") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="0 pairs of the markers"):
        report.between("no markers", "new\n")


@pytest.mark.parametrize("document", ["README.md", "docs/performance.md"])
def test_the_documents_have_the_markers(document) -> None:
    report.between((ROOT / document).read_text(), "")


def test_plots_are_drawn_of_the_cases_that_were_run(tmp_path) -> None:
    zipf = [sample(case=f"{mix}-{n}") for mix in ("zipf-read", "zipf-mixed") for n in (1, 2)]
    drawn = plots.draw(run_of(sample(), *zipf), tmp_path)

    assert [path.name for path in drawn] == ["speed-tiers.svg", "speed-zipf.svg"]
    assert all("<svg" in path.read_text() for path in drawn)


def test_the_table_for_the_terminal_shows_brackets_of_names_as_they_are() -> None:
    from rich.console import Console

    console = Console(width=150)
    with console.capture() as captured:
        console.print(figures.table(run_of(sample(not_run={"peer": "pip install 'raycache[bench]'"}))))

    assert "peer: NOT RUN, pip install 'raycache[bench]'" in captured.get()


def row(label: str, best: float, s3fifo: float, **more: object) -> dict:
    theirs = {"s3fifo": s3fifo, "gdsf": 1.0}
    ours = {"lru": [0.1, 0.2], "s3fifo": [best, 0.3]}  # hit ratio and seconds saved
    return {"label": label, "ours": ours, "theirs": theirs, "optimum": 0.9, "sized": False, "has_costs": False, **more}


@pytest.mark.parametrize(
    ("rows", "behind"),
    [
        ([row("a", 0.50, 0.52), row("b", 0.60, 0.50)], 2.0),
        ([row("a", 0.50, 0.50, sized=True)], 50.0),
        ([row("a", 0.50, 0.51), row("costs", 0.1, 0.9, has_costs=True), row("alone", 0.1, 0.9, theirs={})], 1.0),
        ([], None),
    ],
)
def test_the_miss_ratio_is_judged_by_the_worst_trace(monkeypatch, rows, behind) -> None:
    monkeypatch.setattr(hit_ratio, "_simulated", lambda quick: rows)
    (done,) = hit_ratio.run(Setting(quick=False))

    assert done.goals[0].figure == (behind if behind is None else pytest.approx(behind))


def test_a_quick_run_does_not_simulate_and_says_so() -> None:
    (done,) = hit_ratio.run(Setting(quick=True))

    assert "it takes minutes" in done.not_run["simulation"]
    assert not done.goals[0].met


def test_a_case_that_does_not_judge_its_goals_breaks_off(monkeypatch, capsys) -> None:
    lax = SimpleNamespace(GOALS=(faster("a", "b", 1), faster("raycache", "Redis", 15)), run=lambda setting: [sample()])
    monkeypatch.setitem(CASES, "lax", lax)
    done, failed = runner._run(("lax",), quick=True)

    assert (done, failed) == ([], {"lax": "RuntimeError: the case has not judged its goals: b / a"})


# --------------------------------------------------------------------------------------------- missing peers


@pytest.fixture
def nothing_there(monkeypatch):
    """A machine without any peer, on which one may install nothing."""
    monkeypatch.setattr(install, "_which", lambda name: None)
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    install.program.cache_clear()
    yield
    install.program.cache_clear()


@pytest.mark.parametrize("server", [servers.redis, servers.memcached])
def test_a_server_that_is_missing_is_not_run_and_says_how_to_get_it(nothing_there, server) -> None:
    done = Measurement(case="pages", operation="get")

    assert done.if_there("peer", lambda: server().__enter__()) == {}
    assert "is not installed: apt-get install" in done.not_run["peer"]


def test_without_go_groupcache_is_not_run(nothing_there) -> None:
    with pytest.raises(
        NotRun, match="go is not installed: apt-get install golang-go golang-github-golang-groupcache-dev"
    ):
        remote.groupcache_nodes.nodes().__enter__()


def test_without_wrk_nothing_is_asked_over_http(nothing_there) -> None:
    with pytest.raises(NotRun, match="wrk is not installed: apt-get install wrk"):
        clients.wrk("http://127.0.0.1:1", "/", 1, 1, 1)


def test_a_package_that_is_missing_is_not_run() -> None:
    with pytest.raises(NotRun, match=r"no_such_package is not installed: pip install 'raycache\[bench\]'"):
        install.package("no_such_package")


def test_a_server_that_does_not_come_up_is_not_run() -> None:
    with pytest.raises(NotRun, match=r"did not come up at port 1 \(exit status 0\)"):
        servers.running(["true"], 1).__enter__()


def test_a_server_has_ended_when_its_context_has() -> None:
    port = servers.free_port()
    program = f"import socket; s = socket.create_server(('127.0.0.1', {port})); s.accept(); input()"
    with servers.running([sys.executable, "-c", program], port, piped=True) as process:
        assert process.poll() is None

    assert process.returncode is not None


def test_the_processor_time_of_a_server_is_its_own() -> None:
    """... and neither ours nor the time that it has waited."""
    port = servers.free_port()
    program = (
        "import socket, time\n"
        "while time.process_time() < 0.2: pass\n"
        f"s = socket.create_server(('127.0.0.1', {port})); s.accept(); input()"
    )
    with servers.running([sys.executable, "-c", program], port, piped=True) as process:
        taken = servers.cpu_s(process)
        began = time.process_time()
        while time.process_time() < began + 0.1:
            pass

        assert 0.2 <= taken <= servers.cpu_s(process) < taken + 0.05


def test_cases_that_need_no_server_leave_missing_packages_out(monkeypatch) -> None:
    def package(name):
        raise NotRun(f"the package {name} is not installed")

    monkeypatch.setattr(install, "package", package)
    done = Measurement(case="near", operation="get")
    for made in (near._cachetools, near._cachebox, near._theine, lambda: memoize._on_disk(len, "")):
        assert done.if_there("peer", made) == {}


def test_a_goal_without_a_figure_is_not_met() -> None:
    assert not Goal(what="anything", bound=0, at_least=True).met
