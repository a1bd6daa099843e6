"""What a message must be like for a shard or the directory to act on it.

Messages come from processes of the same cluster and the same version, which make no other ones. This is the second
lock: what is half-done when it turns out to be nonsense would stay wrong, long after whoever sent it has gone. So a
message is looked at as a whole, before anything of it is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from raycache._version import __version__
from raycache.core import record
from raycache.core.codec import FRAMES, PICKLE, RAW, Blob
from raycache.core.messages import (
    PREFIX_BYTES,
    Absent,
    Adopt,
    Asked,
    Bump,
    Call,
    Copied,
    Copy,
    Count,
    Define,
    Delete,
    Describe,
    Drain,
    Explain,
    Fence,
    Filled,
    Get,
    GetEndpoint,
    GetGroups,
    GetOptions,
    GetView,
    GroupSpec,
    Hello,
    Hits,
    Keys,
    Learn,
    Leave,
    Loaded,
    Moving,
    Orphaned,
    Place,
    Raised,
    Register,
    Renew,
    Repeat,
    Report,
    Scale,
    Set,
    Suspect,
    Weigh,
    group_prefix,
)
from raycache.core.ring import MOST_WEIGHT, Ring
from raycache.core.stats import Stats
from raycache.errors import InvalidOption, VersionMismatch
from raycache.options import MOST_S, POLICIES, GroupOptions

#: Epochs grow by one: no directory gets here. From a larger one a shard would never come back to its cache's.
MOST_EPOCH = 1 << 62
MOST_GROUP = (1 << 32) - 1
MOST_NUMBER = (1 << 64) - 1


class Malformed(InvalidOption):
    """A message that nobody sends who means it; nothing of it was done."""


def check(message: Any) -> None:
    """Raises Malformed for a message with nonsense in it, VersionMismatch for one that is not known here."""
    rule = _RULES.get(type(message))
    if rule is None:
        unknown(message)
    try:
        wrong = rule(message)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:  # it has parts of other kinds
        wrong = str(error)
    if wrong:
        raise Malformed(f"a message {type(message).__name__} was not acted on: {wrong}")


def unknown(message: Any) -> NoReturn:
    """Raises VersionMismatch for a message that is not known here."""
    raise VersionMismatch(
        f"this part of the cache is of raycache {__version__}, which knows no message {type(message).__name__!r}; have "
        f"all processes use the version that the cache was made with, or make it anew (raycache down, raycache up)"
    )


# What is wrong with a part of a message; "" if nothing is.


def _first(*wrong: str) -> str:
    return next(filter(None, wrong), "")


def _is(value: Any, kind: type | tuple[type, ...], what: str) -> str:
    return "" if isinstance(value, kind) else f"{what} is {value!r:.100}"


def _between(value: Any, least: float, most: float, what: str) -> str:
    return "" if isinstance(value, (int, float)) and least <= value <= most else f"{what} is {value!r:.100}"


def _number(value: Any, least: int, most: int, what: str) -> str:
    return "" if isinstance(value, int) and least <= value <= most else f"{what} is {value!r:.100}"


def _group(id: Any) -> str:
    return _number(id, 1, MOST_GROUP, "the group")


def _epoch(epoch: Any) -> str:
    return _number(epoch, -1, MOST_EPOCH, "the epoch")


def _ticket(ticket: Any) -> str:
    return _number(ticket, 0, (1 << 64) - 1, "the ticket")


def _ttl(ttl_s: Any) -> str:
    return "" if ttl_s is None or ttl_s == math.inf else _between(ttl_s, 0.0, MOST_S, "the ttl")


def _names(keys: Any) -> str:
    """Full keys, of any groups."""
    if type(keys) is not tuple or not all(type(key) is bytes and len(key) > PREFIX_BYTES for key in keys):
        return f"the keys are {keys!r:.100}"
    return ""


def _keys(keys: Any, group: Any) -> str:
    """Full keys of one group. What is between two keys of it is one of its own: two comparisons tell it of all."""
    if (wrong := _group(group)) or keys == ():
        return wrong
    if type(keys) is not tuple or set(map(type, keys)) != {bytes}:
        return f"the keys are {keys!r:.100}"
    prefix, low, high = group_prefix(group), min(keys), max(keys)
    inside = low.startswith(prefix) and high.startswith(prefix) and low != prefix
    return "" if inside else f"not all keys are of the group {group}: {low!r:.100}, {high!r:.100}"


def _ring(ring: Any) -> str:
    if not isinstance(ring, Ring) or not all(isinstance(id, str) for id in (*ring.members, *ring.lives)):
        return f"the ring is {ring!r:.100}"
    return _first(_epoch(ring.epoch), *map(_ticket, ring.lives.values()))


def _blob(blob: Any) -> str:
    if isinstance(blob, Blob) and blob.tag in range(RAW, PICKLE + 1) and isinstance(blob.parts, tuple):
        whole = len(blob.parts) == 1 or (len(blob.parts) > 1 and blob.tag == PICKLE)
        if whole and all(isinstance(part, (bytes, bytearray, memoryview)) for part in blob.parts):
            return ""
    return f"a value is {blob!r:.100}"


def _calls(calls: Any, keys: Any) -> str:
    fine = type(calls) is tuple and len(calls) in (0, len(keys))
    if fine and all(isinstance(call, Call) and isinstance(call.frame, bytes) for call in calls):
        return ""
    return f"the calls are {calls!r:.100}, for {len(keys):,} keys"


def _items(items: Any, group: Any) -> str:
    wrong = (_first(_blob(blob), _ttl(ttl_s)) for _, blob, ttl_s in items)
    return _first(_is(items, tuple, "what is set"), _keys(tuple(key for key, _, _ in items), group), *wrong)


def _result(result: Any, blob: Any) -> str:
    if isinstance(result, Loaded):
        large = isinstance(result.data, int) and blob is not None
        return _first(
            _number(result.tag, RAW, FRAMES, "the tag"),
            "" if large or isinstance(result.data, bytes) else f"a value is {result.data!r:.100}",
            _number(result.size, 0, 1 << 62, "the size"),
            _ttl(result.ttl_s),
            _between(result.cost_s, 0.0, MOST_S, "the cost"),
        )
    if isinstance(result, Absent):
        return _first(_is(result.message, str, "the message"), _ttl(result.ttl_s))
    return _is(result, (Raised, Orphaned), "the result")


def _spec(spec: Any, least: int) -> str:
    """Of a group; before the directory has given it an id that is 0."""
    if not isinstance(spec, GroupSpec) or not isinstance(spec.options, GroupOptions):
        return f"the group is {spec!r:.100}"
    return _first(
        _number(spec.id, least, MOST_GROUP, "the group"),
        _is(spec.name, str, "its name"),
        _is(spec.pool, str, "its pool"),
        _is(spec.definition, bytes, "its definition"),
        _number(spec.options.capacity_bytes, 0, 1 << 63, "its capacity"),
        "" if spec.options.policy in POLICIES else f"its policy is {spec.options.policy!r:.100}",
    )


def _entries(entries: Any) -> str:
    wrong = (_is(entry, Moving, "an entry") or _is(entry.record, bytes, "a record") for entry in entries)
    return _first(_is(entries, tuple, "the entries"), *wrong, _names(tuple(entry.key for entry in entries)))


def _asked(asked: Any, group: Any) -> str:
    counts = ((each.times, each.size) for each in asked if isinstance(each, Asked))
    wrong = (_number(times, 1, 1 << 62, "how often") or _number(size, 0, 1 << 62, "the size") for times, size in counts)
    every = (_is(each, Asked, "what was asked for") for each in asked)
    return _first(_is(asked, tuple, "what was asked for"), *every, *wrong, _keys(tuple(e.key for e in asked), group))


def _hottest(hottest: Any, group: Any) -> str:
    wrong = (_is(each, Hits, "what was hit") or _number(each.times, 1, 1 << 62, "how often") for each in hottest)
    return _first(_is(hottest, tuple, "what was hit"), *wrong, _keys(tuple(each.key for each in hottest), group))


def _copies(copies: Any) -> str:
    wrong = (_is(copied, Copied, "a copy") or _copied(copied) for copied in copies)
    return _first(_is(copies, tuple, "the copies"), *wrong, _names(tuple(copied.key for copied in copies)))


def _copied(copied: Copied) -> str:
    whole = isinstance(copied.record, bytes) and len(copied.record) >= record.OVERHEAD_BYTES
    if not whole or record.is_stub(copied.record):
        return f"a record is {copied.record!r:.100}"
    return _first(
        _number(copied.version, 0, (1 << 64) - 1, "the version"),
        "" if record.header(copied.record).expires > -math.inf else "a copy never was",
    )


def _tokens(tokens: Iterable[Any]) -> str:
    return _first(*(_is(key, bytes, "a key") or _is(number, int, "a token") for key, number in tokens))


def _ids(ids: Any, what: str) -> str:
    return _first(_is(ids, (tuple, list), what), *(_is(id, str, what) for id in ids))


def _nothing(_: Any) -> str:
    return ""


_RULES: dict[type, Callable[[Any], str]] = {
    Get: lambda ask: _first(
        _keys(ask.keys, ask.group),
        _epoch(ask.epoch),
        _is(ask.definition, bytes, "the definition"),
        _calls(ask.calls, ask.keys),
        _number(ask.number, 0, MOST_NUMBER, "the number"),
    ),
    Set: lambda ask: _first(_items(ask.items, ask.group), _ring(ask.ring), _is(ask.operation, int, "the operation")),
    Filled: lambda ask: _first(
        _keys((ask.key,), ask.group),
        _is(ask.definition, bytes, "the definition"),
        "" if ask.blob is None else _blob(ask.blob),
        _result(ask.result, ask.blob),
        _is(ask.note, bytes, "the note"),
    ),
    Renew: lambda ask: _tokens(ask.tokens),
    Delete: lambda ask: _first(
        _group(ask.group) if ask.keys is None else _keys(ask.keys, ask.group),
        _ring(ask.ring),
        _is(ask.operation, int, "the operation"),
    ),
    Bump: lambda ask: _first(
        "" if ask.keys is None else _names(ask.keys),
        _is(ask.operation, int, "the operation"),
    ),
    Keys: lambda ask: _first(
        "" if len(ask.prefix) >= PREFIX_BYTES else f"the prefix is {ask.prefix!r}",
        _is(ask.prefix, bytes, "the prefix"),
        _is(ask.after, bytes, "the key"),
        _number(ask.limit, 0, 1 << 62, "the limit"),
    ),
    Count: lambda ask: "" if ask.group is None else _group(ask.group),
    Report: lambda ask: _first(
        _group(ask.group),
        _is(ask.stats, Stats, "what is reported"),
        _names(ask.touched),
        _asked(ask.asked, ask.group),
        _hottest(ask.hottest, ask.group),
        _is(ask.inherited, bool, "whether it is inherited"),
    ),
    Copy: lambda ask: _first(_ticket(ask.ticket), _copies(ask.copies)),
    Define: lambda ask: _spec(ask.spec, 1),
    Learn: lambda ask: _ring(ask.ring),
    Adopt: lambda ask: _first(
        _is(ask.source, str, "the source"),
        _ring(ask.ring),
        _between(ask.now, -MOST_S, MOST_S, "the clock"),
        _entries(ask.entries),
    ),
    Explain: lambda ask: _first(
        _names((ask.key,)), _is(ask.about, bytes, "what tells of it"), _is(ask.note, bytes, "the note")
    ),
    Repeat: lambda ask: _is(ask.futures, tuple, "the futures"),
    Describe: _nothing,
    GetEndpoint: _nothing,
    GetView: _nothing,
    GetOptions: _nothing,
    GetGroups: _nothing,
    Hello: lambda ask: _first(
        _is(ask.id, str, "the shard"),
        _is(ask.place, Place, "the place"),
        _between(ask.weight, 0.0, MOST_WEIGHT, "the weight"),
        _ticket(ask.ticket),
        _epoch(ask.epoch),
        _between(ask.sent, -MOST_S, MOST_S, "the clock"),
    ),
    Fence: lambda ask: _first(_is(ask.id, str, "the shard"), _ticket(ask.ticket)),
    Leave: lambda ask: _first(_is(ask.id, str, "the shard"), _ticket(ask.ticket)),
    Drain: lambda ask: _first(
        _ids(ask.ids, "the shards"), _ids(ask.nodes, "the nodes"), _between(ask.timeout_s, 0.0, MOST_S, "the timeout")
    ),
    Weigh: lambda ask: _first(
        _ids(list(ask.weights), "the shards"),
        *(_between(weight, 0.0, MOST_WEIGHT, "the weight") for weight in ask.weights.values()),
    ),
    Scale: lambda ask: _number(ask.shards_per_node, 1, 1 << 10, "shards_per_node"),
    Suspect: lambda ask: _ids(ask.ids, "the shards"),
    Register: lambda ask: _spec(ask.spec, 0),
}
