public import WAL

/// What a name below an archive stands for.
public enum KeyMeaning: Hashable, Sendable {
    case logDocument
    case floor
    case claim(UInt64)
    case start(UInt64)
    case encryption(UInt64)
    case head(EpochName)
    case gap(EpochName, start: LSN)
    case object(ArchivedObject)
}

/// An object by its name: all that is known of it before it is read.
public struct ArchivedObject: Hashable, Sendable {
    public let epoch: EpochName
    public let kind: ObjectMetadata.Kind
    public let start: LSN
    public let isEncrypted: Bool

    public init(epoch: EpochName, kind: ObjectMetadata.Kind, start: LSN, isEncrypted: Bool) {
        self.epoch = epoch
        self.kind = kind
        self.start = start
        self.isEncrypted = isEncrypted
    }
}

extension Layout {
    public func key(_ object: ArchivedObject) -> ObjectKey {
        self.object(object.kind, object.epoch, start: object.start, isEncrypted: object.isEncrypted)
    }

    /// What `key` stands for, of which a listing told; nil for names that are none of ours: a probe's, an upload's on its way, a stranger's.
    ///
    /// A name is read loosely, computed anew from what was read, and believed only where that gives the same name.
    public func meaning(of key: ObjectKey) -> KeyMeaning? {
        guard key.path.hasPrefix("\(root)/") else { return nil }
        let parts = key.path.dropFirst(root.path.utf8.count + 1).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let meaning = Layout.meaning(parts), self.key(meaning) == key else { return nil }
        return meaning
    }

    private static func meaning(_ parts: [String]) -> KeyMeaning? {
        switch (parts.count, parts[0]) {
        case (1, "log.json"): return .logDocument
        case (1, "floor.json"): return .floor
        case (2, "heads"): return epoch(stem(parts[1])).map { .head($0) }
        case (3, "epochs"):
            guard let number = UInt64(parts[1]), EpochName.isValid(number: number) else { return nil }
            switch parts[2] {
            case "claim.json": return .claim(number)
            case "start.json": return .start(number)
            case "encryption.json": return .encryption(number)
            default: return nil
            }
        case (3, "gaps"):
            guard let epoch = epoch(parts[1]), let start = lsn(stem(parts[2])) else { return nil }
            return .gap(epoch, start: start)
        case (3, "segments"), (4, "tail"):
            let name = parts[parts.count - 1]
            guard let epoch = epoch(parts[1]), let start = lsn(stem(name)) else { return nil }
            var kind = ObjectMetadata.Kind.segment
            if parts.count == 4 {
                guard let level = Int(parts[2]), (0...ArchiveLimits.tailLevelMax).contains(level) else { return nil }
                kind = .tail(level: level)
            }
            return .object(ArchivedObject(epoch: epoch, kind: kind, start: start, isEncrypted: name.hasSuffix(encryptedSuffix)))
        default: return nil
        }
    }

    private func key(_ meaning: KeyMeaning) -> ObjectKey {
        switch meaning {
        case .logDocument: logDocument
        case .floor: floor
        case .claim(let number): claim(number)
        case .start(let number): start(number)
        case .encryption(let number): encryption(number)
        case .head(let epoch): head(epoch)
        case .gap(let epoch, let start): gap(epoch, start: start)
        case .object(let object): key(object)
        }
    }

    private static func stem(_ name: String) -> String { String(name.prefix { $0 != "." }) }

    private static func lsn(_ text: String) -> LSN? {
        guard let value = UInt64(text), value <= ArchiveLimits.lsnMax.rawValue else { return nil }
        return LSN(value)
    }

    private static func epoch(_ text: String) -> EpochName? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt64(parts[0]), EpochName.isValid(number: number), let id = EpochID(hex: String(parts[1])) else { return nil }
        return EpochName(number: number, id: id)
    }
}
