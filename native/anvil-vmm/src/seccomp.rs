//! Placeholder until the policy is there.
#[derive(Clone, Copy, Debug)]
pub enum Role { Vmm, Vcpu }
pub fn enter(_: Role) {}
