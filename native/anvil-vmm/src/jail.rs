//! Placeholder.
pub struct Jail;
impl Jail { pub fn enter(self) -> Result<(), String> { Ok(()) } }
