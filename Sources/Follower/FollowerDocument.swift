import FoundationEssentials
package import WAL

/// The file `follower` in a replica's directory, `docs/format/log.md` §12: how its follower stood when it last said so. Advisory.
package struct FollowerDocument: Hashable, Sendable, Codable {
    package var format = 1
    package var archive: String
    package var state: String
    package var appliedLSN: String
    package var knownLSN: String
    package var epoch: UInt64?
    package var lagBytes: UInt64
    package var lagSeconds: Double?
    package var lastError: String?
    /// Nanoseconds since 1970, in decimal.
    package var time: String

    enum CodingKeys: String, CodingKey {
        case format, archive, state, epoch, time
        case appliedLSN = "applied_lsn"
        case knownLSN = "known_lsn"
        case lagBytes = "lag_bytes"
        case lagSeconds = "lag_seconds"
        case lastError = "last_error"
    }

    init(_ status: FollowerStatus, now: UInt64) {
        archive = status.url
        state = status.state.rawValue
        appliedLSN = "\(status.applied)"
        knownLSN = "\(status.known)"
        epoch = status.epoch
        lagBytes = status.lagBytes
        lagSeconds = status.lagSeconds(now: now)
        lastError = status.lastError
        time = "\(now)"
    }

    /// The same with the lag as it is at `now`. A follower that does not run, or was not heard from, falls behind whatever it said.
    package func aged(now: UInt64, isRunning: Bool) -> FollowerDocument {
        guard let lag = lagSeconds, let time = UInt64(time) else { return self }
        let age = Double(now - min(now, time)) / 1e9
        let isHeard = isRunning && age < 3 * FollowerLimits.noteInterval.idle
        guard lagBytes > 0 || !isHeard || state != FollowerStatus.State.following.rawValue else { return self }
        var aged = self
        aged.lagSeconds = lag + age
        return aged
    }

    /// What the follower of the replica in `directory` last said; nil where it said nothing, or nothing that can be understood.
    package static func read(directory: String) throws(WALError) -> FollowerDocument? {
        guard let bytes = try FollowerNote.read(directory: directory) else { return nil }
        guard let document = try? JSONDecoder().decode(FollowerDocument.self, from: Data(bytes)), document.format == 1 else { return nil }
        return document
    }

    package func write(directory: String) throws(WALError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            try FollowerNote.write(Array(try encoder.encode(self)) + [UInt8(ascii: "\n")], directory: directory)
        } catch let error as WALError {
            throw error
        } catch {
            throw .encoding(reason: "the follower's note cannot be written: \(error)")
        }
    }
}
