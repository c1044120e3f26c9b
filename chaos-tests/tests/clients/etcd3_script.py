"""The script of Python's etcd3 client (PyPI: etcd3), as its users write it. Usage: etcd3_script.py HOST PORT."""

import sys
import threading

import etcd3

WITHIN = 10  # seconds in which what must come comes


def keys(client):
    client.put("py/a", "1")
    assert client.put("py/a", "2", prev_kv=True).prev_kv.value == b"1"
    value, meta = client.get("py/a")
    assert (value, meta.version) == (b"2", 2), (value, meta.version)
    assert client.get("py/none") == (None, None)
    assert client.put_if_not_exists("py/b", "3")
    assert not client.put_if_not_exists("py/b", "4")
    assert client.replace("py/b", "3", "5") and not client.replace("py/b", "3", "6")
    found = [(meta.key, value) for value, meta in client.get_prefix("py/", sort_order="descend", sort_target="key")]
    assert found == [(b"py/b", b"5"), (b"py/a", b"2")], found
    assert [value for value, _ in client.get_range("py/a", "py/b")] == [b"2"]
    assert client.delete("py/a") and not client.delete("py/a")
    assert client.delete_prefix("py/").deleted == 1


def transactions(client):
    client.put("py/txn", "1")
    put, get = client.transactions.put, client.transactions.get
    holds = client.transactions.value("py/txn") == "1"
    succeeded, _ = client.transaction(compare=[holds], success=[put("py/txn", "2")], failure=[get("py/txn")])
    assert succeeded
    succeeded, answers = client.transaction(compare=[holds], success=[put("py/txn", "3")], failure=[get("py/txn")])
    assert not succeeded and answers[0][0][0] == b"2", answers
    version = client.transactions.version("py/txn") > 1
    succeeded, _ = client.transaction(compare=[version], success=[client.transactions.delete("py/txn")], failure=[])
    assert succeeded and client.get("py/txn")[0] is None


def watches(client):
    events, cancel = client.watch_prefix("py/watch/")
    client.put("py/watch/a", "1")
    client.put("py/watch/b", "2")
    client.delete("py/watch/a")
    seen = [next(events) for _ in range(3)]
    cancel()
    assert [type(event).__name__ for event in seen] == ["PutEvent", "PutEvent", "DeleteEvent"], seen
    assert [event.key for event in seen] == [b"py/watch/a", b"py/watch/b", b"py/watch/a"], seen

    called, answers = threading.Event(), []
    watch = client.add_watch_callback("py/called", lambda response: (answers.append(response), called.set()))
    client.put("py/called", "1")
    assert called.wait(WITHIN), "the callback was not called"
    assert answers[0].events[0].value == b"1"
    client.cancel_watch(watch)

    revision = client.get("py/called")[1].mod_revision
    events, cancel = client.watch("py/called", start_revision=revision)
    assert next(events).value == b"1"
    cancel()


def leases(client):
    lease = client.lease(60)
    assert lease.ttl == 60
    client.put("py/leased", "1", lease=lease)
    assert lease.refresh()[0].TTL == 60
    assert lease.keys == [b"py/leased"] and 50 < lease.remaining_ttl <= 60
    lease.revoke()
    assert client.get("py/leased") == (None, None)


def locks(client):
    first, second = client.lock("py-door", ttl=20), client.lock("py-door", ttl=20)
    assert first.acquire(timeout=WITHIN) and first.is_acquired()
    assert not second.acquire(timeout=1)
    assert first.release() and second.acquire(timeout=WITHIN)
    assert second.release()


def maintenance(client):
    assert sorted(member.name for member in client.members) == ["n1", "n2", "n3"]
    status = client.status()
    assert status.leader.name in ("n1", "n2", "n3") and status.db_size > 0
    assert list(client.list_alarms()) == []
    assert client.hash() != 0
    client.defragment()
    revision = client.get("py/called")[1].mod_revision
    client.put("py/called", "2")
    client.compact(revision + 1)
    events, _ = client.watch("py/called", start_revision=1)
    try:
        raise AssertionError(f"a watch below the compact revision gave {next(events)}")
    except etcd3.exceptions.RevisionCompactedError as refused:
        assert refused.compacted_revision == revision + 1, refused.compacted_revision


def main():
    client = etcd3.client(host=sys.argv[1], port=int(sys.argv[2]), timeout=WITHIN)
    for part in (keys, transactions, watches, leases, locks, maintenance):
        part(client)
        print(part.__name__, "passed")
    client.close()
    print("all passed")


main()
