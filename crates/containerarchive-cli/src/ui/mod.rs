//! What people and scripts see: results on the standard output, everything else on the standard error.

mod printable;
mod progress;
mod prompt;
mod size;
mod table;
mod terminal;

pub(crate) use printable::Printable;
pub(crate) use prompt::read_hidden;
pub(crate) use size::{age, count, duration, size, time};
pub(crate) use table::Table;
pub(crate) use terminal::{Terminal, report_failure, usage_error};
