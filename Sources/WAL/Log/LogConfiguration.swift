/// How a log is opened.
public struct LogConfiguration: Sendable {
    /// The longest record, in bytes, 1 to `LogLimits.maxRecordSizeMax`. Stored with the log; nil takes the stored one (64 MiB for a new
    /// log), a greater one raises it, a smaller one is refused.
    public var maxRecordSize: Int?
    /// What an iteration does at a damaged record.
    public var recoveryPolicy: RecoveryPolicy
    /// How much of the log is verified when it is opened.
    public var verify: VerifyPolicy
    /// Who prepares segments and lets go of them. Simulated machines need what happens to follow from the calls alone.
    package var helpers = HelperMode.background

    public init(
        maxRecordSize: Int? = nil, recoveryPolicy: RecoveryPolicy = .stopAtFirstError, verify: VerifyPolicy = .tail
    ) {
        self.maxRecordSize = maxRecordSize
        self.recoveryPolicy = recoveryPolicy
        self.verify = verify
    }
}

/// What an iteration does after it has yielded a damaged record once, as `.corruption`.
public enum RecoveryPolicy: Hashable, Sendable {
    /// It ends.
    case stopAtFirstError
    /// It goes on at the next position that two chained intact frames prove.
    case skipBadRecords
}

/// How much of the log is verified when it is opened. Recovery of the unsynced tail happens in any case.
public enum VerifyPolicy: Hashable, Sendable {
    /// Only what may have been in flight.
    case tail
    /// Every frame from the head on; damage anywhere refuses the opening.
    case full
}
