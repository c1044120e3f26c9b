//! What can be typed at the prompt, and its grammar.
//!
//! Pure: names are checked against the cluster by whoever carries a command out.

/// One typed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Status,
    Kill(Vec<String>),
    Restart(Vec<String>),
    Pause(Vec<String>),
    Resume(Vec<String>),
    Partition(Vec<Vec<String>>),
    Heal,
    Workload(bool),
    Help,
    Quit,
}

pub(crate) const HELP: &str = "\
  status                  what each member does, and whether writes can succeed
  kill n2                 kill -9; `kill leader` takes whoever leads
  restart n2              start it again on the data it left; a running one is killed first
  pause n1                stop its process where it stands (SIGSTOP); its connections stay open
  resume n1               let it go on (SIGCONT)
  partition n1 | n2 n3    cut the links between groups (who is not named is one more), instead of an earlier cut; clients reach all
  heal                    join all links again
  workload on | off       writers on every member: writes/s, failures, the longest gap, the leader
  help                    this
  quit                    stop everything and leave nothing behind (so does Ctrl-C)";

/// Reads one line; `None` when it is blank or a comment.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(format!("{word} takes nothing after it")) };
    let command = match word {
        "status" => alone(Command::Status)?,
        "kill" => Command::Kill(members(word, rest)?),
        "restart" => Command::Restart(members(word, rest)?),
        "pause" => Command::Pause(members(word, rest)?),
        "resume" => Command::Resume(members(word, rest)?),
        "partition" => Command::Partition(groups(rest)?),
        "heal" => alone(Command::Heal)?,
        "workload" => match rest {
            "on" => Command::Workload(true),
            "off" => Command::Workload(false),
            _ => return Err("workload is `on` or `off`".to_owned()),
        },
        "help" | "?" => alone(Command::Help)?,
        "quit" | "exit" => alone(Command::Quit)?,
        _ => return Err(format!("no command {word:?}; `help` lists them")),
    };
    Ok(Some(command))
}

fn members(word: &str, rest: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
    if names.is_empty() { Err(format!("{word} which member? As in `{word} n1`")) } else { Ok(names) }
}

/// Members that are not named form one more group.
fn groups(rest: &str) -> Result<Vec<Vec<String>>, String> {
    let groups: Vec<Vec<String>> =
        rest.split('|').map(|group| group.split_whitespace().map(str::to_owned).collect()).collect();
    if groups.iter().any(Vec::is_empty) {
        return Err("partition how? As in `partition n1 | n2 n3`".to_owned());
    }
    let mut names: Vec<_> = groups.iter().flatten().collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{} cannot be on two sides", twice[0]));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_command_of_the_help_text_is_understood() {
        for (line, command) in [
            ("status", Command::Status),
            ("kill n2", Command::Kill(names(&["n2"]))),
            ("  kill   n1 n2 ", Command::Kill(names(&["n1", "n2"]))),
            ("restart n2", Command::Restart(names(&["n2"]))),
            ("pause n1", Command::Pause(names(&["n1"]))),
            ("resume n1", Command::Resume(names(&["n1"]))),
            ("partition n1 | n2 n3", Command::Partition(vec![names(&["n1"]), names(&["n2", "n3"])])),
            ("partition n1|n2 n3", Command::Partition(vec![names(&["n1"]), names(&["n2", "n3"])])),
            ("partition n1", Command::Partition(vec![names(&["n1"])])),
            ("heal", Command::Heal),
            ("workload on", Command::Workload(true)),
            ("workload off", Command::Workload(false)),
            ("help", Command::Help),
            ("quit", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(parse(" "), Ok(None));
        assert_eq!(parse("# then"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for (line, hint) in [
            ("kil n1", "`help`"),
            ("kill", "kill n1"),
            ("status n1", "nothing after it"),
            ("partition", "n1 | n2 n3"),
            ("partition n1 |", "n1 | n2 n3"),
            ("partition n1 | n1 n2", "n1 cannot be on two sides"),
            ("workload", "`on` or `off`"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
