"""What goes wrong in practice, and the remedy: each check is a function of the facts, which finds one thing or several.

An error keeps the cache, or a part of it, from working; a warning says what will go wrong, or works less well than it
could. A check that finds nothing wrong says what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from raycache._version import __version__
from raycache.core.memory import SHARED_MEMORY
from raycache.core.messages import ShardInfo
from raycache.edge.facts import Facts, NodeFacts
from raycache.options import MIB
from raycache.units import size_text, time_text

OK, WARNING, ERROR = "ok", "warning", "error"
#: What Docker gives a container for /dev/shm.
DOCKER_SHM_BYTES = 64 * MIB
#: Wall clocks that differ by less are as good as equal.
CLOCK_S = 1.0
#: An object store with less than this share free is full.
STORE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found."""

    check: str
    state: str  # ok, warning or error
    found: str
    remedy: str = ""


class Seen(NamedTuple):
    """What a check gives; its name is added by `diagnose`."""

    state: str
    found: str
    remedy: str = ""


Check = Callable[[Facts], Iterable[Seen]]


def diagnose(facts: Facts) -> list[Finding]:
    """What all checks find, in their order."""
    return [Finding(name, *seen) for name, check in CHECKS.items() for seen in check(facts)]


def as_dict(facts: Facts, findings: list[Finding]) -> dict[str, Any]:
    """For JSON."""
    state = next((state for state in (ERROR, WARNING) if any(each.state == state for each in findings)), OK)
    found = [asdict(finding) for finding in findings]
    return {"cache": facts.cache, "version": __version__, "state": state, "findings": found}


# --------------------------------------------------------------------------------------------------- Ray


def ray(facts: Facts) -> Iterator[Seen]:
    """Is there a Ray, and do all its nodes answer?"""
    if facts.ray_error is not None:
        without_token = facts.token.mode == "token" and not facts.token.there
        remedy = "start one with `ray start --head`, or name the one that runs by --address"
        yield Seen(ERROR, facts.ray_error, "give this machine its token" if without_token else remedy)
        return
    silent = [node for node in facts.nodes if not node.answered]
    for node in silent:
        remedy = "is it cut off, stopped or overloaded? If it is gone, end it with `ray stop` there"
        yield Seen(ERROR, f"{_called(node)} does not run a task in time", remedy)
    if not silent:
        yield Seen(OK, f"{_count(len(facts.nodes), 'node')}: {', '.join(node.address for node in facts.nodes)}")


def tokens(facts: Facts) -> Iterator[Seen]:
    """Does Ray ask who comes, and can its token be found here and be read by its user alone?"""
    token = facts.token
    asks = token.mode == "token" or any(node.auth_mode.lower() == "token" for node in facts.nodes)
    if token.mode == "token" and not token.there:
        yield Seen(
            ERROR,
            f"RAY_AUTH_MODE=token, but {token.source} has no token",
            "copy it from the head node, the same file on every node (mode 0600); a new cluster gets one by `ray "
            "get-auth-token --generate`",
        )
    elif facts.ray_error is not None and token.mode != "token" and not token.there:
        yield Seen(WARNING, "no token here", "if that Ray wants one: copy the head's ~/.ray/auth_token to this machine")
    elif not asks and any(not node.address.startswith("127.") for node in facts.nodes):
        yield Seen(
            WARNING,
            "Ray lets in whoever reaches its ports",
            "start it with RAY_AUTH_MODE=token, and the same ~/.ray/auth_token on every node",
        )
    elif token.file_mode is not None and token.file_mode & 0o077:
        yield Seen(WARNING, f"{token.source} has mode {token.file_mode:04o}", f"chmod 600 {token.source}")
    else:
        yield Seen(OK, f"the token is in {token.source}" if token.there else "no tokens, and nobody else can come here")


def versions(facts: Facts) -> Iterator[Seen]:
    """Does every node have the raycache, Ray and Python of this machine?"""
    unlike = [seen for node in facts.nodes if node.answered for seen in _unlike(node, facts.here)]
    yield from unlike
    if not unlike:
        yield Seen(OK, f"raycache {facts.here.raycache}, ray {facts.here.ray}, python {facts.here.python}")


def _unlike(node: NodeFacts, here: NodeFacts) -> Iterator[Seen]:
    if node.raycache is None or node.raycache_error:
        why = node.raycache_error or "it is not installed"
        found = f"{_called(node)} has no raycache for Ray's workers: {why}"
        yield Seen(ERROR, found, f"pip install raycache=={__version__} there, into the Python that runs Ray")
    elif node.raycache != here.raycache:
        yield Seen(*_other(node, "raycache", node.raycache, here.raycache))
    if node.ray != here.ray:
        yield Seen(*_other(node, "ray", node.ray, here.ray))
    if not node.compiled:
        found = f"raycache was installed on {_called(node)} without a compiler: near hits take half as long again there"
        again = "pip install --force-reinstall --no-deps --no-cache-dir --no-binary raycache raycache"
        yield Seen(WARNING, found, f"install gcc and Python's headers there, then `{again}`")
    if node.python != here.python:
        found = f"{_called(node)} has Python {node.python}, and this machine {here.python}"
        state = WARNING if _minor(node.python) == _minor(here.python) else ERROR
        yield Seen(state, found, "run Ray with the same Python everywhere, to the patch release if need be")


def _other(node: NodeFacts, package: str, theirs: str | None, ours: str | None) -> tuple[str, str, str]:
    found = f"{_called(node)} has {package} {theirs}, and this machine {ours}"
    return ERROR, found, f"pip install {package}=={ours} there, and start Ray and the cache anew"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def clocks(facts: Facts) -> Iterator[Seen]:
    """Do the wall clocks agree?"""
    off = [node for node in facts.nodes if node.answered and abs(node.clock_off_s) - node.clock_error_s > CLOCK_S]
    for node in off:
        which = "ahead" if node.clock_off_s > 0 else "behind"
        yield Seen(
            WARNING,
            f"the wall clock of {_called(node)} is {time_text(abs(node.clock_off_s))} {which}",
            "set it by NTP; times in logs mislead until then. The cache does not mind: leases and expiry use "
            "monotonic clocks",
        )
    if not off and facts.nodes:
        worst = max((abs(node.clock_off_s) + node.clock_error_s for node in facts.nodes if node.answered), default=0.0)
        yield Seen(OK, f"wall clocks agree within {time_text(worst)}; leases use monotonic clocks")


def stores(facts: Facts) -> Iterator[Seen]:
    """Has Ray's object store room for large values?"""
    known = [node for node in facts.nodes if node.store_bytes]
    full = [node for node in known if node.store_free_bytes < STORE_SHARE * node.store_bytes]
    for node in full:
        yield Seen(
            WARNING,
            f"the object store of {_called(node)} is full: {size_text(node.store_free_bytes)} of "
            f"{size_text(node.store_bytes)} are free",
            "values over 100 KB lie there: give groups of large values less capacity, or Ray a larger store (ray "
            "start --object-store-memory), or let go of ObjectRefs",
        )
    if known and not full:
        yield Seen(OK, ", ".join(f"{size_text(node.store_free_bytes)} free" for node in known))


# ------------------------------------------------------------------------------------------ shared memory


def shared_memory(facts: Facts) -> Iterator[Seen]:
    """Is /dev/shm large enough for what the shards, and Ray's object store beside them, may take?"""
    trouble = False
    for node in facts.machines:
        shards = [shard for shard in facts.shards if shard.node == node.id and shard.reachable]
        for seen in (*_room(node, shards), *_on_disk(node, shards)):
            trouble = True
            yield seen
    if not trouble:
        rooms = ", ".join(f"{size_text(each.shm_free_bytes)} of {size_text(each.shm_bytes)}" for each in facts.machines)
        yield Seen(OK, f"free: {rooms}")


def _room(node: NodeFacts, shards: list[ShardInfo]) -> Iterator[Seen]:
    capacity = sum(shard.capacity_bytes for shard in shards)
    to_come = capacity - sum(shard.bytes for shard in shards)
    has = f"{SHARED_MEMORY} of {_called(node)} has {size_text(node.shm_bytes)}"
    if not node.shm_bytes:
        remedy = f"mount a tmpfs there (mount -t tmpfs -o size=2g tmpfs {SHARED_MEMORY})"
        yield Seen(WARNING, f"{_called(node)} has no {SHARED_MEMORY}", remedy)
    elif node.shm_bytes <= DOCKER_SHM_BYTES:
        found = f"{has}, as Docker gives a container that asks for no more"
        yield Seen(ERROR if capacity > node.shm_bytes else WARNING, found, "docker run --shm-size=2g (or more)")
    elif capacity > node.shm_bytes:
        yield Seen(ERROR, f"{has}, and its shards a capacity of {size_text(capacity)}", _smaller(node))
    elif to_come > node.shm_free_bytes:
        yield Seen(
            WARNING,
            f"{has}, {size_text(node.shm_free_bytes)} free, and its shards may grow by {size_text(to_come)}",
            f"{_smaller(node)}. Until then entries go earlier than they would",
        )


def _smaller(node: NodeFacts) -> str:
    return f"more room (mount -o remount,size=... {SHARED_MEMORY}), or `raycache up --capacity` with less"


def _on_disk(node: NodeFacts, shards: list[ShardInfo]) -> Iterator[Seen]:
    for shard in shards:
        if not shard.folder.startswith(f"{SHARED_MEMORY}/"):
            found = f"the pages of {shard.id} lie on disk, in {shard.folder}: {SHARED_MEMORY} was too small"
            yield Seen(WARNING, found, f"{_smaller(node)}; then `raycache down` and `raycache up`")


def stale_folders(facts: Facts) -> Iterator[Seen]:
    """Did dead sessions leave anything in shared memory? Looking has removed it."""
    swept = sum(node.swept for node in (facts.here, *facts.nodes))
    yield Seen(OK, f"{_count(swept, 'folder')} of dead sessions removed" if swept else "no folders of dead sessions")


# ---------------------------------------------------------------------------------------------- the cache


def cache(facts: Facts) -> Iterator[Seen]:
    """Is there a cache, and do its shards answer?"""
    if facts.ray_error is not None:
        return
    if facts.cache_error is not None:
        yield Seen(ERROR, facts.cache_error, "`raycache up` makes a cache, or joins the one that is up")
        return
    silent = [shard for shard in facts.shards if not shard.reachable]
    for shard in silent:
        yield Seen(
            ERROR,
            f"the shard {shard.id} on {_node_called(facts, shard.node)} does not answer",
            "others stand in for it. Is its process stopped, or its node cut off? `raycache status --watch` shows when "
            "it is back",
        )
    if not facts.shards:
        yield Seen(ERROR, "no shard is up", "`raycache up` starts them")
    elif not silent:
        entries = f"{sum(shard.entries for shard in facts.shards):,} entries"
        yield Seen(OK, f"{_count(len(facts.shards), 'shard')} with {entries}")


def leases(facts: Facts) -> Iterator[Seen]:
    """Has every shard a lease? Without one it serves nothing."""
    there = [shard for shard in facts.shards if shard.reachable]
    without = [shard for shard in there if shard.lease_s <= 0]
    for shard in without:
        yield Seen(
            ERROR,
            f"the shard {shard.id} has no lease, and serves nothing",
            "it gets one within seconds if it reaches the directory; if not: is its node cut off from the others, or "
            "overloaded?",
        )
    if there and not without:
        yield Seen(OK, f"the shortest holds {time_text(min(shard.lease_s for shard in there))} more")


def nodes_without_shard(facts: Facts) -> Iterator[Seen]:
    """Has every node of the placement a shard?"""
    if not facts.shards:
        return
    have = {shard.node for shard in facts.shards}
    placed = [node for node in facts.nodes if node.answered and node.placed]
    without = [node for node in placed if node.id not in have]
    for node in without:
        found = f"{_called(node)} has no shard: gets there ask other nodes every time"
        yield Seen(WARNING, found, "`raycache up` starts it, as does the first program there that connects")
    if not without:
        yield Seen(OK, f"all {_count(len(placed), 'node')} of the placement have one")


def pinned_nodes(facts: Facts) -> Iterator[Seen]:
    """Are there nodes that an autoscaler would end if there were no shard on them?"""
    scaled = [node for node in facts.nodes if node.scaled and not node.head]
    have = {shard.node for shard in facts.shards}
    pinned = [node for node in scaled if node.idle and node.id in have]
    for node in pinned:
        yield Seen(
            WARNING,
            f"{_called(node)} runs nothing but a shard, which keeps it from being scaled down",
            f"raycache drain {node.id[:12]}, and --placement KEY=VALUE (labels of nodes that stay) for the next cache",
        )
    if scaled and not pinned:
        yield Seen(OK, "no node is kept by a shard alone")


CHECKS: dict[str, Check] = {
    "ray": ray,
    "tokens": tokens,
    "versions": versions,
    "clocks": clocks,
    "object store": stores,
    "shared memory": shared_memory,
    "stale folders": stale_folders,
    "cache": cache,
    "leases": leases,
    "nodes without a shard": nodes_without_shard,
    "pinned nodes": pinned_nodes,
}


def _called(node: NodeFacts) -> str:
    """A node as people find it."""
    return f"{node.address} (node {node.id[:12]})" if node.address else "this machine"


def _node_called(facts: Facts, id: str) -> str:
    return next((_called(node) for node in facts.nodes if node.id == id), f"the node {id[:12]}, which is gone")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
