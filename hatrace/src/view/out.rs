//! Where text goes: data to stdout or a file, words to stderr. The only module that writes to either.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::paint::{Ink, Paint};
use crate::error::Problem;

/// What a view is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people, and for `awk`.
    #[default]
    Text,
    /// For programs: schema 1.
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal that can, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How and where to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputOptions {
    /// As what.
    pub format: Format,
    /// Into which file; `None`: stdout.
    pub file: Option<PathBuf>,
    /// Colour.
    pub color: ColorChoice,
    /// No words on stderr but errors.
    pub quiet: bool,
    /// How many times `-v` was given.
    pub verbose: u8,
}

/// Why writing ended.
#[derive(Debug)]
pub enum OutputError {
    /// Nobody reads any more (`| head`): the program ends quietly, as if done.
    Gone,
    /// The data could not be written.
    Failed(Problem),
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("nobody reads the output any more"),
            Self::Failed(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for OutputError {}

/// Where the data goes.
pub struct Output {
    sink: BufWriter<Box<dyn Write>>,
    name: String,
    paint: Paint,
    terminal: bool,
    /// It is stdout, and no terminal.
    piped: bool,
    width: Option<usize>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("name", &self.name)
            .field("paint", &self.paint)
            .field("terminal", &self.terminal)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Opens what the options name: before anything is traced, so that a wrong path costs nothing.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn open(options: &OutputOptions) -> Result<Self, Problem> {
        match &options.file {
            Some(path) => Self::file(path, options.color),
            None => Ok(Self::stdout(options.color)),
        }
    }

    fn file(path: &Path, color: ColorChoice) -> Result<Self, Problem> {
        let file = File::create(path).map_err(|error| {
            Problem::failed(format!("can't write {}: {error}", path.display()))
                .remedy("give -o a file in a directory that exists and may be written to")
        })?;
        Ok(Self {
            sink: BufWriter::new(Box::new(file)),
            name: path.display().to_string(),
            paint: Paint::new(color == ColorChoice::Always),
            terminal: false,
            piped: false,
            width: None,
        })
    }

    fn stdout(color: ColorChoice) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self {
            name: "stdout".to_owned(),
            paint: paint_for(&stdout, color),
            terminal,
            piped: !terminal,
            width: terminal.then(|| width_of(&stdout)).flatten(),
            sink: BufWriter::new(Box::new(stdout)),
        }
    }

    /// Data into any writer: for tests.
    #[must_use]
    pub fn into_writer(sink: Box<dyn Write>) -> Self {
        Self {
            sink: BufWriter::new(sink),
            name: "output".to_owned(),
            paint: Paint::plain(),
            terminal: false,
            piped: false,
            width: None,
        }
    }

    /// Whether it is coloured.
    #[must_use]
    pub const fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether a person looks at it: words may then stand between the data.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The terminal's columns.
    #[must_use]
    pub const fn width(&self) -> Option<usize> {
        self.width
    }

    /// Whether somebody still reads, asked without writing: a stream with nothing to say ends with its reader as well.
    ///
    /// # Errors
    /// [`OutputError::Gone`].
    pub fn still_read(&self) -> Result<(), OutputError> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if !self.piped {
            return Ok(());
        }
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let gone = poll(&mut watched, Some(&at_once)).is_ok()
            && watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP);
        if gone { Err(OutputError::Gone) } else { Ok(()) }
    }

    /// Draws something and sends it off.
    ///
    /// # Errors
    /// [`OutputError::Gone`] once nobody reads, [`OutputError::Failed`] when a disk is full and the like.
    pub fn draw(&mut self, view: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
        view(&mut self.sink)
            .and_then(|()| self.sink.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => OutputError::Gone,
                _ => OutputError::Failed(
                    Problem::failed(format!("can't write to {}: {error}", self.name))
                        .remedy("look for room on the disk (df), or give another file with -o"),
                ),
            })
    }
}

/// Words on stderr.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    paint: Paint,
    quiet: bool,
}

impl Words {
    /// As the options have it.
    #[must_use]
    pub fn new(options: &OutputOptions) -> Self {
        Self {
            paint: paint_for(&io::stderr(), options.color),
            quiet: options.quiet,
        }
    }

    /// The same, saying nothing but errors: where somebody else says it better.
    #[must_use]
    pub const fn hushed(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Whether stderr is coloured.
    #[must_use]
    pub const fn paint(self) -> Paint {
        self.paint
    }

    /// A line, unless asked to be quiet.
    pub fn say(self, text: impl fmt::Display) {
        self.draw(|out| writeln!(out, "{text}"));
    }

    /// A view, unless asked to be quiet: a summary whose data went elsewhere.
    pub fn draw(self, view: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if !self.quiet {
            put(view);
        }
    }

    /// Something that is lived without: `warning: ...`, then what to do. Not said when quiet.
    pub fn warn(self, problem: &Problem) {
        self.draw(|out| {
            writeln!(out, "{} {}", self.paint.dab(Ink::Warn, "warning:"), problem.what)?;
            tries(out, problem)
        });
    }

    /// What ends the program, with what to do. Said even when quiet.
    pub fn fail(self, problem: &Problem) {
        put(|out| {
            writeln!(out, "{} {}", self.paint.dab(Ink::Bad, "error:"), problem.what)?;
            tries(out, problem)
        });
    }
}

fn tries(out: &mut dyn Write, problem: &Problem) -> io::Result<()> {
    for remedy in &problem.remedies {
        writeln!(out, "  try: {remedy}")?;
    }
    Ok(())
}

/// One write, so that lines of several processes don't mix. Where stderr itself is gone there is nobody to tell.
fn put(view: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut text = Vec::new();
    if view(&mut text).is_ok() {
        let _ = io::stderr().write_all(&text);
    }
}

/// `NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb` and what the stream is: anstream knows the conventions.
fn paint_for<S: anstream::stream::RawStream>(stream: &S, color: ColorChoice) -> Paint {
    Paint::new(match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
    })
}

fn width_of(terminal: &impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Breaks(io::ErrorKind);

    impl Write for Breaks {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_no_failure() {
        let mut output = Output::into_writer(Box::new(Breaks(io::ErrorKind::BrokenPipe)));
        let result = output.draw(|out| writeln!(out, "x"));
        assert!(matches!(result, Err(OutputError::Gone)));
    }

    #[test]
    fn a_full_disk_is_one() {
        let mut output = Output::into_writer(Box::new(Breaks(io::ErrorKind::StorageFull)));
        let Err(OutputError::Failed(problem)) = output.draw(|out| writeln!(out, "x")) else {
            panic!("it was written");
        };
        assert!(
            problem.what.starts_with("can't write to output: "),
            "{}",
            problem.what
        );
    }

    #[test]
    fn a_file_is_written_plain_and_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        let options = OutputOptions {
            file: Some(path.clone()),
            ..OutputOptions::default()
        };
        let mut output = Output::open(&options).unwrap();
        assert!(!output.is_terminal() && !output.paint().colours());
        output.draw(|out| writeln!(out, "x")).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "x\n");
        let nowhere = OutputOptions {
            file: Some(folder.path().join("no/such")),
            ..OutputOptions::default()
        };
        assert!(Output::open(&nowhere).is_err());
    }
}
