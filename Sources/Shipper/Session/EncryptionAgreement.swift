import Archive
import WAL

/// Agrees with the archive from where on an epoch is encrypted, before the first encrypted object is sent: whoever reads knows then which names to ask for.
///
/// Never undone: where the epoch or one before it is encrypted, nothing is shipped without a key.
struct EncryptionAgreement {
    let session: ShipSession
    let access: ArchiveAccess
    let keys: KeyRing

    /// Which names objects of the epoch have so far. Throws `.keyMissing` where a key is needed and none was given.
    func find() async throws(ArchiveError) -> ObjectNaming {
        guard keys.current == nil else { return try await access.naming(session.epoch) }
        for ancestor in session.ancestry.reversed() {
            let naming = try await access.naming(EpochName(ancestor))
            guard let from = naming.encryptedFrom else { continue }
            throw ArchiveError(
                .keyMissing, "epoch \(EpochName(ancestor)) is encrypted\(naming == .either ? "" : " from LSN \(from) on"), and no key was given",
                key: access.layout.encryption(ancestor.number),
                hint: "name the key's file with encryption.key-file; encryption is not turned off inside an archive: to do without, ship to a new one")
        }
        return .plain
    }

    /// Says that everything from `archived` on is encrypted, where there is a key and that was not said yet. Returns what holds from here on.
    func begin(after found: ObjectNaming, archived: LSN, time: UInt64) async throws(ArchiveError) -> ObjectNaming {
        guard let key = keys.current, found == .plain || found == .either else { return found }
        _ = try await access.createOnce(
            EncryptionDocument(epoch: session.epoch, from: archived, keyID: key.id, time: time), at: access.layout.encryption(session.epoch.number))
        return try await access.naming(session.epoch)
    }
}
