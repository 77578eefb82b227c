//! What people and scripts see: results on the standard output, everything else on the standard error.

mod bar;
mod display;
mod json;
mod printable;
mod progress;
mod prompt;
mod screen;
mod size;
mod speed;
mod table;
mod terminal;

pub(crate) use printable::{Printable, beginning};
pub(crate) use prompt::read_hidden;
pub(crate) use screen::{are_colours_welcome, output_width};
pub(crate) use size::{age, count, duration, size, time};
pub(crate) use table::Table;
pub(crate) use terminal::{Terminal, report_failure, usage_error};
