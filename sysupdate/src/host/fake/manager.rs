//! A service manager that remembers what it was asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::manager::{ManagerError, ServiceManager, UnitState};

/// A service manager that runs no unit.
#[derive(Clone, Debug, Default)]
pub struct FakeManager(Arc<Mutex<ManagerState>>);

#[derive(Debug, Default)]
struct ManagerState {
    is_absent: bool,
    failure: Option<String>,
    units: BTreeMap<String, UnitState>,
    requests: Vec<String>,
}

impl FakeManager {
    /// The machine runs without it from now on.
    pub fn remove(&self) {
        self.state().is_absent = true;
    }

    /// Every request fails for this reason from now on.
    pub fn fail(&self, reason: &str) {
        self.state().failure = Some(reason.to_owned());
    }

    /// Sets the state of a unit; restarting makes it active.
    pub fn set(&self, unit: &str, state: UnitState) {
        self.state().units.insert(unit.to_owned(), state);
    }

    /// What was asked for, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn request(&self, command: String) -> Result<MutexGuard<'_, ManagerState>, ManagerError> {
        let mut state = self.state();
        state.requests.push(command.clone());
        match &state.failure {
            Some(reason) => Err(ManagerError { command, reason: reason.clone() }),
            None => Ok(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, ManagerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceManager for FakeManager {
    fn is_running(&self) -> bool {
        !self.state().is_absent
    }

    fn reload(&self) -> Result<(), ManagerError> {
        self.request("reload".to_owned()).map(|_| ())
    }

    fn restart(&self, unit: &str) -> Result<(), ManagerError> {
        let mut state = self.request(format!("restart {unit}"))?;
        state.units.insert(unit.to_owned(), UnitState::Active);
        Ok(())
    }

    fn state(&self, unit: &str) -> Result<UnitState, ManagerError> {
        let state = self.request(format!("state {unit}"))?;
        Ok(state.units.get(unit).copied().unwrap_or(UnitState::NotFound))
    }
}
