/// The patience of one operation: waits until it is time to try again, or says that there shall be no further attempt.
///
/// A value per operation, because attempts are counted. The waiting ends when the task is cancelled.
public protocol RetryWait: Sendable {
    /// Returns when the next attempt may begin. Throws the error to report instead: `error` itself, in its own words, where it
    /// is not to be tried again, or `.cancelled`.
    mutating func wait(after error: ArchiveError) async throws(ArchiveError)
}

/// Tries until it succeeds, patience ends, or the task is cancelled. For what may be repeated: it reads, deletes, or writes the same each time, and
/// looks at what it creates.
package func withPatience<T>(_ patience: any RetryWait, _ attempt: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
    var patience = patience
    while true {
        if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled") }
        do throws(ArchiveError) {
            return try await attempt()
        } catch where error.isRetryable {
            try await patience.wait(after: error)
        }
    }
}
