//! A share for each class.

use std::sync::Arc;

use super::{class::Class, plan::Plan, share::Share};

/// The shares of all classes.
#[derive(Clone, Debug, Default)]
pub struct Memory([Arc<Share>; Class::ALL.len()]);

impl Memory {
    /// Nothing in use.
    pub fn new(plan: &Plan) -> Self {
        let memory = Self::default();
        memory.resize(plan);
        memory
    }

    /// Replaces the bounds. What is in use beyond them stays until it is given back.
    pub fn resize(&self, plan: &Plan) {
        for class in Class::ALL {
            self.share(class).set_limit(plan.share(class));
        }
    }

    /// The share of a class.
    pub const fn share(&self, class: Class) -> &Arc<Share> {
        &self.0[class.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_plan_takes_nothing_away() {
        let memory = Memory::new(&Plan::of(1 << 30));
        let held = memory.share(Class::Topics).take(1 << 20).unwrap();
        memory.resize(&Plan::of(1 << 30).with(Class::Topics, 10));
        assert_eq!(memory.share(Class::Topics).used(), 1 << 20);
        assert!(memory.share(Class::Topics).take(1).is_none());
        drop(held);
        assert!(memory.share(Class::Topics).take(10).is_some());
    }
}
