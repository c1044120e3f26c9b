//! What the demo shows: to a person at a terminal, or to a program on a pipe.
//!
//! ```text
//! terminal:  ✓ store n1 n2 n3     412 ms   ready     pipe:  ok store n1 n2 n3 ready ms=412
//! ```
//!
//! Promises: on a pipe, a line for each thing said, beginning with `ok` or `fail`, no colour, no cursor movements.
//! On a terminal the live line stays above the prompt, and what is being typed is not disturbed by it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::command;

const PROMPT: &str = "demo> ";
/// Longer live lines would wrap, and the cursor would no longer find its way.
const LIVE_COLUMNS_MAX: usize = 79;

pub(crate) struct Screen<W = io::Stdout> {
    out: W,
    interactive: bool,
    colour: bool,
    prompt_shown: bool,
    live: Option<String>,
}

impl Screen {
    /// A terminal if both standard input and output are one.
    pub(crate) fn of_process() -> Self {
        let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen::new(io::stdout(), interactive, interactive && !plain)
    }
}

impl<W: Write> Screen<W> {
    fn new(out: W, interactive: bool, colour: bool) -> Self {
        Screen { out, interactive, colour, prompt_shown: false, live: None }
    }

    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Something was done.
    pub(crate) fn ok(&mut self, what: &str, details: &str, took: Option<Duration>) -> io::Result<()> {
        self.say(true, what, details, took)
    }

    /// Something failed, or broke by itself.
    pub(crate) fn fail(&mut self, what: &str, details: &str) -> io::Result<()> {
        self.say(false, what, details, None)
    }

    fn say(&mut self, ok: bool, what: &str, details: &str, took: Option<Duration>) -> io::Result<()> {
        let line = if self.interactive {
            let mark = match (ok, self.colour) {
                (true, true) => "\x1b[32m✓\x1b[0m",
                (false, true) => "\x1b[31m✗\x1b[0m",
                (true, false) => "✓",
                (false, false) => "✗",
            };
            let took = took.map(|took| format!("{} ms", took.as_millis())).unwrap_or_default();
            format!("{mark} {what:<18} {took:>8}   {details}")
        } else {
            let took = took.map(|took| format!(" ms={}", took.as_millis())).unwrap_or_default();
            let details = details.replace('\n', "; ");
            format!("{} {what} {details}{took}", if ok { "ok" } else { "fail" })
        };
        self.above_prompt(line.trim_end())
    }

    /// For people only.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if self.interactive { self.above_prompt(text) } else { Ok(()) }
    }

    pub(crate) fn help(&mut self) -> io::Result<()> {
        if self.interactive {
            return self.text(command::HELP);
        }
        let commands: Vec<_> = command::HELP.lines().filter_map(|line| line.trim().split("  ").next()).collect();
        self.ok("help", &commands.join(", "), None)
    }

    /// Shows or replaces the live line; on a pipe it is a line like any other.
    pub(crate) fn live(&mut self, text: &str) -> io::Result<()> {
        if !self.interactive {
            return self.ok("workload", text, None);
        }
        let text: String = text.chars().take(LIVE_COLUMNS_MAX).collect();
        if self.prompt_shown && self.live.is_some() {
            write!(self.out, "\x1b7\x1b[1A\r\x1b[K{text}\x1b8")?;
            self.live = Some(text);
            return self.out.flush();
        }
        self.hide_prompt()?;
        self.live = Some(text);
        self.prompt()
    }

    pub(crate) fn end_live(&mut self) -> io::Result<()> {
        self.hide_prompt()?;
        self.live = None;
        Ok(())
    }

    /// Shows the prompt, and the live line above it.
    pub(crate) fn prompt(&mut self) -> io::Result<()> {
        if self.interactive && !self.prompt_shown {
            if let Some(live) = &self.live {
                writeln!(self.out, "{live}")?;
            }
            write!(self.out, "{PROMPT}")?;
            self.prompt_shown = true;
        }
        self.out.flush()
    }

    /// The person has pressed Enter: the prompt is history.
    pub(crate) fn entered(&mut self) {
        self.prompt_shown = false;
    }

    /// What comes next begins on a line of its own: the terminal may have echoed `^C` behind the prompt.
    pub(crate) fn leave_prompt(&mut self) -> io::Result<()> {
        if self.prompt_shown {
            writeln!(self.out)?;
            self.prompt_shown = false;
        }
        Ok(())
    }

    fn above_prompt(&mut self, text: &str) -> io::Result<()> {
        let again = self.prompt_shown;
        self.hide_prompt()?;
        writeln!(self.out, "{text}")?;
        if again { self.prompt() } else { self.out.flush() }
    }

    fn hide_prompt(&mut self) -> io::Result<()> {
        if self.prompt_shown {
            write!(self.out, "\r\x1b[K")?;
            if self.live.is_some() {
                write!(self.out, "\x1b[1A\x1b[K")?;
            }
            self.prompt_shown = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(interactive: bool, colour: bool, show: impl FnOnce(&mut Screen<Vec<u8>>) -> io::Result<()>) -> String {
        let mut screen = Screen::new(Vec::new(), interactive, colour);
        show(&mut screen).expect("a vector takes everything");
        String::from_utf8(screen.out).expect("text")
    }

    #[test]
    fn a_pipe_gets_one_plain_line_a_thing() {
        let text = shown(false, false, |screen| {
            screen.ok("store", "n1 n2 n3 ready", Some(Duration::from_millis(412)))?;
            screen.fail("kill", "no such member\nn9")?;
            screen.text("for people")?;
            screen.prompt()?;
            screen.live("7 writes/s")
        });
        assert_eq!(text, "ok store n1 n2 n3 ready ms=412\nfail kill no such member; n9\nok workload 7 writes/s\n");
        let text = shown(false, false, Screen::help);
        assert!(text.starts_with("ok help status, kill n2, restart n2"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_live_line_is_replaced_above_the_prompt() {
        let text = shown(true, false, |screen| {
            screen.prompt()?;
            screen.live("one")?;
            screen.live("two")?;
            screen.ok("event", "three", None)
        });
        let expected = "demo> \r\x1b[Kone\ndemo> \x1b7\x1b[1A\r\x1b[Ktwo\x1b8\r\x1b[K\x1b[1A\x1b[K\
                        ✓ event                         three\ntwo\ndemo> ";
        assert_eq!(text, expected);
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        assert!(shown(true, true, |screen| screen.ok("a", "b", None)).contains("\x1b[32m"));
        assert!(!shown(true, false, |screen| screen.fail("a", "b")).contains('\x1b'));
    }
}
