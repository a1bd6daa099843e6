"""Every exception that raycache raises, in one tree.

    RaycacheError
    ├── NotFound              (KeyError)         the getter says that there is no such key
    ├── LoadTimeout           (TimeoutError)     the caller's or the group's time for a load ran out
    ├── LoaderDied                               the process that ran the getter ended before it had a result
    ├── StaleCode                                the process that ran a memoized function has other classes
    ├── GetterFailed                             the getter raised something that cannot travel between processes
    ├── CacheUnavailable      (ConnectionError)  Ray, the directory or a shard cannot be reached
    │   └── VersionMismatch                      the cache in the cluster is of another version of raycache
    ├── UnknownGroup          (LookupError)      no group of that name
    ├── GroupConflict         (ValueError)       the group exists with another getter or other options
    ├── CapacityError         (ValueError)       the capacities do not fit into a shard
    ├── ValueTooLarge         (ValueError)       the value is larger than its group's capacity
    ├── UnhashableArgument    (TypeError)        an argument, or what a function reads, has no fingerprint
    ├── UncacheableValue      (TypeError)        the value cannot be kept: not picklable, or it holds ObjectRefs
    ├── UnpicklableGetter     (TypeError)        the getter cannot travel to the processes that run it
    ├── InvalidKey            (TypeError, ValueError)  a key of a wrong type, empty, or too long
    └── InvalidOption         (TypeError, ValueError)  an option that cannot be understood

A getter's own exception is not in the tree: it reaches every caller as itself.
"""

from __future__ import annotations


class RaycacheError(Exception):
    """Base of everything that raycache raises of its own accord."""


class NotFound(RaycacheError, KeyError):
    """Raised by a getter for a key that does not exist, and by `get` for whoever asked."""

    # KeyError shows the repr of its argument; a message should be shown as it is.
    __str__ = Exception.__str__


class LoadTimeout(RaycacheError, TimeoutError):
    """The value did not arrive in time; the load goes on for others who wait for it."""


class LoaderDied(RaycacheError):
    """The process that ran the getter ended before it had a result; the next get loads anew."""


class StaleCode(RaycacheError):
    """Where a memoized function should have run, a class that it reads is not the one that was fingerprinted."""


class GetterFailed(RaycacheError):
    """Stands for a getter's exception that cannot be pickled; the message has its type, text and traceback."""


class CacheUnavailable(RaycacheError, ConnectionError):
    """Ray, the cache's directory or one of its shards cannot be reached."""


class VersionMismatch(CacheUnavailable):
    """The cache in the cluster was started by another version of raycache."""


class UnknownGroup(RaycacheError, LookupError):
    """No group of that name is registered in the cache."""


class GroupConflict(RaycacheError, ValueError):
    """A group is registered already, with another getter or other options."""


class CapacityError(RaycacheError, ValueError):
    """The capacity asked for does not fit into what a shard has left."""


class ValueTooLarge(RaycacheError, ValueError):
    """The value alone is larger than the capacity of its group."""


class UnhashableArgument(RaycacheError, TypeError):
    """No key can be made of this: the message names its path, as `model.layers[3].weight`, and the remedies."""


class UncacheableValue(RaycacheError, TypeError):
    """The value cannot be kept in a cache."""


class UnpicklableGetter(RaycacheError, TypeError):
    """The getter cannot be pickled, so that it cannot run in another process."""


class InvalidKey(RaycacheError, TypeError, ValueError):
    """Not a key: of a wrong type, empty, or too long."""


class InvalidOption(RaycacheError, TypeError, ValueError):
    """An option has a value that cannot be understood."""
