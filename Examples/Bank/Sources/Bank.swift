import WAL

/// The one that writes: a log, and the accounts that its events come to. For one thread.
final class Bank {
    private let log: SegmentedLog
    private(set) var accounts = Accounts()

    /// Opens the log, or begins it, and replays it.
    init(directory: String) throws {
        log = try SegmentedLog.open(directory: directory)
        guard log.headLSN == .zero else {
            throw Refusal("the log begins at LSN \(log.headLSN), not with the first event; restore it from its archive")
        }
        // walshipd deletes what it has archived; what a pin holds stays, and this bank replays from the beginning. One that wrote
        // snapshots would move the pin to the newest of them.
        try log.pin("replay", at: .zero)
        for record in log.iter() { accounts.apply(try record.get().decode()) }
    }

    /// On return it has happened, and no crash takes it back. Throws `Refusal` where it did not happen. After any other error open the bank anew:
    /// whether the event is in the log is known then.
    func execute(_ command: Command) throws -> LSN {
        let event = try accounts.decide(command)
        let lsn = try log.appendTyped(event)
        try log.sync()
        accounts.apply(event)
        return lsn
    }

    func close() throws { try log.close() }
}
