//! The sample events in `events/sensors` are what AWS sends, and each of them works.
