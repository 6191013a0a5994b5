//! A plan as people read it: the dry run.

use std::fmt;

use super::{Plan, Reason, Step, count};

impl fmt::Display for Plan {
    /// Grouped by what happens, with reasons and bytes. What is kept is only
    /// counted, so that the dry run of a large tree stays readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release {} for channel {}", self.release.short(), self.channel)?;
        match &self.base {
            Some(head) => writeln!(f, ", on top of {}", head.release.short())?,
            None => writeln!(f, ", its first")?,
        }
        for remark in &self.remarks {
            writeln!(f, "remark: {remark}")?;
        }
        for reason in [Reason::New, Reason::Changed, Reason::Headers] {
            self.write_uploads(f, reason)?;
        }
        let (objects, bytes) = count(self.steps.iter().filter(|step| step.is_keep()));
        writeln!(f, "keep {objects} object(s), {}", Size(bytes))?;
        if !self.gone.is_empty() {
            writeln!(f, "gone from the release, {} asset(s); their objects stay", self.gone.len())?;
            self.gone.iter().try_for_each(|path| writeln!(f, "  {path}"))?;
        }
        if !self.ignored.is_empty() {
            writeln!(f, "leave out {} path(s)", self.ignored.len())?;
            let mut ignored = self.ignored.iter();
            ignored.try_for_each(|out| writeln!(f, "  {} ({})", out.path, out.rule))?;
        }
        if self.current {
            writeln!(f, "nothing to do: the release is the head of the channel")
        } else {
            writeln!(f, "then switch the channel")
        }
    }
}

impl Plan {
    fn write_uploads(&self, f: &mut fmt::Formatter<'_>, wanted: Reason) -> fmt::Result {
        let of_reason =
            |step: &&Step| matches!(step, Step::Put { reason, .. } if *reason == wanted);
        let (objects, bytes) = count(self.steps.iter().filter(of_reason));
        if objects == 0 {
            return Ok(());
        }
        writeln!(f, "upload {wanted}, {objects} object(s), {}", Size(bytes))?;
        for step in self.steps.iter().filter(of_reason) {
            if let Step::Put { path, coding, key, size, .. } = step {
                // The key tells the coding too, but not at a glance.
                let coding = coding.map(|coding| format!(" as {coding}")).unwrap_or_default();
                writeln!(f, "  {path}{coding} -> {key}  {}", Size(*size))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Headers => "for its header fields",
        })
    }
}

/// A number of bytes for people: `812 B`, `1.5 KiB`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut tenths = self.0 / 1024 * 10 + self.0 % 1024 * 10 / 1024;
        let mut unit = 0;
        while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
            tenths /= 1024;
            unit += 1;
        }
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (5 * 1024 * 1024 * 1024, "5.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ];
        for (bytes, shown) in table {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }
}
