"""What a function is memoized with: one frozen class, checked when the function is decorated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from raycache.cache import Cache
from raycache.errors import InvalidOption
from raycache.options import MEMO_POLICY, GroupOptions, Policy, check_policy, parse_seconds, parse_size

#: The names under which `memoize` takes them.
_OPTIONS = (
    *("ttl", "negative_ttl", "load_timeout", "ignore", "key", "version", "depends", "name", "capacity", "policy"),
    *("where", "batch", "batch_size", "task_options", "cache"),
)


@dataclass(frozen=True, kw_only=True)
class MemoOptions:
    """As `memoize` takes them; see there."""

    ttl_s: float | None = None
    negative_ttl_s: float | None = None
    load_timeout_s: float | None = None
    capacity_bytes: int | None = None
    policy: Policy = MEMO_POLICY
    ignore: tuple[str, ...] = ()
    key: Callable[..., Any] | None = None
    version: str | None = None
    depends: tuple[Any, ...] = ()
    name: str | None = None
    where: Literal["task", "caller"] = "task"
    batch: str | None = None
    batch_size: int = 256
    task_options: Mapping[str, Any] = field(default_factory=dict)
    cache: Any = None  # a Cache, its name, or None for the one that `connect()` gives

    def of_loads(self) -> GroupOptions:
        """What counts for a load of one definition; the capacity is the pool's and not looked at here."""
        given: dict[str, Any] = {"ttl_s": self.ttl_s, "negative_ttl_s": self.negative_ttl_s}
        if self.load_timeout_s is not None:
            given["load_timeout_s"] = self.load_timeout_s
        return GroupOptions(capacity_bytes=0, batch_size=self.batch_size, **given)


def memo_options(**given: Any) -> MemoOptions:
    """`MemoOptions` from what a user wrote.

    Raises InvalidOption, which says what would be right.
    """
    if unknown := [name for name in given if name not in _OPTIONS]:
        raise InvalidOption(f"{unknown[0]}= is no option of memoize; it has {', '.join(_OPTIONS)}")
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for option, name in (("ttl", "ttl_s"), ("negative_ttl", "negative_ttl_s"), ("load_timeout", "load_timeout_s")):
        if option in fields:
            fields[name] = parse_seconds(fields.pop(option), option)
    if "capacity" in fields:
        fields["capacity_bytes"] = parse_size(fields.pop("capacity"), "capacity")
    for option in ("ignore", "depends"):
        if option in fields:
            fields[option] = _several(fields[option], option)
    if "version" in fields:
        fields["version"] = str(fields["version"])
    options = MemoOptions(**fields)
    _check(options)
    check_policy(options.policy)
    if options.policy != MEMO_POLICY and options.capacity_bytes is None:
        raise InvalidOption(
            f"policy={options.policy!r} is for a function with a capacity of its own: give capacity= too. What all "
            f"memoized functions share goes by {MEMO_POLICY!r}"
        )
    options.of_loads()
    return options


def _several(value: Any, option: str) -> tuple[Any, ...]:
    # What a function depends on counts by its place, and a set has none.
    kinds = (list, tuple, set, frozenset) if option == "ignore" else (list, tuple)
    if not isinstance(value, kinds):
        raise InvalidOption(f"{option}={value!r:.100}: give a list, as {option}=[...]")
    if option == "ignore" and not all(isinstance(name, str) for name in value):
        raise InvalidOption(f"ignore={value!r:.100}: the names of arguments, as ignore=['verbose']")
    return tuple(sorted(value) if option == "ignore" else value)


def _check(options: MemoOptions) -> None:
    if options.where not in ("task", "caller"):
        raise InvalidOption(f"where={options.where!r}: 'task' runs the function as a Ray task, 'caller' in the caller")
    if options.key is not None and not callable(options.key):
        raise InvalidOption(f"key={options.key!r:.100} cannot be called; give a function of the same arguments")
    if options.key is not None and options.ignore:
        raise InvalidOption("give ignore= or key=, not both: key= alone says what counts")
    if options.key is not None and options.batch is not None:
        raise InvalidOption("key= does not go with batch=: the items of a batch are keyed one by one")
    if options.where == "caller" and options.task_options:
        raise InvalidOption("task_options= are for where='task'; where='caller' starts no task")
    if not isinstance(options.task_options, Mapping):
        raise InvalidOption(f"task_options={options.task_options!r:.100}: a dict, as task_options={{'num_cpus': 1}}")
    if options.name is not None and (not isinstance(options.name, str) or not options.name):
        raise InvalidOption(f"name={options.name!r:.100}: text, and not empty")
    if options.cache is not None and not isinstance(options.cache, (str, Cache)):
        raise InvalidOption(f"cache={options.cache!r:.100}: a raycache.Cache, or the name of one")
