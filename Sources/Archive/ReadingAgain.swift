/// What was read fails its own checks: it may have been changed on the way (a reply that lies about its length, a flipped bit behind the
/// transport's checksum), or it may be damaged where it lies. Reading it again tells: only what is damaged each time is believed to be.
///
/// `read` is one whole read, its checks included; its `.damaged` or `.invalid` is thrown after `ArchiveLimits.damagedReads` attempts, every other error at once.
package func readingAgain<T>(_ read: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
    var attempt = 1
    while true {
        do throws(ArchiveError) {
            return try await read()
        } catch where (error.code == .damaged || error.code == .invalid) && attempt < ArchiveLimits.damagedReads {
            attempt += 1
        }
    }
}
