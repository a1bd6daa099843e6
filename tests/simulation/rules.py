"""The rules of the protocol, and how each is switched off: by another line in the place of one in the real code.

Named as in design section 5 and its executable specification. A rule that cannot be found in the code any more is an
error here, so that none is forgotten when the code changes.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

from servers import ShardProcess
from simulation import Scenario

from raycache.core.client import Client
from raycache.core.directory import Directory
from raycache.core.entry import NearEntry
from raycache.core.fetch import Fetch
from raycache.core.handover import Incoming
from raycache.core.life import Life
from raycache.core.lookup import Lookup, Reader
from raycache.core.membership import Membership
from raycache.core.page_gets import PageGets
from raycache.core.page_reads import PageReads
from raycache.core.remote import Remote
from raycache.core.shard import Shard


class Change(NamedTuple):
    """In the source of a method: other texts in the place of some."""

    owner: Any  # the class
    method: str
    texts: dict[str, str]


class Rule(NamedTuple):
    """What the rule says, what is changed to break it, and where that shows soon."""

    says: str
    changes: tuple[Change, ...]
    scene: str = ""  # that catches it
    late: bool = False  # without it something takes too long, but nobody gets what is wrong
    covered: str = ""  # why nothing can come of leaving out only this one

    @property
    def scenario(self) -> Scenario:
        return Scenario(scene=self.scene)


RULES: dict[str, Rule] = {
    "two_phase": Rule(
        "an invalidation cleans all shards, and only then bumps slots",
        (
            Change(
                Client,
                "_rounds",
                {
                    "first(ring), until": "{id: [*some, Bump(bumped)] for id, some in first(ring).items()}, until",
                    "yield from self._round(spec, ring, {shard: [Bump(bumped, operation)] "
                    "for shard in ring.members}, until)": "pass",
                },
            ),
        ),
        "delete_is_late_at_the_owner",
    ),
    "order": Rule(
        "slots are bumped after the entries are gone",
        (
            Change(
                Client,
                "_rounds",
                {
                    "until, done =": "yield from self._round(spec, self.members.ring, {shard: [Bump(bumped)] "
                    "for shard in self.members.ring.members}, self._clock() + INVALIDATE_S); until, done =",
                    "yield from self._round(spec, ring, {shard: [Bump(bumped, operation)] "
                    "for shard in ring.members}, until)": "pass",
                },
            ),
        ),
        "delete_is_late_at_the_owner",
    ),
    "near_order": Rule(
        "a near hit looks at the lease before the slot",
        (
            Change(
                NearEntry,
                "live",
                {
                    "now < self.lease[0] and self.slots[self.slot] == self.version": "self.slots[self.slot] == "
                    "self.version and now < self.lease[0]"
                },
            ),
        ),
        "reads_the_slot_before_it_is_bumped",
    ),
    "late_epoch": Rule(
        "an epoch without a member is published only when that member's lease has run out",
        (Change(Membership, "tick", {"if member.fenced and now >= member.granted": "if member.fenced"}),),
        "silent_but_leased",
    ),
    "teach": Rule(
        "an invalidation carries its ring; a shard that is behind learns it before it acts",
        (Change(Shard, "handle", {"self._learn(message.ring)": "pass"}),),
        "new_owner_is_behind",
    ),
    "repeat": Rule(
        "after a fence the whole round is repeated in the new epoch",
        (Change(Client, "_round", {"return False, acks": "return not again, acks"}),),
        "joins_during_a_removal",
    ),
    "empty_fresh": Rule(
        "an invalidation with an empty ring asks the directory anew",
        (Change(Client, "_ring", {"while not self.members.ring.members:": "while False:"}),),
        "knows_no_ring",
    ),
    "refuse_remove": Rule(
        "a shard without a lease refuses to clean",
        (Change(Shard, "handle", {"isinstance(message, _UNDER_LEASE)": "isinstance(message, Get)"}),),
        "all_known_shards_are_out",
    ),
    "lease_shard": Rule(
        "a shard looks at its lease before it serves a get",
        (Change(Shard, "handle", {"isinstance(message, _UNDER_LEASE)": "isinstance(message, (Set, Delete))"}),),
        "serves_without_a_lease",
    ),
    "lease_served": Rule(
        "a page server looks at the shard's lease",
        (Change(PageReads, "read", {"if not self._life.leased:": "if False:"}),),
        "serves_pages_without_a_lease",
    ),
    "own_load": Rule(
        "a get that waits at a page server is told what its own load has brought, and no earlier one",
        (Change(PageGets, "landed", {"if waiting.load is load.outcome:": "if waiting.load is not None:"}),),
        "load_is_late_at_the_page_server",
    ),
    "lease_read": Rule(
        "a page server looks at the lease before it reads",
        (
            Change(
                PageReads,
                "read",
                {
                    "if not self._life.leased:": "if False:",
                    "return Served(records, now)": "return Served(records, now) if self._life.leased else None",
                },
            ),
        ),
        "has_another_lease_when_it_has_read",
    ),
    "adopt_epoch": Rule(
        "entries are taken only from a shard whose epoch is not older",
        (Change(Shard, "_adopt", {"ask.ring.epoch < self._ring.epoch or ": ""}),),
        "ring_changes_again",
    ),
    "adopt_life": Rule(
        "entries are taken only if they were sent to this life",
        (Change(Shard, "_adopt", {" or ask.ring.lives.get(self.id, 0) != self.life.ticket": ""}),),
        "entry_arrives_in_the_next_life",
    ),
    "adopt_restart": Rule(
        "after a restart no entries are taken until a newer epoch is learned",
        (Change(Shard, "_return", {"self._ring = ring": "self._incoming.begin(self._ring, ring); self._ring = ring"}),),
        "new_owner_is_restarted",
    ),
    "adopt_removed": Rule(
        "entries are not taken for keys that were removed since that epoch",
        (Change(Incoming, "takes", {"return key not in": "return True or key not in"}),),
        "entry_arrives_after_its_removal",
    ),
    "adopt_leased": Rule(
        "only a shard that has a lease hands entries over",
        (
            Change(Shard, "batch", {" if self.life.leased else None": ""}),
            Change(ShardProcess, "_send_batch", {"if not self.shard.sends": "if not self.shard.handing"}),
        ),
        covered="what a shard without a lease sends is of an epoch in which it was a member; whoever has acknowledged "
        "a later removal knows a newer one (adopt_epoch), and one that began anew has another ticket (adopt_life)",
    ),
    "drop_flights": Rule(
        "whoever is no member any more forgets its flights, too",
        (Change(Shard, "_wipe", {"self._flights.take_out_all()": "pass"}),),
        "load_outlives_its_life",
    ),
    "ticket": Rule(
        "a ticket is used once",
        (
            Change(
                Membership,
                "hello",
                {"if ask.ticket and self._issued.get(ask.id) == ask.ticket": "if ask.ticket and member is None"},
            ),
            Change(Membership, "_join", {"del self._issued[ask.id]": "self._issued.pop(ask.id, None)"}),
        ),
        "returns_after_it_was_given_up",
    ),
    "ticket_last": Rule(
        "the new ticket is written down after the wipe",
        (
            Change(
                Shard,
                "granted",
                {
                    "        self._wipe()\n        self.life.begin(grant.ticket)\n": "        self.life.begin("
                    "grant.ticket)\n        self._wipe()\n"
                },
            ),
        ),
        "killed_with_its_new_ticket",
    ),
    "zero_lease": Rule(
        "whoever is no member any more gives up its lease before it changes anything",
        (Change(Shard, "_wipe", {"self.life.lose()": "pass"}),),
        "killed_with_its_new_ticket",
    ),
    "mute": Rule(
        "a restarted shard does nothing before the directory has answered it",
        (Change(Life, "muted", {"return self.fresh or self.ended": "return self.ended"}),),
        "new_owner_is_restarted_unheard",
    ),
    "boot_epoch": Rule(
        "epochs of a directory that has lost everything are greater than all before",
        (Change(Directory, "_silent", {"self._first)": "0)"}),),
        "epochs_begin_anew",
    ),
    "dir_wait": Rule(
        "a directory that has lost everything is silent for one lease",
        (Change(Directory, "__init__", {"clock() + options.lease_s if lost": "clock() + 0.01 if lost"}),),
        "directory_is_lost",
    ),
    "worst": Rule(
        "a restarted directory takes it that all members have just been granted leases",
        (Change(Membership, "restore", {"granted = now + self._lease_s": "granted = now"}),),
        "directory_restarts_during_a_removal",
    ),
    "v0_first": Rule(
        "the slot is read before the value",
        (
            Change(
                Lookup,
                "_land",
                {
                    "if voucher is None": "if voucher is not None: voucher = (*voucher[:3], voucher[1][voucher[2]])\n"
                    "    if voucher is None"
                },
            ),
        ),
        "answer_is_late",
    ),
    "v0_lease": Rule(
        "a near entry is made only if the lease was valid after the slot was read",
        (
            Change(Reader, "vouchers", {"return vouchers if self.clock() < local.lease[0] else {}": "return vouchers"}),
            Change(
                Reader,
                "here_many",
                {"return got, {}": "return got, dict(zip(missing, read))"},
            ),
        ),
        "killed_with_its_new_ticket",
    ),
    "lease_client": Rule(
        "clients look at the lease before they use near entries and pages",
        (Change(NearEntry, "live", {"now < self.lease[0] and ": ""}),),
        "cut_off",
    ),
    "hot_slot": Rule(
        "a copy is used only while the slot of its key has its version",
        (
            Change(
                Reader,
                "here",
                {
                    "hot.read(pages[home].pages, full, version := slots[slot])": "(copied := pages[home].pages.get("
                    "hot.PREFIX + full)) and copied[hot.VERSION.size :]"
                },
            ),
        ),
        "copy_arrives_between_the_rounds",
    ),
    "hot_order": Rule(
        "who reads a copy looks at the lease before the slot",
        (Change(Reader, "here", {"version := slots[slot]": "version"}),),
        covered="a shard that begins a new life drops its copies, and takes none that was bumped, before it has a "
        "lease again; and within one life no bump is acknowledged that has not been made",
    ),
    "hot_v0": Rule(
        "a copy has the version that the slot had before the owner was asked",
        (
            Change(
                Remote,
                "note",
                {
                    "notes = self._notes": "notes = self._notes; voucher = voucher and (*voucher[:3], voucher[1]["
                    "voucher[2]])"
                },
            ),
        ),
        "copied_answer_is_late",
    ),
    "hot_life": Rule(
        "a copy is taken only by the life whose slots its version is of",
        (Change(Shard, "_copy", {"ask.ticket == self.life.ticket": "True"}),),
        "copy_arrives_in_the_next_life",
    ),
    "lease_pages": Rule(
        "clients look at the lease before they use pages",
        (
            *(
                Change(
                    Reader,
                    method,
                    {
                        "if not (now := self.clock()) < lease[0]": "if not (now := self.clock())",
                        "now < shard.lease[0]": "True",
                    },
                )
                for method in ("here", "here_many")
            ),
        ),
        "cut_off",
    ),
    "barrier": Rule(
        "a joiner gets no lease before all members know its epoch",
        (Change(Membership, "hello", {"if member.admitted:": "if True:"}),),
        "joiner_that_a_member_does_not_know",
    ),
    "warm_check": Rule(
        "a restarted shard keeps its pages only if its life has not ended",
        (Change(Shard, "granted", {"self._wipe()": "None if self.life.fresh else self._wipe()"}),),
        "returns_after_it_was_given_up",
    ),
    "pop": Rule(
        "an invalidation takes flights out of the table",
        (Change(Shard, "_delete", {"self._flights.take_out(ask.keys)": "pass"}),),
        "load_is_late",
    ),
    "set_life": Rule(
        "a set is done only by the life that it was meant for",
        (Change(Shard, "_set", {" or ask.ring.lives.get(self.id, 0) != self.life.ticket": ""}),),
        "set_arrives_in_the_next_life",
    ),
    "set_over": Rule(
        "a set that arrives when its operation is over does nothing",
        (Change(Shard, "_set", {"if self._unconfirmed.over(ask.operation)": "if False"}),),
        "set_arrives_twice",
    ),
    "patience": Rule(
        "a shard that has no lease is asked again, only a silent one is fenced",
        (Change(Client, "_round", {" and self._clock() >= until else {}": " else {}"}),),
        "out_for_a_moment",
        late=True,
    ),
    "asked_again": Rule(
        "who does not hear of the end of a load, though its shard has repeated it, asks for the key again",
        (Change(Fetch, "_await_flights", {"elif flight.over or not": "elif not"}),),
        "the_end_of_a_load_is_not_heard_of",
        late=True,
    ),
    "surrender": Rule(
        "whoever comes with its next ticket has given up its lease: nobody waits for the end of that",
        (
            Change(
                Membership,
                "hello",
                {"if ask.ticket and self._issued": "if member is None and ask.ticket and self._issued"},
            ),
        ),
        "comes_back_at_once",
        late=True,
    ),
    "finish": Rule(
        "an owner finishes what a client has left half-done",
        (Change(Shard, "overdue", {"due = self._unconfirmed.overdue()": "due = []"}),),
        "client_dies_between_rounds",
    ),
}


@contextmanager
def off(name: str) -> Iterator[None]:
    """The real code without this rule."""
    with ExitStack() as stack:
        for change in RULES[name].changes if name else ():
            stack.enter_context(_changed(change))
        yield


def _changed(change: Change) -> Any:
    found = inspect.getattr_static(change.owner, change.method)
    method = found.fget if isinstance(found, property) else found
    source = textwrap.dedent(inspect.getsource(method))
    for old, new in change.texts.items():
        if source.count(old) != 1:
            raise LookupError(
                f"{change.owner.__name__}.{change.method} has {old!r} {source.count(old)} times instead of once: the "
                f"rule that it stands for must be switched off in another way"
            )
        source = source.replace(old, new)
    names: dict[str, Any] = {}
    exec(compile(f"from __future__ import annotations\n{source}", "<changed>", "exec"), method.__globals__, names)
    return mock.patch.object(change.owner, change.method, names[change.method])
