//! How commands speak: results to stdout, everything else to stderr, colours on terminals only.

use std::{
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
};

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For scripts; its shape is stable.
    Json,
}

/// Whether a stream is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// It is not.
    Never,
    /// It is.
    Always,
}

impl Colour {
    /// For stdout, by what it leads to and by `NO_COLOR`.
    pub fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// For stderr, by what it leads to and by `NO_COLOR`.
    pub fn of_stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        // An empty NO_COLOR counts as unset (no-color.org).
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if terminal && !refused { Self::Always } else { Self::Never }
    }

    /// The text in this style, if the stream is coloured.
    pub const fn paint<T: Display>(self, style: Style, text: T) -> Painted<T> {
        Painted { colour: self, style, text }
    }
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A refusal or a fault.
    Bad,
    /// Something that stands out.
    Bold,
    /// Something beside the point.
    Faint,
    /// A pass.
    Good,
    /// Something to look at.
    Warning,
}

/// A text with its style.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    colour: Colour,
    style: Style,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.colour == Colour::Never {
            return self.text.fmt(f);
        }
        let code = match self.style {
            Style::Bad => "31;1",
            Style::Bold => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Warning => "33;1",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

/// Writes a result to stdout. A reader that has gone away (`… | head`) is no error.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// As [`print`], with a line break at the end.
pub fn print_line(text: impl Display) -> anyhow::Result<()> {
    print(format_args!("{text}\n"))
}

/// Writes to stderr; if that is gone too there is nobody left to tell.
pub fn tell(text: impl Display) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// Says on stderr why a command failed.
pub fn complain(text: impl Display) {
    tell(format_args!("{}: {text}\n", Colour::of_stderr().paint(Style::Bad, "error")));
}

/// Text from outside for a terminal: what would move the cursor or colour the screen is escaped.
pub fn shown(text: &str) -> impl Display + '_ {
    fmt::from_fn(move |f| {
        text.chars().try_for_each(|character| {
            if character.is_control() {
                write!(f, "{}", character.escape_default())
            } else {
                write!(f, "{character}")
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_no_terminal_stays_plain() {
        assert_eq!(Colour::Never.paint(Style::Bad, "no").to_string(), "no");
        assert_eq!(Colour::Always.paint(Style::Good, "yes").to_string(), "\x1b[32myes\x1b[0m");
    }

    #[test]
    fn text_from_outside_cannot_steer_a_terminal() {
        assert_eq!(shown("a\x1b[2Jb\n").to_string(), "a\\u{1b}[2Jb\\n");
        assert_eq!(shown("Zürich").to_string(), "Zürich");
    }
}
