//! Contract 1.10: progress of watches, on request.

use fairlead_proto::etcd::etcdserverpb::WatchCreateRequest;

use crate::table::{Row, differs, row, same};
use crate::watching::{Watching, watch};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row("1.10 progress on request has id -1 and the revision", same("w-1 r+1"), |env| async move {
            let mut stream = Watching::open(&env);
            stream.created(watch("b", "")).await?;
            env.put("a", "1").await?;
            stream.progress().await?;
            stream.next().await
        }),
        row(
            "1.10 progress on request is after the events before it",
            same("w0 r+1 [PUT a=1(c+1,m+1,v1)], w-1 r+1"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(watch("a", "")).await?;
                env.put("a", "1").await?;
                stream.progress().await?;
                Ok(format!("{}, {}", stream.next().await?, stream.next().await?))
            },
        ),
        row("1.10 progress on request for many watches is one response", same("w-1 r+0, quiet"), |env| async move {
            let mut stream = Watching::open(&env);
            for key in ["a", "b", "c"] {
                stream.created(watch(key, "")).await?;
            }
            stream.progress().await?;
            Ok(format!("{}, {}", stream.next().await?, stream.quiet().await?))
        }),
        row(
            "1.10 progress on request without a watch is not answered",
            differs("quiet", "3.4.25, 3.5.8", "w-1 r+0"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.progress().await?;
                match stream.quiet().await {
                    Ok(quiet) => Ok(quiet.to_owned()),
                    Err(error) => Ok(error.to_string().trim_start_matches("not quiet: ").to_owned()),
                }
            },
        ),
        row(
            "1.10 progress on request is not given before a watch's future start",
            differs("quiet, then w0 r+2 [PUT a=2(c+1,m+2,v2)], w-1 r+2", "3.5.22, 3.6.2", "w-1 r+0"),
            |env| async move {
                let mut stream = Watching::open(&env);
                stream.created(WatchCreateRequest { start_revision: env.at_revision(2), ..watch("a", "") }).await?;
                stream.progress().await?;
                if let Err(error) = stream.quiet().await {
                    return Ok(error.to_string().trim_start_matches("not quiet: ").to_owned());
                }
                env.puts("a=1 a=2").await?;
                let event = stream.next().await?;
                stream.progress().await?;
                Ok(format!("quiet, then {event}, {}", stream.next().await?))
            },
        ),
    ]
}
