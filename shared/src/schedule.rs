//! Functions that a schedule starts.

use async_trait::async_trait;
use lambda_runtime::LambdaEvent;
use tracing::Instrument;

use crate::{context::Context, runtime, table::TableError, time::Timestamp};

/// Work that is due now and then. Runs may overlap and repeat; a job must bear both.
#[async_trait]
pub trait Job: Send + Sync {
    /// Does what is due at `now` and answers with how much that was.
    async fn run(&self, now: Timestamp) -> Result<usize, TableError>;
}

/// A job as a function; the schedule's event itself is not read.
pub fn function<J: Job + 'static>(job: J) -> Box<dyn runtime::Function> {
    Box::new(Scheduled(Box::new(job)))
}

struct Scheduled(Box<dyn Job>);

#[async_trait]
impl runtime::Function for Scheduled {
    async fn invoke(&self, _: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let context = Context::of_request(None);
        let span = tracing::info_span!("job", correlation_id = %context.correlation_id);
        let run = async {
            let done = self.0.run(Timestamp::now()).await;
            match &done {
                Ok(done) => tracing::info!(done, "the scheduled job ran"),
                Err(error) => tracing::error!(%error, "the scheduled job failed"),
            }
            done
        };
        let done = context.scope(run.instrument(span)).await?;
        Ok(serde_json::json!({ "done": done }))
    }
}
