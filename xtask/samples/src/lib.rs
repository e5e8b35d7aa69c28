//! What `template.yaml` says of the functions, and the sample event that each of them has.
//!
//! [`Template`] reads the template. [`Sample`] is a file of `events/`, as AWS sends it but for
//! placeholders, and [`Stack`] fills them: it makes on a running stack what a sample is about.

mod fill;
mod sample;
mod template;

pub use fill::{Filled, Stack};
pub use sample::{PLACEHOLDERS, Sample};
pub use template::{Function, Route, Source, Template};
