/// Appends that need another segment wait, because a consumer of the log asked for it.
public struct AppendBlockage: Hashable, Sendable {
    /// Who asked last; nil where it did not say.
    public let process: Int32?
    /// Appends that wait now.
    public let waitingAppends: UInt64
}
