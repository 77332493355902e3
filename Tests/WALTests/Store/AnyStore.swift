import WAL

/// Any store behind one type, so that one suite runs over all of them.
final class AnyStore: StandInStore {
    let base: any LogStore
    init(_ base: any LogStore) { self.base = base }
}

typealias AnyLog = WriteAheadLog<AnyStore>

extension WriteAheadLog {
    /// The records up to the limit, or the first error.
    func records(upTo limit: ReadLimit = .written) throws -> [Record] { try iter(upTo: limit).map { try $0.get() } }
}

extension LogConfiguration {
    /// Nothing happens beside the calls: what lies on a simulated machine follows from them alone.
    static var deterministic: LogConfiguration {
        var configuration = LogConfiguration()
        configuration.helpers = .synchronous
        return configuration
    }
}
