public import WAL

/// Which of its two names an object of an epoch has: `.zst`, or `.zst.enc` where it is encrypted. Known from the epoch's encryption.json, so that readers
/// do not have to ask for both (docs/format/archive.md §6).
public struct ObjectNaming: Hashable, Sendable {
    /// Every object that begins here or past it is encrypted, one that begins below may be. Nil: none of the epoch is.
    public var encryptedFrom: LSN?

    public init(encryptedFrom: LSN?) {
        self.encryptedFrom = encryptedFrom
    }

    public static let plain = ObjectNaming(encryptedFrom: nil)
    /// Where encryption.json was cut short: it is not known, and both names are asked for.
    public static let either = ObjectNaming(encryptedFrom: ArchiveLimits.lsnMax)

    /// Whether the object that begins at `start` is encrypted: what may be, in the order in which it is looked for.
    public func forms(start: LSN) -> [Bool] {
        guard let encryptedFrom else { return [false] }
        return start >= encryptedFrom ? [true] : [false, true]
    }

    /// What may lie at any position of the segment that begins at `segment`: also uploads that arrived late, after encryption was turned on, which nobody reads.
    public func leftovers(segment: LSN) -> [Bool] {
        guard let encryptedFrom else { return [false] }
        return segment > encryptedFrom ? [true] : [false, true]
    }
}

extension Layout {
    /// Where the object of this kind and start may lie, in the order in which it is looked for.
    public func names(_ kind: ObjectMetadata.Kind, _ epoch: EpochName, start: LSN, _ naming: ObjectNaming) -> [ObjectKey] {
        naming.forms(start: start).map { object(kind, epoch, start: start, isEncrypted: $0) }
    }
}
