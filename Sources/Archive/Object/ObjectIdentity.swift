public import WAL

/// What a reader knows of an object before it fetches it: whose it is and what its name says.
public struct ObjectIdentity: Hashable, Sendable {
    public var logID: LogID
    public var archiveID: ArchiveID
    public var epoch: EpochName
    public var kind: ObjectMetadata.Kind
    public var start: LSN

    public init(logID: LogID, archiveID: ArchiveID, epoch: EpochName, kind: ObjectMetadata.Kind, start: LSN) {
        self.logID = logID
        self.archiveID = archiveID
        self.epoch = epoch
        self.kind = kind
        self.start = start
    }

    /// The first thing in which `found` differs, in words; nil where it is the same.
    func difference(of found: ObjectIdentity) -> String? {
        if found.logID != logID { return "log \(found.logID) instead of \(logID)" }
        if found.archiveID != archiveID { return "archive \(found.archiveID) instead of \(archiveID)" }
        if found.epoch != epoch { return "epoch \(found.epoch) instead of \(epoch)" }
        if found.kind != kind { return "a \(found.kind) instead of a \(kind)" }
        if found.start != start { return "a range that begins at \(found.start) instead of \(start)" }
        return nil
    }
}

extension ObjectMetadata {
    public var identity: ObjectIdentity {
        ObjectIdentity(logID: logID, archiveID: archiveID, epoch: epoch, kind: kind, start: start)
    }
}

extension ObjectMetadata.Kind: CustomStringConvertible {
    public var description: String {
        switch self {
        case .segment: "segment"
        case .tail(let level): "tail of level \(level)"
        }
    }
}

extension Layout {
    /// Where the object with this identity lies.
    public func object(_ identity: ObjectIdentity, isEncrypted: Bool = false) -> ObjectKey {
        object(identity.kind, identity.epoch, start: identity.start, isEncrypted: isEncrypted)
    }

    /// Where the object with this metadata lies.
    public func object(_ metadata: ObjectMetadata) -> ObjectKey { object(metadata.identity, isEncrypted: metadata.isEncrypted) }
}

extension ObjectDecoder {
    /// Decodes the object that was found at the key of `identity`, which must be that very one, encrypted or not as its name says.
    ///
    /// Throws like `decode(_:key:start:keys:)`, and `.diverged` for an intact object of another log, archive, epoch or kind.
    public static func decode(
        _ bytes: [UInt8], _ identity: ObjectIdentity, isEncrypted: Bool = false, in layout: Layout, keys: KeyRing = .none
    ) throws(ArchiveError) -> Decoded {
        try decode(bytes, identity, isEncrypted: isEncrypted, in: layout, keys: keys, blocks: .empty)
    }

    /// As above; `raw` is an array of `blocks`, for the caller to give back.
    package static func decode(
        _ bytes: [UInt8], _ identity: ObjectIdentity, isEncrypted: Bool, in layout: Layout, keys: KeyRing, blocks: BlockPool
    ) throws(ArchiveError) -> Decoded {
        let key = layout.object(identity, isEncrypted: isEncrypted)
        let decoded = try decode(bytes, key: key, start: identity.start, keys: keys, blocks: blocks)
        if let difference = identity.difference(of: decoded.metadata.identity) {
            throw ArchiveError(.diverged, "the object is of \(difference)", key: key, lsn: identity.start)
        }
        return decoded
    }
}
