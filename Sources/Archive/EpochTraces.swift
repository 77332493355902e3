internal import WAL

/// What epochs leave in an archive beside their claims: names. Where the store lists, an epoch whose claim.json and start.json were both lost
/// is found by them; without a listing nothing leads to it, because its names hold its random id.
///
/// Safe from any task.
public struct EpochTraces: Sendable {
    public enum Depth: Hashable, Sendable {
        /// Head documents: one for each epoch, so the listing is short.
        case heads
        /// Also everything that was archived, which may be many names.
        case objects
    }

    public struct Trace: Hashable, Sendable {
        public let epoch: EpochName
        /// A name that tells of it.
        public let key: ObjectKey
    }

    private let layout: Layout
    private let list: @Sendable (ObjectKey) async throws(ArchiveError) -> [ObjectKey]?

    /// `list` gives the keys below a prefix with its caller's patience, or nil where the store cannot list.
    public init(layout: Layout, list: @escaping @Sendable (ObjectKey) async throws(ArchiveError) -> [ObjectKey]?) {
        self.layout = layout
        self.list = list
    }

    /// The first trace, in the order of names, of an epoch that `isWanted`; nil where there is none, or the store cannot list.
    public func first(_ depth: Depth, where isWanted: (EpochName) -> Bool) async throws(ArchiveError) -> Trace? {
        let kinds = depth == .heads ? ["heads"] : ["heads", "gaps", "segments", "tail"]
        for kind in kinds {
            let prefix = ObjectKey("\(layout.root)/\(kind)")
            guard let keys = try await list(prefix) else { return nil }
            for key in keys {
                guard let epoch = EpochTraces.epoch(of: key, below: prefix), isWanted(epoch) else { continue }
                return Trace(epoch: epoch, key: key)
            }
        }
        return nil
    }

    /// `<n>-<epoch id>` at the beginning of what follows the prefix, up to a slash or a dot. Nil for anything else, which is not ours to judge.
    static func epoch(of key: ObjectKey, below prefix: ObjectKey) -> EpochName? {
        guard key.path.hasPrefix(prefix.path + "/") else { return nil }
        let rest = key.path.dropFirst(prefix.path.utf8.count + 1)
        let name = rest.prefix { $0 != "/" && $0 != "." }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count == 10, parts[1].utf8.count == 16, let number = UInt64(parts[0]),
            EpochName.isValid(number: number), let id = UInt64(parts[1], radix: 16)
        else { return nil }
        let epoch = EpochName(number: number, id: EpochID(rawValue: id))
        // Upper-case digits and the like are not names of ours.
        return epoch.description == name ? epoch : nil
    }
}
