/// The patience of one operation: waits until it is time to try again, or says that there shall be no further attempt.
///
/// A value per operation, because attempts are counted. The waiting ends when the task is cancelled.
public protocol RetryWait: Sendable {
    /// Returns when the next attempt may begin. Throws the error to report instead: `error` itself, in its own words, where it
    /// is not to be tried again, or `.cancelled`.
    mutating func wait(after error: ArchiveError) async throws(ArchiveError)
}
