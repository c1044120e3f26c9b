//! Carries out a schedule: each fault in its own time, with a deadline on every step, and all of it recorded.

use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Planned, Role};
use crate::cluster::process::State;
use crate::fault::{APPLY_WITHIN, Error, Fault, Ground, HEAL_WITHIN, Spec, WITNESS_WITHIN};
use crate::history::{FaultStep, Figures};

/// How long a fault waits for somebody to play its role.
const ROLE_WITHIN: Duration = Duration::from_secs(10);
/// How long a fault stays in force beyond its time until its effect is seen.
const EFFECT_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a nemesis has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Faults whose effect was seen.
    pub(crate) witnessed: u64,
    /// Faults that were not exercised, with the reason.
    pub(crate) missed: Vec<String>,
    /// Faults that could not be undone: the run has to end.
    pub(crate) stuck: Vec<String>,
}

/// Carries out the whole schedule and undoes all of it.
pub(crate) async fn execute(ground: &Ground, schedule: &[Planned]) -> Done {
    for planned in schedule {
        let step = FaultStep::Planned {
            kind: planned.fault.id().to_owned(),
            members: Vec::new(),
            figures: planned.fault.figures(),
        };
        ground.recorder.fault(planned.number, step);
    }
    let begun = Instant::now();
    // However late a fault is undone: the next that takes a member down waits for it.
    let exclusive = Semaphore::new(1);
    let each = schedule.iter().map(|planned| one(ground, planned, begun, &exclusive));
    let mut done = Done::default();
    for end in join_all(each).await {
        match end {
            End::Witnessed => done.witnessed += 1,
            End::Missed(why) => done.missed.push(why),
            End::Stuck(why) => done.stuck.push(why),
        }
    }
    done
}

enum End {
    Witnessed,
    Missed(String),
    Stuck(String),
}

async fn one(ground: &Ground, planned: &Planned, begun: Instant, exclusive: &Semaphore) -> End {
    sleep_until(begun + Duration::from_millis(planned.at_ms)).await;
    let _permit = match planned.fault.takes_down() {
        true => Some(exclusive.acquire().await.expect("it is never closed")),
        false => None,
    };
    let mut fault = planned.fault.build(planned.number);
    let applied = match cast(ground, planned).await {
        Ok(on) => {
            let applied = within("applying", APPLY_WITHIN, fault.apply(ground, &on)).await;
            applied.map(|figures| (on, figures))
        }
        Err(error) => Err(error),
    };
    let seen = match applied {
        Err(error) => Err(error),
        Ok((on, figures)) => {
            let members = on.iter().map(|name| ground.number(name)).collect();
            ground.recorder.fault(planned.number, FaultStep::Applied { members, figures });
            sleep(Duration::from_millis(planned.for_ms)).await;
            witness(ground, planned.number, &on, fault.as_mut()).await
        }
    };
    let what = format!("fault {} ({})", planned.number, planned.fault.id());
    let end = match seen {
        Ok(figures) => {
            ground.recorder.fault(planned.number, FaultStep::Witnessed { figures });
            End::Witnessed
        }
        Err(error) => {
            ground.recorder.fault(planned.number, FaultStep::Missed { why: error.to_string() });
            End::Missed(format!("{what}: {error}"))
        }
    };
    let healed = |figures| ground.recorder.fault(planned.number, FaultStep::Healed { figures });
    if fault.ends_before_heal() {
        healed(Figures::new());
    }
    match within("undoing", HEAL_WITHIN, fault.heal(ground)).await {
        Ok(figures) => {
            if !fault.ends_before_heal() {
                healed(figures);
            }
            end
        }
        Err(error) => End::Stuck(format!("{what}: {error}")),
    }
}

/// Looks again while the fault is in force: an effect may need traffic to be seen, and none passes where another fault holds it or
/// has cut the member off, whose own deadlines bound that.
async fn witness(ground: &Ground, number: u64, on: &[String], fault: &mut dyn Fault) -> Result<Figures, Error> {
    let (links, names) = (ground.cluster.links(), ground.names());
    let mut until = Instant::now() + EFFECT_WITHIN;
    loop {
        if links.is_masked(number) || on.iter().any(|name| links.is_cut_off(name, &names)) {
            until = Instant::now() + EFFECT_WITHIN;
        }
        match within("witnessing", WITNESS_WITHIN, fault.witness(ground)).await {
            Err(Error::NoEffect(_)) if Instant::now() < until => sleep(LOOK_EVERY).await,
            seen => return seen,
        }
    }
}

/// The members that play a role now; waits until somebody does.
async fn cast(ground: &Ground, planned: &Planned) -> Result<Vec<String>, Error> {
    let until = Instant::now() + ROLE_WITHIN;
    let all = ground.names();
    loop {
        let mut up = Vec::new();
        for member in ground.cluster.members() {
            if member.state() == State::Running && !ground.was_told(member.name()) {
                up.push(member.name().to_owned());
            }
        }
        let leader = match planned.on {
            // Needs nobody to lead, and may have to meet a cluster without a leader.
            Role::All => None,
            _ => ground.cluster.leader().await,
        };
        let cast = planned.on.resolve(&all, &up, leader.as_deref());
        let enough = match planned.on {
            Role::All => planned.fault == Spec::Terminate || up.len() == all.len() || Instant::now() > until,
            _ => leader.is_some() || Instant::now() > until,
        };
        if enough && !cast.is_empty() {
            return Ok(cast);
        }
        if Instant::now() > until {
            return Err(Error::NoEffect("no member plays the role".to_owned()));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn within<T>(
    step: &'static str,
    limit: Duration,
    doing: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, doing).await.unwrap_or(Err(Error::Late { step, seconds: limit.as_secs() }))
}
