//! Programs that do not run, and end as a test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::host::processes::{Ending, Processes, Program};

/// Programs that do not run. Without an answer for it, a program cannot be started.
#[derive(Clone, Debug, Default)]
pub struct FakeProcesses(Arc<Mutex<ProcessesState>>);

#[derive(Debug, Default)]
struct ProcessesState {
    /// By the path of the program; the last answer counts for every later run.
    answers: BTreeMap<String, VecDeque<Ending>>,
    runs: Vec<Program>,
}

impl FakeProcesses {
    /// How the next run of a program ends, or, if it is the last answer, every later one.
    pub fn answer(&self, program: &str, ending: Ending) {
        self.state().answers.entry(program.to_owned()).or_default().push_back(ending);
    }

    /// What was run, in order.
    pub fn runs(&self) -> Vec<Program> {
        self.state().runs.clone()
    }

    fn state(&self) -> MutexGuard<'_, ProcessesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processes for FakeProcesses {
    fn run(&self, program: &Program, _: Duration) -> Ending {
        let mut state = self.state();
        state.runs.push(program.clone());
        let name = program.argv.first().cloned().unwrap_or_default();
        let answers = state.answers.get_mut(&name);
        let answer = answers.and_then(|answers| match answers.len() {
            1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        answer.unwrap_or_else(|| Ending::NotStarted { reason: format!("{name}: not found") })
    }
}
