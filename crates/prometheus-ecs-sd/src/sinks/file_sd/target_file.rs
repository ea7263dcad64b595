//! One target file: it is not written if its content is correct, updated from its content if that is known, or rendered
//! as a whole.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ecs_discovery::interval::Interval;
use ecs_discovery::target::Target;
use tracing::debug;

use super::content::{Content, Form, Next};
use super::earlier::Earlier;
use super::{MODE, work_directory, writer};
use crate::atomic_file::{FileIdentity, WriteHealth, set_mode};
use crate::telemetry::metrics::Written;

#[derive(Debug)]
pub(super) struct TargetFile {
    /// The interval of its targets; `None` if they have several.
    pub(super) interval: Option<Interval>,
    pub(super) path: PathBuf,
    /// The identity of the file after this program's last write.
    left: Option<FileIdentity>,
    /// Its content then, if all its targets were those of a snapshot.
    content: Option<Content>,
    /// The targets of the previous run that this process may not know.
    pub(super) earlier: Earlier,
    pub(super) health: WriteHealth,
}

impl TargetFile {
    /// A file whose content is unknown, except for the targets of the previous run.
    pub(super) fn new(interval: Option<Interval>, path: PathBuf, earlier: Earlier) -> Self {
        Self { interval, path, left: None, content: None, earlier, health: WriteHealth::default() }
    }

    /// Forgets the content, so that the file is compared or replaced as a whole.
    pub(super) fn forget(&mut self) {
        self.left = None;
    }

    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn is_as_left(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.is_still_of(&self.path))
    }

    /// Makes the file contain the targets `now`. It is not replaced if it has the same bytes already and, if it is to be
    /// touched, that is allowed. (Only a file's owner may set its time: another user may have created it.) `before` are
    /// the targets of its content, if that is known.
    pub(super) fn update<'a>(
        &mut self,
        directory: &Path,
        before: Option<impl Iterator<Item = &'a Arc<Target>>>,
        now: impl Iterator<Item = &'a Arc<Target>> + Clone,
        touch: bool,
    ) -> io::Result<Written> {
        let content = self.content.take().filter(|_| self.earlier.is_empty() && self.is_as_left());
        if let Some((content, before)) = content.zip(before) {
            match content.next(self.form(), before, now.clone()) {
                None if !touch || self.touch().is_ok() => {
                    self.content = Some(content);
                    return Ok(Written::Unchanged);
                }
                // If this fails, the file is rendered as a whole.
                Some(next) if self.replace_in_part(directory, &next).is_ok() => return Ok(Written::Replaced),
                _ => {}
            }
        }
        if self.holds(now.clone()) && (!touch || self.touch().is_ok()) {
            debug!(file = %self.path.display(), "file is up to date");
            return Ok(Written::Unchanged);
        }
        let mut content = None;
        self.replace(directory, |file, out| file.render(out, now).map(|rendered| content = rendered))?;
        self.content = content;
        Ok(Written::Replaced)
    }

    /// Replaces the file by its next content, most of which is copied from it.
    fn replace_in_part(&mut self, directory: &Path, next: &Next<'_>) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let left = self.left.clone();
        let is_as_left = |file: &File| Ok::<_, io::Error>(left == Some(FileIdentity::of(&file.metadata()?)));
        let mut content = None;
        self.replace(directory, |_, out| {
            content = Some(next.write(&file, out)?);
            // Another program may have written to it meanwhile.
            if is_as_left(&file)? { Ok(()) } else { Err(io::Error::other("the file has changed")) }
        })?;
        self.content = content;
        Ok(())
    }

    fn replace(
        &mut self,
        directory: &Path,
        write: impl FnOnce(&Self, &mut BufWriter<&File>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.left = None;
        let work = work_directory(directory)?;
        let (_, identity) = writer(&work).replace(&self.path, |out| write(self, out))?;
        self.left = Some(identity);
        Ok(())
    }

    fn form(&self) -> Form {
        if self.interval.is_some() { Form::OfOneInterval } else { Form::OfAnyInterval }
    }

    /// Returns the content, unless it has targets of the previous run too.
    fn render<'a>(
        &self,
        out: &mut impl Write,
        targets: impl Iterator<Item = &'a Arc<Target>>,
    ) -> io::Result<Option<Content>> {
        if self.earlier.is_empty() {
            return Content::write(self.form(), targets, out).map(Some);
        }
        let mut document = Vec::new();
        Content::write(self.form(), targets, &mut document)?;
        self.earlier.write_after(document, out)?;
        Ok(None)
    }

    /// Whether the file has exactly the bytes that would be written; stops at the first difference. If so, records its
    /// content.
    fn holds<'a>(&mut self, targets: impl Iterator<Item = &'a Arc<Target>>) -> bool {
        // A link or a pipe is not read, but replaced.
        if !fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_file()) {
            return false;
        }
        let Ok(file) = File::open(&self.path) else { return false };
        // From now on, writes of other programs are detected.
        let Ok(metadata) = file.metadata() else { return false };
        self.left = Some(FileIdentity::of(&metadata));
        let mut comparison = Comparison { file: BufReader::new(file), piece: Vec::new() };
        let mut out = BufWriter::new(&mut comparison);
        let content = self.render(&mut out, targets).and_then(|content| out.flush().map(|()| content));
        // Dropping the whole writer would try to write once more.
        drop(out.into_parts());
        let is_same = content.is_ok() && comparison.is_at_end() && self.is_as_left();
        self.content = content.ok().flatten().filter(|_| is_same);
        is_same
    }

    /// Sets its time, if the file was not changed.
    pub(super) fn touch(&mut self) -> io::Result<()> {
        // Setting the time needs no write access.
        let file = File::open(&self.path)?;
        if self.left != Some(FileIdentity::of(&file.metadata()?)) {
            return Err(io::Error::other("the file has changed"));
        }
        file.set_modified(SystemTime::now())?;
        // An earlier version or another program may have made the file unreadable for Prometheus.
        set_mode(&file, MODE);
        self.left = Some(FileIdentity::of(&file.metadata()?));
        Ok(())
    }
}

/// A writer that compares with a file instead of writing, and fails at the first difference.
struct Comparison {
    file: BufReader<File>,
    piece: Vec<u8>,
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.resize(bytes.len(), 0);
        self.file.read_exact(&mut self.piece)?;
        if self.piece == bytes { Ok(bytes.len()) } else { Err(io::Error::other("the file differs")) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Comparison {
    fn is_at_end(&mut self) -> bool {
        matches!(self.file.read(&mut [0]), Ok(0))
    }
}
