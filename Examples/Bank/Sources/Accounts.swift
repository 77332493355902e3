/// The state: who has how much. A value that touches no log: commands are decided on it, events change it.
struct Accounts: Equatable {
    private(set) var cents: [String: UInt64] = [:]
    private(set) var total: UInt64 = 0

    /// What a command comes to, or why not. Changes nothing: only what is safely in the log has happened.
    func decide(_ command: Command) throws(Refusal) -> Event {
        switch command {
        case .deposit(let account, let amount):
            guard amount <= UInt64.max - total else { throw Refusal("the bank has no room for that much") }
            return .deposited(account: account, cents: amount)
        case .transfer(let from, let to, let amount):
            guard let balance = cents[from] else { throw Refusal("there is no account \(from)") }
            guard balance >= amount else { throw Refusal("\(from) has only \(balance)") }
            return .transferred(from: from, to: to, cents: amount)
        }
    }

    /// It has happened. What was decided on the same history always fits, so nothing is refused here.
    mutating func apply(_ event: Event) {
        switch event {
        case .deposited(let account, let amount):
            cents[account, default: 0] += amount
            total += amount
        case .transferred(let from, let to, let amount):
            cents[from, default: 0] -= amount
            cents[to, default: 0] += amount
        }
    }
}

/// What somebody wants.
enum Command {
    case deposit(account: String, cents: UInt64)
    case transfer(from: String, to: String, cents: UInt64)

    /// `deposit ann 500` or `transfer ann bob 200`.
    init(_ line: String) throws(Refusal) {
        let words = line.split(separator: " ").map(String.init)
        switch (words.first, words.count, words.last.flatMap { UInt64($0) }) {
        case ("deposit", 3, let cents?): self = .deposit(account: words[1], cents: cents)
        case ("transfer", 4, let cents?): self = .transfer(from: words[1], to: words[2], cents: cents)
        default: throw Refusal("say: deposit ACCOUNT CENTS, or: transfer FROM TO CENTS")
        }
    }
}

/// Why something did not happen.
struct Refusal: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
