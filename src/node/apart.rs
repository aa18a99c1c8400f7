//! Work that takes its time, apart from the threads that answer: signatures, disks, apps compiled.
//!
//! Where all tasks share one thread by choice, it is done there and then: a second thread would only bring
//! disorder into whoever counts on their order. Nothing here decides anything.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinError, spawn_blocking},
};

/// Does `work`; an error is a panic in it, which its hook has told, or the end of the process.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if is_the_only_thread() {
        return Ok(work());
    }
    spawn_blocking(work).await
}

/// True where all tasks share one thread by choice.
pub(super) fn is_the_only_thread() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}
