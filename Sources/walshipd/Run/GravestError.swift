/// Of the errors of many logs and destinations, the one that the program ends with.
struct GravestError {
    private(set) var error: (any Error)?

    // Fenced and diverged first: they need a person, and storage that was away may come back by itself.
    private static let order: [ExitCode] = [.fenced, .damaged, .failed, .usage, .notFound, .storage]

    mutating func add(_ other: (any Error)?) {
        guard let other else { return }
        guard let error else {
            error = other
            return
        }
        if Self.rank(other) < Self.rank(error) { self.error = other }
    }

    private static func rank(_ error: any Error) -> Int { order.firstIndex(of: ExitCode(ofDomainError: error) ?? .failed) ?? order.count }
}
