//! The scripts: Debian's etcdctl, every command of the v3 API that does not change the membership.
//!
//! `{n1}` is a member's client URL, `{id:n1}` its id, `{lease:1}` the first lease granted, `{dir}` a folder for files.

use crate::player::{Step, etcdctl, lead, start};

/// Put, get with every flag, del, txn, watch, compaction, make-mirror.
pub(crate) fn keys() -> Vec<Step> {
    let mut steps = puts_and_gets();
    steps.extend(formats());
    steps.extend(transactions());
    steps.extend(watches());
    steps.extend(mirror());
    steps
}

fn puts_and_gets() -> Vec<Step> {
    let mut steps: Vec<Step> = [
        "put a 1",
        "put a 2",
        "put a 3 --prev-kv",
        "put b '' ",
        "put c --ignore-value",
        "put a --ignore-value",
        "put a 4 --ignore-lease",
        "put none 1 --ignore-lease",
        "put a 1 --lease=7777",
        "put aa 1",
        "put key/1 one",
        "put key/2 two",
        "put key/3 three",
        "get a",
        "get none",
        "get a c",
        "get --prefix key/",
        "get --prefix ''",
        "get --from-key key/2",
        "get --from-key key/2 --limit=1",
        "get --prefix key/ --limit=2",
        "get --prefix key/ --keys-only",
        "get --prefix key/ --print-value-only",
        "get --prefix key/ --order=DESCEND",
        "get --prefix key/ --sort-by=VALUE",
        "get --prefix key/ --sort-by=VALUE --order=DESCEND",
        "get --prefix '' --sort-by=VERSION --order=DESCEND",
        "get --prefix '' --sort-by=MODIFY --order=DESCEND --keys-only",
        "get --prefix '' --sort-by=CREATE --order=ASCEND --keys-only",
        "get --prefix '' --sort-by=KEY --order=DESCEND --limit=2",
        "get --prefix '' --sort-by=BOGUS",
        "get --prefix --from-key a",
        "get a --rev=2",
        "get a --rev=999",
        "get a --consistency=s",
        "get a --consistency=l",
        "get a --consistency=bogus",
        "get a --hex",
        "get a --hex --print-value-only",
        "get",
        "del none",
        "del a --prev-kv",
        "del --prefix key/ --prev-kv",
        "put k1 1",
        "put k2 2",
        "put k3 3",
        "del k1 k3",
        "del --from-key k3",
        "get --prefix '' --keys-only",
        "del",
        "put",
        "put '' 1",
    ]
    .into_iter()
    .map(etcdctl)
    .collect();
    steps.push(etcdctl("put piped").input("from standard input\n"));
    steps.push(etcdctl("get piped"));
    // Another member says the same.
    steps.push(etcdctl("get --prefix ''").at("n2"));
    steps.push(etcdctl("get --prefix '' --consistency=s -w json").at("n3"));
    steps
}

fn formats() -> Vec<Step> {
    let lines = [
        "put f 1 -w json",
        "put f 2 --prev-kv -w json",
        "put f 3 --prev-kv -w fields",
        "get f -w json",
        "get f -w fields",
        "get f -w table",
        "get f none -w simple",
        "get none -w json",
        "del f --prev-kv -w json",
        "del f -w fields",
        "get f -w bogus",
    ];
    lines.into_iter().map(etcdctl).collect()
}

fn transactions() -> Vec<Step> {
    let mut steps: Vec<Step> = [
        // compares, a blank line, then, a blank line, else, a blank line
        "value(\"t\") = \"1\"\n\nput t then\n\nput t else\nget t\n\n",
        "create(\"t\") > \"0\"\nversion(\"t\") = \"1\"\n\nput t again\nget t\ndel none\n\n\n\n",
        "mod(\"t\") > \"1\"\n\nget --prefix ''\n\nput t wrong\n\n",
        "\nput u 1\nput v 2\n\n\n\n",
        "value(\"u\") != \"2\"\nvalue(\"v\") < \"3\"\n\ndel u --prev-kv\nput w 3 --prev-kv\nget w\n\n\n\n",
        "\nput u 1\nput u 2\n\n\n\n",
        "\ndel --prefix u\nput u 2\n\n\n\n",
        "nonsense\n\nput u 1\n\n\n\n",
    ]
    .into_iter()
    .map(|input| etcdctl("txn").input(input))
    .collect();
    steps.push(etcdctl("txn -w json").input("value(\"t\") = \"again\"\n\nget t\nput t json\n\n\n\n"));
    steps.push(etcdctl("txn -w fields").input("value(\"t\") = \"no\"\n\n\n\nget t\n\n"));
    steps.push(etcdctl("txn -i").input("version(\"none\") = \"0\"\n\nput i 1\n\nput i 2\n\n"));
    steps
}

fn watches() -> Vec<Step> {
    vec![
        // Three lines an event: kind, key, value.
        etcdctl("put w 0"),
        etcdctl("put w 1"),
        etcdctl("put w/x 2"),
        etcdctl("del w"),
        etcdctl("compaction 31"),
        etcdctl("compaction 31"),
        etcdctl("compaction 99999"),
        etcdctl("get w --rev=2"),
        start("past", "watch w --rev=31 --prev-kv"),
        start("prefix", "watch --prefix w --rev=31"),
        start("compacted", "watch w --rev=2"),
        start("json", "watch --prefix n -w json"),
        start("now", "watch n"),
        start("range", "watch n n3"),
        start(
            "command",
            "watch n -- sh -c 'echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $ETCD_WATCH_REVISION'",
        ),
        start("interactive", "watch -i").input("watch n\nprogress\n"),
        Step::lines("interactive", 1),
        Step::pause(),
        etcdctl("put n first"),
        etcdctl("put n2 second"),
        etcdctl("del n"),
        etcdctl("put n3 third"),
        Step::lines("past", 8),
        Step::stop("past"),
        Step::lines("prefix", 9),
        Step::stop("prefix"),
        Step::exit("compacted"),
        Step::lines("json", 4),
        Step::stop("json"),
        Step::lines("now", 6),
        Step::stop("now"),
        Step::lines("range", 9),
        Step::stop("range"),
        Step::lines("command", 8),
        Step::stop("command"),
        Step::lines("interactive", 7),
        Step::stop("interactive"),
    ]
}

fn mirror() -> Vec<Step> {
    vec![
        etcdctl("put from/1 one"),
        etcdctl("put from/2 two"),
        start("mirror", "make-mirror --prefix=from/ --dest-prefix=to/ --dest-insecure-transport {n2}"),
        Step::until("get --prefix to/", "to/2\n"),
        etcdctl("put from/3 three"),
        etcdctl("del from/1"),
        Step::until("get --prefix to/ --print-value-only", "two\nthree\n"),
        etcdctl("get --prefix to/"),
        Step::stop("mirror"),
    ]
}

/// Lease grant, keep-alive, revoke, timetolive, list; lock; elect.
pub(crate) fn leases() -> Vec<Step> {
    // Only the leader knows when a lease ends, so only it can sort by that.
    let mut steps = vec![lead("n1")];
    let lines = [
        "lease list",
        "lease grant 300",
        "lease grant 200 -w json",
        "lease grant 100 -w fields",
        "lease grant 0",
        "lease grant 9000000001",
        "lease list",
        "lease list -w json",
        "put l1 1 --lease={lease:1}",
        "put l2 2 --lease={lease:1}",
        "put l2 2",
        "put l3 3 --lease={lease:1}",
        "get l3 -w json",
        "lease timetolive {lease:1}",
        "lease timetolive {lease:1} --keys",
        "lease timetolive {lease:1} --keys -w json",
        "lease timetolive {lease:1} -w fields",
        "lease timetolive 1234",
        "lease timetolive 1234 --keys -w json",
        "lease timetolive",
        "lease keep-alive --once {lease:1}",
        "lease keep-alive --once {lease:1} -w json",
        "lease keep-alive --once 1234",
        "put l4 4 --ignore-lease",
        "put l3 5 --ignore-lease",
        "get l3 -w fields",
        "lease revoke {lease:1}",
        "lease revoke {lease:1}",
        "lease revoke 1234",
        "lease revoke bogus",
        "get --prefix l",
        "lease revoke {lease:2} -w json",
    ];
    steps.extend(lines.into_iter().map(etcdctl));
    steps.push(etcdctl("lease timetolive {lease:3}").at("n2"));
    steps.push(etcdctl("lease keep-alive --once {lease:3}").at("n3"));
    steps.extend([
        etcdctl("lease grant 6"),
        etcdctl("put kept 1 --lease={lease:5}"),
        start("kept", "lease keep-alive {lease:5}").at("n2"),
        Step::lines("kept", 3),
        etcdctl("get kept"),
        Step::stop("kept"),
        Step::until("get kept", ""),
        etcdctl("lease timetolive {lease:5}"),
    ]);
    steps.extend(locks());
    steps.extend(elections());
    steps
}

fn locks() -> Vec<Step> {
    vec![
        etcdctl("lock door echo locked"),
        etcdctl("lock door -- sh -c 'exit 3'"),
        start("owner", "lock door"),
        Step::lines("owner", 1),
        start("waiter", "lock door --ttl=20").at("n2"),
        Step::pause(),
        etcdctl("get --prefix door --keys-only"),
        Step::stop("owner"),
        Step::lines("waiter", 1),
        Step::stop("waiter"),
        etcdctl("get --prefix door --keys-only"),
    ]
}

fn elections() -> Vec<Step> {
    vec![
        start("one", "elect office first"),
        Step::lines("one", 2),
        start("listener", "elect -l office"),
        Step::lines("listener", 2),
        start("two", "elect office second").at("n3"),
        Step::pause(),
        Step::stop("one"),
        Step::lines("two", 2),
        Step::lines("listener", 4),
        Step::stop("two"),
        Step::stop("listener"),
    ]
}

/// Endpoint, member, alarm, defrag, snapshot, hash, move-leader.
pub(crate) fn maintenance() -> Vec<Step> {
    let mut steps = vec![lead("n1")];
    let lines = [
        "version",
        "put a 1",
        "put a 2",
        "put b 1",
        "endpoint status",
        "endpoint status --cluster",
        "endpoint status --cluster -w table",
        "endpoint status --cluster -w json",
        "endpoint status --cluster -w fields",
        "endpoint health",
        "endpoint health --cluster",
        "endpoint health --cluster -w table",
        "endpoint health --cluster -w json",
        "endpoint hashkv",
        "endpoint hashkv --cluster",
        "endpoint hashkv --cluster -w table",
        "endpoint hashkv --cluster -w json",
        "endpoint hashkv --cluster -w fields",
        "endpoint hashkv --rev=3 --cluster",
        "endpoint hashkv --rev=999",
        "compaction 3 --physical",
        "endpoint hashkv --rev=2",
        "endpoint hashkv --rev=4 -w json",
        "compaction 3",
        "compaction 999",
        "compaction bogus",
        "compaction",
        "member list",
        "member list -w table",
        "member list -w json",
        "member list -w fields",
        "alarm list",
        "alarm disarm",
        "defrag",
        "defrag --cluster",
        "get --prefix ''",
        "snapshot save {dir}/one.db",
        "move-leader {id:n2}",
        "endpoint status --cluster -w table",
        "move-leader {id:n1}",
        "move-leader bogus",
        "move-leader",
        "bogus",
    ];
    steps.extend(lines.into_iter().map(etcdctl));
    steps.push(lead("n2"));
    steps.push(etcdctl("move-leader {id:n1}").at("n2"));
    steps.push(etcdctl("endpoint status --cluster -w table"));
    let header = r#"{"header":{"cluster_id":CLUSTER,"member_id":ID-n1,"raft_term":"…","revision":4}}"#;
    steps.push(etcdctl("alarm list -w json").newer("3.5: the answer has a header", header));
    steps.push(etcdctl("get a").at("nowhere"));
    steps.push(etcdctl("endpoint health").at("nowhere"));
    steps
}

/// A minute of load.
pub(crate) fn check_perf() -> Vec<Step> {
    vec![lead("n1"), etcdctl("check perf --load=s").within(180)]
}
