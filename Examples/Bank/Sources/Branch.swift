import WAL

/// One that only reads: beside the bank, or a replica on another machine. Sees what is durable, never more.
final class Branch {
    private let log: LogReader

    init(directory: String) throws { log = try LogReader.open(directory: directory) }

    /// As of now.
    func accounts() throws -> Accounts {
        var accounts = Accounts()
        for record in log.iter() { accounts.apply(try record.get().decode()) }
        return accounts
    }

    /// Every event from the first on, and then each as it comes, with what they come to. Ends when `body` says that it has seen enough.
    func follow(_ body: (Event, Accounts) throws -> Bool) async throws {
        var accounts = Accounts()
        for try await record in log.follow(from: .zero) {
            let event = try record.decode(Event.self)
            accounts.apply(event)
            if try body(event, accounts) { return }
        }
    }

    func close() { log.close() }
}
