//! The steps of a decision with their outcomes, for `explain`, tests and the decision feed.

/// Collects steps, if anybody reads them.
#[derive(Debug, Default)]
pub struct Trail {
    steps: Option<Vec<Step>>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Which: `client`, `route`, `credential`, `authentication`, `deny`, `allow`, `limit`, …
    pub step: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// The line of the file that asked for it, if one did.
    pub line: Option<u32>,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It let the request pass.
    Passed,
    /// It refused.
    Refused,
    /// It had nothing to say.
    Skipped,
}

impl Trail {
    /// A trail that nobody reads and that costs nothing.
    pub const fn unread() -> Self {
        Self { steps: None }
    }

    /// A trail that keeps every step.
    pub const fn kept() -> Self {
        Self { steps: Some(Vec::new()) }
    }

    /// Whether somebody reads it.
    pub const fn is_kept(&self) -> bool {
        self.steps.is_some()
    }

    /// Notes a step; `detail` is only made if somebody reads it. Line 0 is no line.
    pub fn note(
        &mut self,
        step: &'static str,
        outcome: Outcome,
        line: u32,
        detail: impl FnOnce() -> String,
    ) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step { step, outcome, detail: detail(), line: (line > 0).then_some(line) });
        }
    }

    /// The steps so far.
    pub fn steps(&self) -> &[Step] {
        self.steps.as_deref().unwrap_or_default()
    }
}
